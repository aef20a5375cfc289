"""Checks that the pinned packages exist for every version of Python and every system that the README names.

    python tools/check_pins.py

An install is worked out for each by uv and nothing is installed: with PyTorch as the package index has it, which for
Linux is the one with CUDA, and what that asks for. It needs the index. The exit code is 1 where one cannot be had.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: Systems, with the extras that are installed there.
SYSTEMS = {
    "x86_64-manylinux_2_28": ("dev", "examples", "ray", "triton"),
    "macos": ("dev", "examples", "ray"),
    "windows": ("dev", "examples", "ray"),
}
# What PyTorch's builds for a Mac are made for; and the machine's own certificates, which pip takes too.
SETTINGS = {"MACOSX_DEPLOYMENT_TARGET": "14.0", "UV_SYSTEM_CERTS": "1"}


def fault(python: str, system: str) -> str:
    """Returns why the packages cannot be installed together, or nothing."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--no-build", "--no-header"]
    command += ["--constraint", "constraints.txt", "--python-version", python, "--python-platform", system]
    command += [f"--extra={extra}" for extra in SYSTEMS[system]]
    done = subprocess.run(
        [*command, "pyproject.toml"], cwd=ROOT, env={**os.environ, **SETTINGS}, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stderr.strip() or f"uv ended with {done.returncode}"


def main() -> int:
    """Prints a line for each version and system; returns the exit code."""
    faults = 0
    for python in PYTHONS:
        for system in SYSTEMS:
            reason = fault(python, system)
            faults += bool(reason)
            print(f"Python {python} on {system}: {reason or 'installs'}", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
