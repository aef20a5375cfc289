"""Checks of the settings of object detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rolewise.errors import InputError


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_side_pair(value: object) -> bool:
    sides = list(value) if isinstance(value, (list, tuple)) else []
    return len(sides) == 2 and all(map(_is_number, sides)) and 0 < sides[0] < sides[1]


def _is_weight(value: object) -> bool:
    return isinstance(value, (int, float)) and _is_number(value) and 0 <= value < 1e9


#: For each setting whether a value is one, and what it must be.
_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "box_weight": (_is_weight, "a number of at least 0"),
    "distribution_weight": (_is_weight, "a number of at least 0"),
    "gamma": (_is_weight, "a number of at least 0"),
    "radius": (lambda value: _is_weight(value) and value != 0, "a number above 0, in strides"),
    "score": (lambda value: _is_weight(value) and float(value) < 1, "at least 0 and below 1"),  # type: ignore[arg-type]
    "overlap": (lambda value: _is_weight(value) and 0 < float(value) <= 1, "above 0 and at most 1"),  # type: ignore[arg-type]
    "most": (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
        "a whole number of at least 1",
    ),
    "areas": (_is_side_pair, "two ascending sides in pixels, such as [32, 96]"),
    "background": (lambda value: isinstance(value, bool), "true or false"),
}


def check_detection_settings(settings: Mapping[str, object]) -> None:
    """Refuses settings of `rolewise.tasks.Detection` that are out of range.

    Args:
        settings: values by name.

    Raises:
        InputError: a setting is out of range.
    """
    for name, value in settings.items():
        is_right, wanted = _RULES[name]
        if not is_right(value):
            raise InputError(f"{name} must be {wanted}, got {value!r}")
