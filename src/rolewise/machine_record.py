"""The machine on which a run was made, and the versions: what else the figures of a seed depend on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rolewise.errors import InputError
from rolewise.files import read_json

#: Packages whose version may change the result of a training.
_COUNTING = ("rolewise", "torch", "numpy")


class MachineWarning(UserWarning):
    """Parts of a run are computed on machines of several kinds, or with several versions."""


def machine() -> dict[str, Any]:
    """Returns the description of the machine and of the versions that count.

    The processor counts too: torch chooses its operations by the instructions that it has, and these round, and some
    of them draw, otherwise.
    """
    packages = {}
    for name in ("rolewise", "torch", "numpy", "scikit-learn", "pydantic", "safetensors"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": packages,
    }


def _processor() -> str:
    # Python's own answer is empty on most Linux.
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def device_kind(environment: Mapping[str, Any]) -> str:
    """Returns the kind of device, ``"cpu"`` or ``"cuda"``, that trained.

    Args:
        environment: content of an environment.json.
    """
    device = str(environment.get("device", "auto")).split(":")[0]
    return ("cuda" if environment.get("gpu") else "cpu") if device == "auto" else device


def machine_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Returns a phrase for each version, device and processor in which two environments differ.

    A field that one of them lacks, as those of early releases do, is passed over.

    Args:
        first: content of an environment.json.
        second: of another.
    """
    lines = []
    versions = [dict(one.get("packages") or {}) for one in (first, second)]
    for name in _COUNTING:
        pair = [known.get(name) for known in versions]
        if None not in pair and pair[0] != pair[1]:
            lines.append(f"{name} {pair[0]} and {pair[1]}")
    devices = [device_kind(one) for one in (first, second) if one]
    if len(set(devices)) > 1:
        return [*lines, f"devices {' and '.join(devices)}"]
    chips = [_chip(one) for one in (first, second)]
    if "" not in chips and chips[0] != chips[1]:
        lines.append(" and ".join(chips))
    return lines


def warn_of_another_machine(root: Path) -> None:
    """Warns where a run or study was begun on another machine, or with other versions.

    Args:
        root: its folder.
    """
    try:
        begun = read_json(root / "environment.json", "the environment")
    except InputError:
        return  # whoever needs the environment says what is wrong with it
    if isinstance(begun, dict) and (
        found := machine_differences(begun, machine() | {"device": begun.get("device", "auto")})
    ):
        warnings.warn(
            f"{root} was begun on another machine, or with other versions (then and now: {'; '.join(found)}); what is "
            "trained from here on rounds differently from there; for figures of one machine begin anew with --fresh",
            MachineWarning,
            stacklevel=3,
        )


class WorkersMachines:
    """The machines of one run's workers, of which each that is unlike the first is warned of.

    Args:
        gpus: whether workers compute on GPUs. Without, the first is this process's machine; the process that plans
            the work need have no GPU.
    """

    def __init__(self, gpus: bool) -> None:
        self._device = "cuda" if gpus else "cpu"
        self._first = None if gpus else machine()
        self._said: set[str] = set()

    def add(self, found: Mapping[str, Any]) -> None:
        """Takes a worker's machine.

        Args:
            found: the answer of `machine` there.
        """
        if self._first is None:
            self._first = dict(found)
        device = {"device": self._device}
        said = "; ".join(machine_differences({**self._first, **device}, {**found, **device}))
        if said and said not in self._said:
            self._said.add(said)
            warnings.warn(
                f"workers are on unlike machines, or have other versions ({said}); these round differently, so that "
                "what a seed gives depends on which of them trained it: use machines of one kind, or hold all "
                "processors to the same instructions (docs/training.md)",
                MachineWarning,
                stacklevel=2,
            )


def _chip(environment: Mapping[str, Any]) -> str:
    names = ("gpu",) if device_kind(environment) == "cuda" else ("processor", "instructions")
    return " with ".join(str(environment[name]) for name in names if environment.get(name))
