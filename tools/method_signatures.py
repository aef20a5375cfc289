"""Writes what a type checker and an editor know of the methods: ``src/rolewise/distill/signatures.pyi``.

python tools/method_signatures.py            after a method or one of its settings has changed; a test finds what is old
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from rolewise.distill import COMBINATIONS, METHODS
from rolewise.distill.method_makers import COMMON, signature_of

PLACE = Path(__file__).resolve().parent.parent / "src" / "rolewise" / "distill" / "signatures.pyi"
_HEAD = '''"""The methods as functions, for type checkers and editors: written by tools/method_signatures.py."""

from collections.abc import Sequence
from typing import Any, Literal

'''
_TAIL = """
from rolewise.distill.method import Method
from rolewise.moving_weight import Weight

"""


def written(annotation: Any) -> str:
    """Returns a type as source text."""
    if annotation == COMMON["weight"][0]:
        return "float | Weight | dict[str, Any]"
    if annotation == COMMON["student_taps"][0]:
        return "str | Sequence[str]"
    if annotation is COMMON["teacher"][0]:
        return "str | Sequence[str] | None"
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(map(repr, get_args(annotation)))}]"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def text() -> str:
    """Returns the file's text before it is formatted."""
    names = sorted(COMBINATIONS)
    functions = []
    for name in METHODS:
        signature = signature_of(METHODS[name])
        parameters = [
            f"{one.name}: {written(one.annotation)} = {one.default!r}" for one in signature.parameters.values()
        ]
        functions.append(f"def {name}(*, {', '.join(parameters)}) -> Method:\n    {docstring(name)}\n")
    combined = "".join(f"from {COMBINATIONS[name].__module__} import {name} as {name}\n" for name in names)
    return _HEAD + combined + _TAIL.lstrip("\n") + "\n".join(functions)


def docstring(name: str) -> str:
    """Returns the first line of a method's documentation, as source text."""
    summary = METHODS[name].summary.replace("\\", "\\\\")
    assert summary, f"{name} must have a docstring"
    return f'"""{summary}"""'


def formatted(source: str) -> str:
    """Returns source text as ruff formats it."""
    command = [str(Path(sys.executable).parent / "ruff"), "format", "--stdin-filename", str(PLACE), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def parameters_of(source: str) -> dict[str, list[str]]:
    """Returns the parameters of each function of a stub, each as source text; for a comparison whatever the format."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            values = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            found[node.name] = [f"{ast.unparse(one)} = {value and ast.unparse(value)}" for one, value in values]
    return found


def main() -> None:
    """Writes the file."""
    PLACE.write_text(formatted(text()), encoding="utf-8")
    print(f"{PLACE.name}: {len(METHODS)} methods")


if __name__ == "__main__":
    main()
