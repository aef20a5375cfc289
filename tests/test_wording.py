"""The words of docstrings and messages: plain English in the field's terms, as CONTRIBUTING.md has it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "rolewise"

QUESTIONS = "what|whatever|who|whoever|whom|whose|which|how|where|why"
# Data do not speak. What stands in the sentences of a result is left: "cannot be told", "says nothing about noise".
SPEECH = re.compile(
    r"\b(?:ask(?:s|ed|ing)?|tells?|told|telling|sa(?:y|ys|id|ying)|speaks?|spoken|hears?|heard)\b", re.I
)
IDIOMS = re.compile(r"can(?:not)? be told|could not be told|says nothing about noise|``ask``|^ +ask:", re.I | re.M)
# A first line is verb and object, or a noun phrase: "Returns the number of", and not "Returns how many".
FIRST_LINE = re.compile(rf"(?:(?:returns|gives|yields|reads|writes|checks|makes|draws) )?(?:{QUESTIONS})\b", re.I)
# An entry of Args, Raises or attributes, and the text of Returns, is a noun phrase that stands alone.
ENTRY = re.compile(
    rf"^ +\*{{0,2}}\w+: (?:{QUESTIONS}|likewise|of it|the same)\b|^ +Returns:\n +(?:{QUESTIONS})\b", re.I | re.M
)
PHRASES = re.compile(
    r"\b(?:what (?:came|comes|becomes|became) of|what (?:it|he|she|they|this) came to|at the least|goes back twice|"
    r"to go on|gone on with|goes? on (?:with|from)|well configured|ours|theirs)\b|likelihood \(`*nll",
    re.I,
)


def faults(source: str) -> Iterator[str]:
    """Gives one line for each wording of a file's docstrings and messages that a reader would stumble over."""
    tree = ast.parse(source)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)  # type: ignore[attr-defined]
        for node in ast.walk(tree)
        if isinstance(node, kinds) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        text, is_docstring = IDIOMS.sub("", node.value), id(node) in docstrings
        if not is_docstring and " " not in text:  # a key or a name
            continue
        found = [*SPEECH.finditer(text), *PHRASES.finditer(text)]
        if is_docstring:
            first = FIRST_LINE.match(text.lstrip())
            found += [*ENTRY.finditer(text), *([first] if first else [])]
        for match in found:
            yield f"{node.lineno}: {match[0].strip()!r}"


def faults_by_room(package: Path) -> dict[str, list[str]]:
    """Gives the faults of every room that has some; files beside the rooms are the ground floor."""
    rooms: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        room = name.parts[0] if len(name.parts) > 1 else "ground"
        rooms.setdefault(room, []).extend(f"{name}:{fault}" for fault in faults(path.read_text(encoding="utf-8")))
    return {room: lines for room, lines in rooms.items() if lines}


def test_docstrings_and_messages_are_in_plain_words():
    assert not [line for lines in faults_by_room(PACKAGE).values() for line in lines]


@pytest.mark.parametrize(
    "docstring",
    [
        "Takes what came of an interval.",
        "What an attack makes large.",
        "Returns how many images there are.",
        "Reads what `write` wrote.",
        "Who carries out orders: this process, or others.",
        "Runs.\n\n    Args:\n        mix: of it.",
        "Runs.\n\n    Args:\n        device: where the images go.",
        "Runs.\n\n    Args:\n        std: likewise.",
        "Runs.\n\n    Returns:\n        How many grids came.",
        "Runs as the config says.",
        "Returns the images that the network is asked about.",
        "Runs.\n\n    Args:\n        on_step: told of each step.",
    ],
)
def test_a_planted_docstring_is_caught(docstring: str):
    assert list(faults(f'def f():\n    """{docstring}"""'))


@pytest.mark.parametrize(
    "message",
    [
        "run the same command again to go on",
        "about 6 s to go at the least",
        "likelihood (nll), nats",
        "the log does not say how long it is",
        "the network must be well configured",
    ],
)
def test_a_planted_message_is_caught(message: str):
    assert list(faults(f"raise ValueError({message!r})"))
    assert list(faults(f"raise ValueError(f'{message} {{x}}')"))


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Returns the number of images.\n\n    Args:\n        device: the images\' device."""',
        'def f():\n    """Asynchronous: a task\'s essay; the network is at least saved."""',
        'raise ValueError("one seed says nothing about noise: the arms cannot be told apart")',
        'values["ask"], values["says"]',
        "# What came of it, as somebody said.",
    ],
)
def test_a_plain_text_passes(source: str):
    assert not list(faults(source))
