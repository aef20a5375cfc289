"""Compiles the augmentation kernel once for this machine, into the user's cache folder, and loads it from there."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from rolewise.errors import InputError, RunError
from rolewise.files import write_bytes

#: Set to ``off``, torch does all of the work, whether or not a kernel is built.
SWITCH = "ROLEWISE_KERNEL"
_SOURCE = Path(__file__).with_name("kernel.cpp")
#: Products and sums are rounded one by one, as torch rounds them, and whole numbers wrap.
_FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fwrapv", "-shared", "-fPIC", "-pthread")
_COMPILERS = ("g++", "c++", "clang++")


def kernel_path() -> Path:
    """Returns the file of this machine's kernel: its name holds a digest of the source, the flags and the processor."""
    folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(folder).expanduser() / "rolewise" / f"augmentation-kernel-{_digest()}.so"


def remove_kernel() -> None:
    """Removes this machine's kernel, where there is one."""
    path = kernel_path()
    for file in (_digest_path(path), path):
        file.unlink(missing_ok=True)
    _loaded.cache_clear()


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


@functools.cache
def _digest() -> str:
    # Code for one processor may hold instructions that another, with the same home folder, does not have.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    parts = [_SOURCE.read_text(encoding="utf-8"), *_flags(), platform.system(), features]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _flags() -> tuple[str, ...]:
    return (*_FLAGS, "-march=native") if platform.machine().lower() in ("x86_64", "amd64") else _FLAGS


def compile_kernel() -> Path:
    """Compiles the kernel, whether or not it is there already.

    Returns:
        Its file (see `kernel_path`).

    Raises:
        InputError: the CXX environment variable names no compiler.
        RunError: no compiler is installed, or the compiler fails.
    """
    path = kernel_path()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.so"
        command = [*_compiler(), *_flags(), str(_SOURCE), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            first = next((line for line in lines if "error" in line), "no message")
            raise RunError(f"the kernel could not be compiled by {command[0]}: {first}; augmentation goes on in torch")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = target.read_bytes()
        write_bytes(path, content)
        write_bytes(_digest_path(path), hashlib.sha256(content).hexdigest().encode())
    _loaded.cache_clear()
    return path


def _compiler() -> list[str]:
    named = os.environ.get("CXX", "").split()
    if named:
        if shutil.which(named[0]) is None:
            raise InputError(f"CXX must name a C++ compiler that is installed, got {named[0]!r}; correct or unset it")
        return named
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise RunError(
        f"building the kernel needs a C++ compiler, and none of {', '.join(_COMPILERS)} is installed; install one "
        "(Debian, Ubuntu: apt install g++; macOS: xcode-select --install), or go on without: torch gives the same bytes"
    )


def kernel_library() -> ctypes.CDLL | None:
    """Returns the kernel's library; None where it is not built, is damaged, does not load, or is switched off."""
    if os.environ.get(SWITCH, "").lower() == "off":
        return None
    return _loaded(os.environ.get("XDG_CACHE_HOME"))


@functools.cache
def _loaded(_folder: str | None) -> ctypes.CDLL | None:
    path = kernel_path()
    try:
        state = path.stat()
        # Code is run from this file: it must be the user's own.
        if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & 0o022):
            return None
        # A library that has lost a part would not fail to load, it would kill the process.
        if hashlib.sha256(path.read_bytes()).hexdigest().encode() != _digest_path(path).read_bytes():
            return None
        library = ctypes.CDLL(str(path))
        library.rolewise_apply.restype = None
        library.rolewise_apply.argtypes = [
            *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 5, *[ctypes.c_void_p] * 5, ctypes.c_int64
        ]  # fmt: skip
    except (OSError, AttributeError):
        return None
    return library
