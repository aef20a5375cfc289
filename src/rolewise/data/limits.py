"""What is checked before memory is taken: that a file is a file, and that its content fits."""

from __future__ import annotations

import os
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import kind_of

#: Deflate makes at most 1,032 bytes out of one.
MOST_EXPANSION = 1032


def check_kind(path: Path, wanted: str) -> None:
    """Raises InputError unless a path leads to ``a file`` or to ``a folder``; a pipe would never end."""
    found = kind_of(path)
    if found is None and not os.path.islink(path):
        raise InputError(f"{path} is missing, or may not be read; it must be {wanted}")
    if found != wanted:
        raise InputError(f"{path} must be {wanted}, got {found or 'a link that leads nowhere'}; check the path")


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Refuses content that this machine has no room for.

    Args:
        needed: bytes.
        what: what takes them, for the error.
        remedy: what to do instead.

    Raises:
        InputError: more is needed than is free.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"{what} takes {needed / 1e9:,.1f} GB, and this machine has {free / 1e9:,.1f} GB free; {remedy}"
        )


def free_memory() -> int | None:
    """Returns how many bytes this process may still take, or None where the system gives no figure."""
    found = [_available(), _group("memory.max", "memory.current")]
    found.append(_group("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _group(limit: str, usage: str) -> int | None:
    # A container's own limit is below the machine's. What its file cache holds is given back when it is needed.
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = (int((folder / name).read_text(encoding="ascii")) for name in (limit, usage))
        statistics = (folder / limit).with_name("memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    cached = sum(int(value) for key, value in map(str.split, statistics.splitlines()) if key == "inactive_file")
    return most - used + cached
