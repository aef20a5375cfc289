"""Advice written out: advice.json for programs, advice.md for people, advice.yaml to be run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.result import Advice
from rolewise.advice.sections import advice_sections
from rolewise.advice.task_result import TaskAdvice
from rolewise.config.experiment_values import dump_values
from rolewise.config.overrides import setting_steps
from rolewise.errors import InputError
from rolewise.files import read_text, write_json, write_text

KINDS = (".json", ".md", ".yaml")
#: The beginning of a proposed config.
_HEAD = "# What rolewise advise proposes"


def check_out(out: Path) -> None:
    """Raises InputError where advice cannot be written to a path."""
    if out.suffix and out.suffix not in KINDS and not out.is_dir():
        raise InputError(
            f"--out must be a folder or a file that ends in {', '.join(KINDS)}, got {out}; change its ending"
        )
    if not out.suffix and out.exists() and not out.is_dir():
        raise InputError(f"--out must be a folder or a file that ends in {', '.join(KINDS)}, got the file {out}")


def check_beside(out: Path, inputs: Iterable[Path]) -> None:
    """Raises InputError where advice would be written over a file that it is made from.

    Args:
        out: as of `write_advice`.
        inputs: the config's file and those that it extends.
    """
    targets = {path.resolve(): path for path in _targets(out)}
    for given in inputs:
        if given.resolve() in targets:
            path = targets[given.resolve()]
            raise InputError(f"--out must not be a file that the config is read from, got {path}; choose another place")


def _targets(out: Path) -> list[Path]:
    """Returns the files that advice may be written to."""
    return [out] if out.suffix in KINDS and not out.is_dir() else [out / f"advice{ending}" for ending in KINDS]


def write_advice(advice: Advice | TaskAdvice, out: Path, config: Path, settings: Sequence[str] = ()) -> list[Path]:
    """Writes advice, and returns the files; the overlay is left out where nothing is proposed.

    A folder's overlay of an earlier advice is then taken away: it would stand beside reasons that are not its own.

    Args:
        advice: the advice.
        out: a folder for all three files, or one file of that ending.
        config: the experiment's file, which the overlay extends.
        settings: that were laid over that file for the advice, and are to be laid over the overlay too.
    """
    check_out(out)
    written = []
    for path in _targets(out):
        if path.suffix == ".yaml" and not advice.overlay:
            if path != out and path.is_file() and read_text(path, "proposal").startswith(_HEAD):
                path.unlink()
            continue
        if path.suffix == ".json":
            write_json(path, advice.to_json())
        else:
            write_text(path, markdown(advice) if path.suffix == ".md" else fragment(advice, path, config, settings))
        written.append(path)
    return written


def fragment(advice: Advice | TaskAdvice, path: Path, config: Path, settings: Sequence[str] = ()) -> str:
    """Returns the proposal as a config that extends the experiment's (see `write_advice`)."""
    base = os.path.relpath(config.resolve(), path.resolve().parent)
    lines = [f"# {choice.setting}: {choice.confidence} confidence" for choice in advice.choices]
    head = [f"{_HEAD} for {advice.title}; the reasons are in advice.md.", *lines]
    again = [setting for setting in settings if not _holds(advice.overlay, setting_steps(setting))]
    head += [f"# The advice is for the experiment under --set {setting!r}; give it again." for setting in again]
    return "\n".join(head) + "\n" + dump_values({"extends": base} | dict(advice.overlay))


def _holds(overlay: Mapping[str, Any], steps: Sequence[str | int]) -> bool:
    """Returns whether an overlay sets what a path leads to: given again, the path's value would take that back."""
    value: Any = overlay
    for step in steps:
        if not isinstance(value, Mapping):
            return True
        if step not in value:
            return False
        value = value[step]
    return True


def markdown(advice: Advice | TaskAdvice) -> str:
    """Returns the whole advice as Markdown."""
    body = [_section(part) for part in advice_sections(advice, whole=True)]
    if advice.overlay:
        body.append(f"## The settings\n\n```yaml\n{dump_values(dict(advice.overlay))}```\n")
    return f"# Advice for {advice.title}\n\n" + "\n".join(body)


def _section(part: AdviceSection) -> str:
    lines = [f"## {part.title}", "", *_bullets(part.sentences)]
    if part.columns:
        lines += [_line(part.columns), _line(["---"] * len(part.columns)), *(_line(row) for row in part.rows), ""]
    return "\n".join([*lines, *_bullets(part.below)])


def _bullets(sentences: tuple[str, ...]) -> list[str]:
    return [*(f"- {sentence}" for sentence in sentences), ""] if sentences else []


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
