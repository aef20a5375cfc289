"""What one step crosses, and how long the two functions are that everybody reads: held, so that they stay readable."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolewise.distill import Distiller
from rolewise.train.step import train_step

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from step_crossings import of_a_step  # type: ignore[import-not-found]


def code_lines(function: Callable[..., Any]) -> int:
    """Returns the number of lines of a function's body that hold code."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    return len({line for part in body for node in ast.walk(part) if hasattr(node, "lineno") for line in [node.lineno]})


@pytest.mark.parametrize("function", [Distiller.forward, train_step])
def test_the_two_functions_of_a_step_read_from_top_to_bottom(function: Callable[..., Any]) -> None:
    assert code_lines(function) <= 40
    assert len([name for name in inspect.signature(function).parameters if name != "self"]) <= 6


def test_lines_of_code_are_counted() -> None:
    assert code_lines(code_lines) == 4


@pytest.mark.skipif(sys.version_info < (3, 11), reason="code has no qualified name before Python 3.11")
def test_a_step_crosses_few_files_and_functions() -> None:
    calls = of_a_step()
    assert ("distill/distiller.py", "Distiller.forward") in calls and ("train/step.py", "train_step") in calls
    assert len({file for file, _ in calls}) <= 20, sorted({file for file, _ in calls})
    assert len(calls) <= 70
