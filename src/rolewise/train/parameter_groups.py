"""Groups of parameters with settings of their own, and frozen parts: chosen by path, class of module or role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from torch import nn

from rolewise.config.selection_sections import FreezeSettings, GroupSettings, Selection
from rolewise.distill import Distiller
from rolewise.errors import InputError, near

#: The role of the learned parts of terms.
TERMS = "terms"


def chosen(roots: Mapping[str, nn.Module], selection: Selection) -> tuple[dict[str, nn.Parameter], list[nn.Module]]:
    """Returns the parameters that a selection chooses, by role and path, and the modules.

    Args:
        roots: the networks by role.
        selection: the rule.

    Raises:
        InputError: it chooses nothing.
    """
    parameters: dict[str, nn.Parameter] = {}
    modules, known = [], set[str]()
    for role, root in roots.items():
        if selection.role == role or (selection.role == "student" and role != TERMS):
            for path, module in _of_class(root, selection.module):
                own = {
                    f"{path}.{name}" if path else name: weight
                    for name, weight in module.named_parameters(recurse=False)
                }
                known |= {*own, path}
                found = {name: weight for name, weight in own.items() if _matches(name, selection.match)}
                parameters |= {f"{role}.{name}": weight for name, weight in found.items()}
                if found or _matches(path, selection.match):
                    modules.append(module)
    if not modules:
        if selection.role not in (roles := list(dict.fromkeys(["student", *roots]))):
            raise InputError(f"role must be one of {', '.join(roles)}, got {selection.role!r}")
        if not known:
            what = f"module {selection.module}" if selection.module else f"role {selection.role}"
            raise InputError(f"a selection ({selection}) must choose a part of a network, got none of {what}")
        raise InputError(
            f"match must be a path of a network, got {selection.match!r}{near(selection.match, known - {''})}"
        )
    return parameters, modules


def roots_of(distiller: Distiller) -> dict[str, nn.Module]:
    """Returns the students and the learned parts of terms by role."""
    return {**distiller.students, TERMS: distiller.terms}


def freeze_selected(distiller: Distiller, rules: tuple[FreezeSettings, ...]) -> list[nn.Module]:
    """Freezes parts of the students in place.

    Args:
        distiller: students and terms.
        rules: the parts to be frozen.

    Returns:
        The modules that stay in eval mode.

    Raises:
        InputError: a rule chooses nothing.
    """
    still = []
    for rule in rules:
        parameters, modules = chosen(roots_of(distiller), rule)
        for parameter in parameters.values():
            parameter.requires_grad_(False)
        still += modules if rule.eval else []
    return still


def grouped(
    distiller: Distiller, groups: tuple[GroupSettings, ...]
) -> list[tuple[list[nn.Parameter], GroupSettings | None]]:
    """Returns the parameters that are trained, those without a group first; the first group that chooses one has it.

    Args:
        distiller: students and terms.
        groups: their rules.

    Raises:
        InputError: a rule chooses no parameter that is trained and in no group before it.
    """
    rest = {id(parameter): parameter for parameter in distiller.trainable_parameters()}
    if not rest:
        raise InputError("a Distiller must have parameters to train, got none: all of them are frozen; unfreeze a part")
    found: list[tuple[list[nn.Parameter], GroupSettings | None]] = []
    for group in groups:
        parameters, _ = chosen(roots_of(distiller), group)
        own = [rest.pop(id(parameter)) for parameter in parameters.values() if id(parameter) in rest]
        if not own:
            raise InputError(
                f"a group ({group}) must choose parameters that are trained and in no group before it, got none"
            )
        found.append((own, group))
    return [*([(list(rest.values()), None)] if rest else []), *found]


def _of_class(root: nn.Module, name: str | None) -> Iterator[tuple[str, nn.Module]]:
    """Gives the modules of a class and all within them, with their paths; every module where no class is named."""
    inside: list[str] = []
    for path, module in root.named_modules():
        below = any(path.startswith(f"{outer}.") or not outer for outer in inside)
        if name is None or below or any(kind.__name__ == name for kind in type(module).__mro__):
            inside += [] if below or name is None else [path]
            yield path, module


def _matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")
