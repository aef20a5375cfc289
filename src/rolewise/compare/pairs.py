"""A pair of networks as a person writes it, and a list of methods."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rolewise.errors import InputError, near
from rolewise.foreign_code import is_import_path
from rolewise.models import MODELS
from rolewise.models.zoo import in_zoo

#: Names of networks in tables that are not theirs here but for dots, dashes and letters' cases.
_OTHER_NAMES = {
    "mobilenetv2half": "mobilenet_v2",
    "mv2": "mobilenet_v2",
    "shufflev1": "shufflenet_v1",
    "shufflev2": "shufflenet_v2",
    "shuv1": "shufflenet_v1",
    "shuv2": "shufflenet_v2",
}


def pair_of(text: str) -> tuple[str, str]:
    """Returns the names of the two networks of a pair.

    Args:
        text: ``resnet56:resnet20``, teacher first; with a comma in between where a name has a colon itself, such as
            ``timm:resnet34,timm:resnet18``.

    Raises:
        InputError: there are not two, or a network is unknown.
    """
    parts = text.split(",") if "," in text else text.split(":")
    if len(parts) != 2 or not all(part.strip() for part in parts):
        raise InputError(
            f"--pair must be two networks, teacher:student, such as resnet56:resnet20, got {text!r}; names with a "
            "colon are separated by a comma"
        )
    teacher, student = (network_name(part) for part in parts)
    return teacher, student


def network_name(text: str) -> str:
    """Returns the registered name of a network that may be written as tables do: ``wrn40-2``, ``ResNet56``.

    Raises:
        InputError: no network is meant by it.
    """
    name = text.strip()
    if name in MODELS or in_zoo(name) or is_import_path(name):
        return name
    bare = {_bare(known): known for known in MODELS} | _OTHER_NAMES
    found = bare.get(_bare(name))
    if found in MODELS:
        return str(found)
    raise InputError(f"--pair must be of known networks, got {name!r}{near(name, list(MODELS))}")


def _bare(name: str) -> str:
    """Returns a name without what tables write in different ways."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def names_in(text: str, what: str) -> list[str]:
    """Returns the entries of a list that is separated by commas.

    Args:
        text: the list.
        what: name of the option.

    Raises:
        InputError: it has an empty entry, or the same one twice.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"{what} must be names separated by commas, such as kd,dkd, got {text!r}")
    if again := _repeated(names):
        raise InputError(f"{what} must name each once, got {again!r} again; remove one")
    return names


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
