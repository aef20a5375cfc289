"""The names of a file's tensors and those of a network: wrappers' prefixes, renaming by pattern, what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rolewise.errors import InputError, near

#: What wrappers put before the names of all tensors.
WRAPPERS = ("module.", "model.")
#: A part that torch.compile puts into the names, wherever the compiled module stands.
_COMPILED = "_orig_mod."
#: What `torch.optim.swa_utils.AveragedModel` counts beside the tensors of its network.
_COUNTERS = ("n_averaged",)


@dataclass(frozen=True)
class WeightRules:
    """The tensors of a file that are loaded, and their names in the network.

    Args:
        rename: pattern of a name in the file -> name in the network; each ``*`` stands for any characters, which the
            ``*`` of the same place on the right stands for too. Of several that fit, the one with most letters counts.
        leave_out: patterns of names in the network that are not loaded and keep their initial weights; what the file
            has under such names is left out.
        key: the dotted key of a checkpoint under which the tensors are; None to find them.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    key: str | None = None


def network_names(names: Sequence[str], wanted: Iterable[str], rules: WeightRules) -> dict[str, str]:
    """Returns the name in the network of each name in a file.

    A wrapper's prefix that all names have, and no name of the network, is taken off; then names are renamed.

    Args:
        names: names of the file.
        wanted: names of the network.
        rules: patterns by which they are renamed.

    Raises:
        InputError: a pattern has more stars on the right than on the left, fits nothing, or two names become equal;
            the path of the error is that of the rule.
    """
    wanted = list(wanted)
    bare = _unwrapped([name for name in names if name not in _COUNTERS or name in wanted], wanted)
    # The order in which a mapping was written decides nothing.
    ordered = sorted(rules.rename.items(), key=lambda rule: (rule[0].count("*") - len(rule[0]), rule[0]))
    used: set[str] = set()
    found: dict[str, str] = {}
    origin: dict[str, str] = {}
    for name, short in bare.items():
        new = short
        for pattern, target in ordered:
            if target.count("*") > pattern.count("*"):
                rule = f"must have no more stars on the right than on the left, got {pattern!r}: {target!r}; drop one"
                raise InputError(rule, path=("rename", pattern), rule=rule)
            matcher = _matcher(pattern)
            # Also as the file has it: who has looked there writes the wrapper's prefix.
            if (match := matcher.fullmatch(name) or matcher.fullmatch(short)) is not None:
                parts = iter(match.groups())
                new = "".join(next(parts) if part == "*" else part for part in re.split(r"(\*)", target))
                used.add(pattern)
                break
        if new in origin:
            rule = f"must give each tensor a name of its own: {origin[new]!r} and {name!r} both become {new!r}"
            raise InputError(rule, path=("rename",), rule=rule)
        found[name], origin[new] = new, name
    for pattern in rules.rename:
        if pattern not in used:
            rule = f"must fit a name in the file, and {pattern!r} fits none{_nearest(pattern, list(bare.values()))}"
            raise InputError(rule, path=("rename", pattern), rule=rule)
    return found


def kept_names(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """Returns the names that fit one of some patterns.

    Raises:
        InputError: a pattern fits none.
    """
    names = list(names)
    found: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in names if _matcher(pattern).fullmatch(name)}
        if not fitting:
            rule = f"must fit a name of the network or of the file, and {pattern!r} fits none{_nearest(pattern, names)}"
            raise InputError(rule, path=("except",), rule=rule)
        found |= fitting
    return found


def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _unwrapped(names: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Returns each name without what wrappers have put into all of them."""
    found = {name: name for name in names}
    if not any(_COMPILED in name for name in wanted):
        found = {name: name.replace(_COMPILED, "") for name in names}
    for prefix in WRAPPERS * 2:
        if any(name.startswith(prefix) for name in wanted):
            continue
        if found and all(name.startswith(prefix) for name in found.values()):
            found = {name: short.removeprefix(prefix) for name, short in found.items()}
    return found


def _nearest(pattern: str, names: Sequence[str]) -> str:
    hint = near(pattern, names)
    if "did you mean" in hint or not names:
        return hint if "did you mean" in hint else ""
    return f"; names there are such as {', '.join(names[:3])}"
