"""Whether weights are those of a network: what is missing, what is left over, and why that may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rolewise.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]

#: What wrappers put before the names of all tensors, and who does so.
PREFIXES = {
    "module.": "DataParallel and DistributedDataParallel save them",
    "_orig_mod.": "torch.compile saves them",
    "model.": "a module that holds the network as .model saves them",
}
#: Names that are shown of a list, before it is counted.
_SHOWN = 3


def check_fit(wanted: Shapes, given: Shapes, path: Path, *, patterns: bool = False) -> None:
    """Makes sure that a file's tensors are those of a network.

    Args:
        wanted: shapes of the network's state dict, by name.
        given: those of the file.
        path: the file, for the error.
        patterns: whether names can be changed and left out by patterns; the error then proposes them.

    Raises:
        InputError: some are missing, left over, or of another shape; a few are named and all are counted.
    """
    if dict(wanted) == dict(given):
        return
    if not patterns:
        _refuse_prefix(wanted, given, path)
    missing = [name for name in wanted if name not in given]
    more = [name for name in given if name not in wanted]
    differing = [name for name in wanted if name in given and given[name] != wanted[name]]
    shapes = [f"{name} {list(given[name])} in the file, {list(wanted[name])} in the network" for name in differing]
    parts = [
        f"{len(found)} {what} ({_few(found)})"
        for what, found in (
            ("of the network's tensors are not in the file", missing),
            ("of the file's are not in the network", more),
            ("have another shape", shapes),
        )
        if found
    ]
    remedy = "give the network's name and arguments that they were trained with, or other weights"
    if patterns:
        remedy = _remedy(wanted, given, missing, more, differing) or remedy
    raise InputError(
        f"weights {path} are those of another network: of {len(wanted)} tensors, " + "; ".join(parts) + f"; {remedy}"
    )


def _refuse_prefix(wanted: Shapes, given: Shapes, path: Path) -> None:
    for prefix, who in PREFIXES.items():
        bare = {name.removeprefix(prefix): shape for name, shape in given.items()}
        if all(name.startswith(prefix) for name in given) and bare == dict(wanted):
            raise InputError(
                f'weights {path} are of this network, but each name begins with "{prefix}", as {who}; take it off:\n'
                "  from safetensors.torch import load_file, save_file\n"
                f'  state = load_file("{path}")\n'
                f'  state = {{name.removeprefix("{prefix}"): tensor for name, tensor in state.items()}}\n'
                f'  save_file(state, "{path.with_stem(path.stem + "-bare").name}")'
            )


def _remedy(
    wanted: Shapes, given: Shapes, missing: Sequence[str], more: Sequence[str], differing: Sequence[str]
) -> str | None:
    """Returns the pattern that would make the weights fit, where one of the usual would; None where none does."""
    for name in more:
        ends = [end for end in missing if name.endswith(f".{end}")]
        prefix = name.removesuffix(max(ends, key=len)) if ends else ""
        if prefix and all(given.get(prefix + end) == wanted[end] for end in missing):
            others = [name for name in more if not name.startswith(prefix)]
            also = f', and except: ["{others[0]}", ...] for what is over' if others else ""
            return f'names in the file begin with "{prefix}": add rename: {{"{prefix}*": "*"}}{also}'
    for name in missing:
        ends = [end for end in more if name.endswith(f".{end}")]
        prefix = name.removesuffix(max(ends, key=len)) if ends else ""
        if prefix and all(end.startswith(prefix) and end.removeprefix(prefix) in given for end in missing):
            return f'names in the network begin with "{prefix}": add rename: {{"*": "{prefix}*"}}'
    odd = {name.rpartition(".")[0] for name in (*missing, *more, *differing)}
    if len(odd) == 1 and "" not in odd:
        layer = odd.pop()
        more_classes = (
            " or map its classes by label_map," if differing and given[differing[0]] > wanted[differing[0]] else ""
        )
        return (
            f'only {layer} differs: leave it out by except: ["{layer}.*"],{more_classes} or give the network the '
            "arguments it had"
        )
    if not differing and not missing:
        return f'to leave out what is over, add except: ["{more[0]}", ...]'
    return None


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
