"""Memory that a process frees: it is kept for the next tensors, and given back to the system between pieces of work."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

#: Settings of glibc by their numbers in malloc.h: what is mapped apart, and the free end that is given back.
_MAPPED_FROM, _GIVEN_BACK_FROM, _MAPPED_AT_MOST = -3, -1, -4
_GIGABYTE = 1 << 30
#: What users set for glibc's allocator themselves.
_OWN = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Lets this process keep the memory that it frees, so that the next tensors of a step find it ready.

    glibc gives memory above 32 MB back to the system as soon as it is free and takes it anew, and the system clears
    every page of it at its first use. Where activations are that large, as those of photographs are, this takes as long
    as the arithmetic. Pieces above one GB are still given back at once. Where another allocator is in use, or the user
    has set glibc's own variables (``MALLOC_...``, ``GLIBC_TUNABLES``), nothing is changed.

    Returns:
        Whether the setting was made.
    """
    if sys.platform != "linux" or any(name.startswith(_OWN) for name in os.environ):
        return False
    with contextlib.suppress(OSError, AttributeError):  # another library than glibc
        setting = ctypes.CDLL(None).mallopt
        # Older ones take no such size; they map nothing apart instead.
        mapped = setting(_MAPPED_FROM, _GIGABYTE) or setting(_MAPPED_AT_MOST, 0)
        return bool(mapped and setting(_GIVEN_BACK_FROM, -1))
    return False


def give_back_freed_memory() -> None:
    """Returns free memory to the system, for other processes, after a piece of work that is not repeated at once."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
