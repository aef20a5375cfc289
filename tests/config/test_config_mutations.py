"""A thousand random mutations: each is accepted, or refused with line, key and remedy. Nothing else may come out."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from rolewise.config import ConfigError, Fault, dump, experiment_digest
from rolewise.experiment import load

CONFIG = Path(__file__).resolve().parent.parent.parent / "configs" / "digits.yaml"
#: Words of libraries, which tell a person nothing.
JARGON = re.compile(
    r"input should|pydantic|constrained|\bvalid (str|int|dict|list)|extra inputs|field required|nonetype|traceback|"
    r"of another kind|<class|errno|int64|jsontype",
    re.IGNORECASE,
)
SCALARS = [
    "yes", "no", "on", "off", "true", "null", "~", "", "-1", "0", "1", "2", "3.0", "1e-3", "1e400", ".nan", ".inf",
    "-.inf",
    "99999999999999999999", "0x10", "1_000", "2026-01-01", "12:30:45", "'text'", '"\\0"', '"\\ud800"', "ä",
    "日本", "🙂",
    "\u202e", "x" * 300, "[]", "{}", "[1, two, [3]]", "{a: {b: 1}}", "!!python/name:os.system", "!!binary aGk=", "!x 3",
    "*nothing", "&a [*a]", "[", "}", "- -", "? x", "kd", "own", "|", ">", "@", "`", "%", "a: b: c", "'", '"',
]  # fmt: skip


def _places(value, path=()):
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from _places(part, (*path, key))


def _of_values(value, generator: random.Random) -> str:
    """Deletes, renames, retypes or nests one to three settings."""
    for _ in range(generator.randint(1, 3)):
        *way, key = generator.choice(list(_places(value)) or [("name",)])
        part = value
        for step in way:
            part = part[step]
        how = generator.randrange(5)
        if how == 0:
            part.pop(key)
        elif how == 1 and isinstance(part, dict):
            letters = list(key)
            generator.shuffle(letters)
            part[generator.choice(["".join(letters), key + "s", key[1:], key.upper(), "é" + key])] = part.pop(key)
        elif how == 2:
            part[key] = generator.choice(
                [str(part[key]), [part[key]], {"value": part[key]}, True, None, 1, 1.5, -1, 10**30]
            )
        elif how == 3:
            *from_way, from_key = generator.choice(list(_places(value)))
            other = value
            for step in from_way:
                other = other[step]
            part[key] = yaml.safe_load(yaml.safe_dump(other[from_key]))
        else:
            part[key] = "PLACE"
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    return text.replace("PLACE", generator.choice(SCALARS))


def _of_lines(text: str, generator: random.Random) -> str:
    """Swaps, drops, repeats or indents lines, or writes something else behind a colon."""
    lines = text.splitlines()
    for _ in range(generator.randint(1, 3)):
        first, second = generator.randrange(len(lines)), generator.randrange(len(lines))
        how = generator.randrange(5)
        if how == 0:
            lines[first], lines[second] = lines[second], lines[first]
        elif how == 1 and len(lines) > 1:
            del lines[first]
        elif how == 2:
            lines.insert(second, lines[first])
        elif how == 3:
            lines[first] = generator.choice([" ", "  ", "\t", "- "]) + lines[first]
        else:
            lines[first] = lines[first].split(":")[0] + ": " + generator.choice(SCALARS)
    return "\n".join(lines) + "\n"


def _of_bytes(content: bytes, generator: random.Random) -> bytes:
    """Cuts the file off, or overwrites some of its bytes."""
    changed = bytearray(content)
    if generator.random() < 0.4:
        return bytes(changed[: generator.randrange(len(changed))])
    for _ in range(generator.randint(1, 8)):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed)


def _mutation(number: int) -> bytes:
    generator = random.Random(number)
    text = CONFIG.read_text()
    if number % 3 == 0:
        return _of_values(yaml.safe_load(text), generator).encode()
    if number % 3 == 1:
        return _of_lines(text, generator).encode()
    return _of_bytes(text.encode(), generator)


def _expect_clear(fault: Fault, path: Path, lines: list[str]) -> None:
    said = str(fault)
    assert fault.place.file == str(path) and 1 <= fault.place.line <= len(lines) + 1, said
    assert "must" in fault.message or "no such setting of" in fault.message, said
    assert any(word in fault.message for word in (", got", "; ", "did you mean")), said
    assert not JARGON.search(fault.message), said
    assert (len(fault.message) < 500 and fault.message.isprintable()) or "\u202e" in fault.message, said
    if "must be YAML" in fault.message or "UTF-8" in fault.message or fault.path == "":
        return
    # The line named is the line on which the setting, or what it is missing from, is written. A place in a list has no
    # name of its own, and what is missing from the whole file is missing where the file's first setting stands.
    first = next((number for number, line in enumerate(lines, 1) if line.strip() and line.lstrip()[0] not in "#-{"), 1)
    line = lines[fault.place.line - 1]
    names = re.findall(r"[^.\[\]]+", fault.path)
    assert "]" in fault.path or fault.place.line <= first or any(name in line for name in names), f"{said}\n{line}"


@pytest.mark.parametrize("block", [pytest.param(at, marks=pytest.mark.slow) if at > 0 else at for at in range(10)])
def test_a_thousand_mutations_are_accepted_or_refused_clearly(block: int, tmp_path: Path) -> None:
    accepted = refused = 0
    path, again = tmp_path / "mutated.yaml", tmp_path / "again.yaml"
    for number in range(100 * block, 100 * block + 100):
        content = _mutation(number)
        path.write_bytes(content)
        try:
            config = load(path)
        except ConfigError as error:
            refused += 1
            lines = content.decode("utf-8", "replace").splitlines() or [""]
            assert error.faults and str(error).endswith("; nothing was started."), number
            assert len({(fault.path, fault.message) for fault in error.faults}) == len(error.faults), str(error)
            for fault in error.faults:
                _expect_clear(fault, path, lines)
        else:
            accepted += 1
            again.write_text(dump(config), encoding="utf-8")
            assert load(again) == config and experiment_digest(load(again)) == experiment_digest(config), number
    assert refused > 50 and accepted > 2
