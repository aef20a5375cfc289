"""The memory of this machine, in all and free; a container may be held to less than the machine has."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from rolewise.freed_memory import give_back_freed_memory

#: Where Linux keeps what a container may take, and what it has taken: (limit, usage), of both generations of groups.
_GROUPS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
_FOLDER = Path("/sys/fs/cgroup")


def total_memory() -> int | None:
    """Returns the bytes of memory in all, in use or not; None where the system gives no figure."""
    found = [_physical(), *(_number(_FOLDER / limit) for limit, _ in _GROUPS)]
    return min((value for value in found if value is not None), default=None)


def free_memory() -> int | None:
    """Returns the bytes that this process may still take; None where the system gives no figure."""
    found = [_available(), *(_free_in_group(limit, usage) for limit, usage in _GROUPS)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def release_memory() -> None:
    """Frees the memory that a failed piece of work held, on this machine and on its GPUs, for the next one."""
    gc.collect()
    give_back_freed_memory()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Holds Python's search for cycles back while many small values are made that have none.

    For each 700 new lists and dictionaries it looks at those before, which takes longer than to make them. What nobody
    holds any more is freed as always.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _available() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return _physical()


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):  # ValueError: "max", where there is no limit
        return int(path.read_text(encoding="ascii"))
    return None


def _free_in_group(limit: str, usage: str) -> int | None:
    # What its file cache holds is given back when it is needed.
    most, used = _number(_FOLDER / limit), _number(_FOLDER / usage)
    if most is None or used is None:
        return None
    try:
        statistics = (_FOLDER / limit).with_name("memory.stat").read_text(encoding="ascii")
        cached = sum(int(value) for key, value in map(str.split, statistics.splitlines()) if key == "inactive_file")
    except (OSError, ValueError):
        return None
    return most - used + cached
