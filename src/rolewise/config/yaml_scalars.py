"""Plain values of YAML: numbers as people write them, two booleans, and text for everything else."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from rolewise.words import quoted_value as quoted_value

_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def plain(text: str) -> Any:
    """Returns the value of an unquoted word.

    ``1e-3`` is a number, which PyYAML takes for text; ``no`` and ``off`` are text, which PyYAML takes for booleans.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text


def strange_character(text: str) -> str:
    """Names the first character that no setting needs and no file name survives; empty where there is none."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            return f"U+{ord(character):04X}"
    return ""


def kind(value: Any) -> str:
    """Returns the kind of a value, in words."""
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else quoted_value(value)
