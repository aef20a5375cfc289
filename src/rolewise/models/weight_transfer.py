"""Weights of a file into a network: what goes where, the loading itself, and a table of what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models.published_names import published_names
from rolewise.models.weight_file import WeightFile, read_weights
from rolewise.models.weight_fit import check_fit
from rolewise.models.weight_names import WeightRules, kept_names, network_names

#: Characters of a line of the table, and names that a file's list of them holds at the most.
_WIDTH, _LISTED = 78, 20


@dataclass(frozen=True)
class WeightReport:
    """A report on the tensors of a file: loaded, renamed, left out, missing.

    Args:
        file: the file.
        key: the key of a checkpoint that they were under; empty for bare tensors.
        loaded: names in the network of what was loaded.
        renamed: (name in the file, name in the network) of what has another name there.
        left_out: names in the file of what was not loaded.
        missing: names in the network of what keeps its initial weights.
        beside: other keys of the checkpoint that hold tensors.
    """

    file: str
    key: str
    loaded: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    beside: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns counts and the first names, as plain values."""
        rows = {name: {"count": len(names), "first": list(names[:_LISTED])} for name, names in self._rows()}
        return {"file": self.file, "key": self.key, "beside": list(self.beside), **rows}

    def table(self, title: str) -> str:
        """Returns a small table of counts and first names, at most 80 columns wide but for the file's name.

        Args:
            title: the setting that names the file.
        """
        under = f", under {self.key}" if self.key else ""
        lines = [f"{title}: {self.file}{under}"]
        lines += [_row(name, names) for name, names in self._rows() if names or name == "loaded"]
        if self.beside:
            lines.append(f"  {'beside it':9} {'':>5}  {', '.join(self.beside)} (take another by key: ...)")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, Sequence[str]]]:
        return [
            ("loaded", self.loaded),
            ("renamed", [f"{old} -> {new}" for old, new in self.renamed]),
            ("left out", self.left_out),
            ("missing", self.missing),
        ]


def plan_weights(
    wanted: Mapping[str, Tensor], file: WeightFile, rules: WeightRules
) -> tuple[dict[str, str], WeightReport]:
    """Assigns the tensors of a file to those of a network.

    Args:
        wanted: the network's state dict, on any device, ``meta`` among them.
        file: the tensors.
        rules: names that change, and tensors that are left out.

    Returns:
        Name in the file -> name in the network of what is loaded; and the report.

    Raises:
        InputError: a rule fits nothing, or what is left does not fit the network exactly.
    """
    names = network_names(list(file.tensors), wanted, rules)
    kept = kept_names({*wanted, *names.values()}, rules.leave_out)
    given = {new: tuple(file.tensors[old].shape) for old, new in names.items() if new not in kept}
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items() if name not in kept}
    if not shapes:
        rule = "must leave some of the network's tensors to be loaded, got patterns that fit all; leave it out"
        raise InputError(rule, path=("except",), rule=rule)
    check_fit(shapes, given, file.path, patterns=True)
    for old, new in names.items():
        if new in given and file.tensors[old].is_floating_point() != wanted[new].is_floating_point():
            if file.tensors[old].is_meta:
                continue  # of a head alone the types are not kept
            types = [str(tensor.dtype).removeprefix("torch.") for tensor in (file.tensors[old], wanted[new])]
            raise InputError(
                f"weights {file.path} have {old} as {types[0]}, and the network as {types[1]}; convert them"
            )
    # In the network's order: that of a file is the writer's, or none.
    origin = {new: old for old, new in names.items()}
    loaded = {origin[name]: name for name in shapes}
    report = WeightReport(
        file=str(file.path),
        key=file.key,
        loaded=tuple(loaded.values()),
        renamed=tuple((old, new) for old, new in loaded.items() if old != new),
        left_out=tuple(sorted(old for old in file.tensors if old not in loaded)),
        missing=tuple(name for name in wanted if name in kept),
        beside=file.beside,
    )
    return loaded, report


def fitting_weights(network: nn.Module, path: Path, rules: WeightRules) -> WeightReport:
    """Returns the report of loading a file; the numbers in it are not read.

    Args:
        network: on any device, ``meta`` among them.
        path: the file.
        rules: names that change, and tensors that are left out.

    Raises:
        InputError: the file cannot be read, a rule fits nothing, or the weights are of another network.
    """
    file = read_weights(path, rules.key, content=False)
    return plan_weights(network.state_dict(), file, _own_rules(network, file, rules))[1]


@torch.no_grad()
def take_weights(network: nn.Module, path: Path, rules: WeightRules | None = None) -> WeightReport:
    """Loads weights of a file, wherever they are from, into a network.

    Args:
        network: any network; its tensors keep their types and devices.
        path: safetensors, a file of ``torch.save``, or a list of shards of either (see
            `rolewise.models.weight_file.read_weights`).
        rules: names that change, and tensors that are left out; by default everything must fit.

    Returns:
        The report of the loading.

    Raises:
        InputError: as of `fitting_weights`, or a number is not finite.
    """
    rules = rules or WeightRules()
    file = read_weights(path, rules.key)
    state = network.state_dict()
    loaded, report = plan_weights(state, file, _own_rules(network, file, rules))
    for old, new in loaded.items():
        tensor = file.tensors[old]
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"weights {path} must be finite, and {old} has numbers that are not; take others")
        state[new].copy_(tensor)
    return report


def _own_rules(network: nn.Module, file: WeightFile, rules: WeightRules) -> WeightRules:
    """Returns the rules of a network that is a part of others, or has a head beside them, where none are given.

    Such a network names its tensors in a file by ``names_in``; its head keeps its initial weights where the file has
    none, and what the file has beside them is left out. Published checkpoints have names that are known.
    """
    if rules.rename or rules.leave_out:
        return rules
    if not hasattr(network, "names_in"):
        state = network.state_dict()
        found = published_names(list(file.tensors), state)
        counters = tuple(name for name in state if name not in found.values()) if found else ()
        return WeightRules(found, counters, rules.key) if found else rules
    names: dict[str, str] = network.names_in(list(file.tensors))  # type: ignore[operator]
    heads = [name for name in network.state_dict() if name not in names and name.startswith("head.")]
    beside = [name for name in file.tensors if name not in names.values()]
    return WeightRules({old: new for new, old in names.items()}, (*heads, *beside), rules.key)


def _row(name: str, names: Sequence[str]) -> str:
    """Returns one line: what was done, with how many tensors, and as many of their names as it has room for."""
    line = f"  {name:9} {len(names):>5}  "
    shown: list[str] = []
    for one in names:
        if len(line) + len(", ".join([*shown, one, "..."])) > _WIDTH and shown:
            return line + ", ".join([*shown, "..."])
        shown.append(one)
    return line + ", ".join(shown)
