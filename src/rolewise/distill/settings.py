"""The faults of a method's settings, each with the way to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rolewise.distill.checks import Limit, check_choice, check_limit, check_switch
from rolewise.distill.term_weights import weight_of
from rolewise.errors import InputError, near, without_name
from rolewise.typed_values import type_fault

_TAPS = ("student_taps", "teacher_taps")
#: What links a method to networks, and its term's name.
ROLES = ("name", "teacher", "student")


def setting_faults(
    owner: str,
    known: Mapping[str, Any],
    limits: Mapping[str, Limit],
    choices: Mapping[str, tuple[str, ...]],
    types: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Iterator[InputError]:
    """Gives an error for every setting that is wrong.

    Args:
        owner: the method's name.
        known: its settings with their defaults, ``weight`` and taps among them.
        limits: of its numbers.
        choices: of its settings that take certain names alone.
        types: of its settings, from the loss's signature.
        settings: the given settings.
    """
    taps: dict[str, int] = {}
    for key, value in settings.items():
        try:
            if key not in known:
                raise no_setting(owner, key, known)
            if key == "weight":
                weight_of(value)
            elif key in ROLES:
                check_role(key, value)
            elif key in _TAPS:
                taps[key] = len(tap_names(value, key))
            elif key in limits:
                check_limit(key, value, limits[key], owner=owner)
            elif key in choices:
                check_choice(key, value, choices[key], owner=owner)
            elif isinstance(known[key], bool):
                check_switch(key, value, owner=owner)
            elif key in types and (rule := type_fault(value, types[key])):
                raise InputError.at((key,), f"must be {rule}, got {value!r}", owner=owner)
        except InputError as error:
            yield error
    numbers = [taps.get(key, 0) for key in _TAPS]
    # Taps that are wrong in themselves are said to be that.
    if numbers[0] != numbers[1] and all(key in taps for key in _TAPS if key in settings):
        counts = f"got {numbers[0]} and {numbers[1]}; name as many of each"
        rule = f"student_taps and teacher_taps must be equally many, {counts}"
        yield InputError(f'"{owner}": {rule}', path=(next(iter(taps)),), rule=rule)


def no_setting(owner: str, key: str, known: Iterable[str]) -> InputError:
    """Returns the error for a setting that its owner does not have."""
    hint = near(key, known)
    rule = f'no such setting of "{owner}"'
    return InputError(f"{rule}: {key!r}{hint}", path=(key,), rule=f"{rule}{hint}")


def tap_names(value: Any, key: str) -> tuple[str, ...]:
    """Returns tap names or module paths, of which one may be given by itself.

    Raises:
        InputError: it is neither text nor a list of text.
    """
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise InputError.at((key,), f"must be a tap's name, a module path or a list of these, got {value!r}")
    return names


def check_role(key: str, value: object) -> None:
    """Raises InputError unless a role, or a term's name, is a word: letters, digits and underscores, or None."""
    roles = value if key == "teacher" and isinstance(value, (list, tuple)) and value else [value]
    if value is None or all(_is_word(role) for role in roles):
        return
    raise InputError.at(
        (key,), f'must be a word of letters, digits and "_", other than labels and total, got {value!r}'
    )


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier() and value not in ("labels", "total")


def method_key(section: Mapping[str, Any]) -> str:
    """Returns the setting of a method's section that holds the method: ``method``, beside which ``name`` is the term's.

    Args:
        section: a mapping with ``name``, or with ``method``.
    """
    return "method" if "method" in section else "name"


def method_name(section: Mapping[str, Any]) -> str:
    """Returns the key of a section's method, which need not be registered."""
    return str(section.get(method_key(section)))


def named(section: object, known: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Returns the key and the settings of a method's section in a config.

    Args:
        section: a mapping with the method's key as ``name``; or as ``method`` where ``name`` is that of its term.
        known: the keys there are.

    Raises:
        InputError: it is no mapping of settings, or names no method.
    """
    key = method_key(section) if isinstance(section, Mapping) else "name"
    if not isinstance(section, Mapping) or not isinstance(section.get(key), str):
        rule = f"must have a name, got {section!r}{without_name(section, known)}"
        raise InputError(f"a method {rule}", path=(key,), rule=rule)
    return section[key], {str(setting): value for setting, value in section.items() if setting != key}
