"""Files of methods stay small, and no two hold the same lines: what is shared is a part of its own."""

from __future__ import annotations

import ast
import statistics
from collections import defaultdict
from pathlib import Path

import rolewise.distill.methods

FILES = [
    file for file in sorted(Path(rolewise.distill.methods.__file__).parent.glob("*.py")) if file.stem != "__init__"
]
#: Lines in a row that no two files have in common.
SHARED = 6


def statements(text: str) -> list[str]:
    """Returns the lines of a file but for imports, docstrings, decorators and empty ones."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        parts: list[ast.AST] = list(getattr(node, "decorator_list", []))
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parts.append(node)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            parts.append(node.body[0])
        for part in parts:
            left_out |= set(range(part.lineno, part.end_lineno + 1))
    return [line.strip() for number, line in enumerate(text.splitlines(), 1) if number not in left_out and line.strip()]


def shared(texts: dict[str, str]) -> list[set[str]]:
    places: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, text in texts.items():
        lines = statements(text)
        for begin in range(len(lines) - SHARED + 1):
            places[tuple(lines[begin : begin + SHARED])].add(name)
    return [names for names in places.values() if len(names) > 1]


def test_files_of_methods_are_small() -> None:
    lengths = [len(file.read_text("utf-8").splitlines()) for file in FILES]
    assert statistics.median(lengths) <= 70 and max(lengths) <= 150


def test_no_two_methods_share_six_lines() -> None:
    assert shared({file.name: file.read_text("utf-8") for file in FILES}) == []


def test_lines_in_two_files_are_found() -> None:
    body = "".join(f"    x = {number}\n" for number in range(SHARED))
    texts = {name: f'import {name}\n\n\ndef {name}():\n    """Returns {name}."""\n{body}' for name in ("a", "b")}
    assert shared(texts) == [{"a", "b"}]
