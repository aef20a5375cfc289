"""Advice written out: advice.json for programs, advice.md for people, advice.yaml to be run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.result import Advice
from rolewise.advice.sections import advice_sections
from rolewise.advice.task_result import TaskAdvice
from rolewise.config.experiment_values import dump_values
from rolewise.errors import InputError
from rolewise.files import write_json, write_text

KINDS = (".json", ".md", ".yaml")


def check_out(out: Path) -> None:
    """Raises InputError where advice cannot be written to a path."""
    if out.suffix and out.suffix not in KINDS and not out.is_dir():
        raise InputError(
            f"--out must be a folder or a file that ends in {', '.join(KINDS)}, got {out}; change its ending"
        )
    if not out.suffix and out.exists() and not out.is_dir():
        raise InputError(f"--out must be a folder or a file that ends in {', '.join(KINDS)}, got the file {out}")


def write_advice(advice: Advice | TaskAdvice, out: Path, config: Path, settings: Sequence[str] = ()) -> list[Path]:
    """Writes advice, and returns the files; the overlay is left out where nothing is proposed.

    Args:
        advice: the advice.
        out: a folder for all three files, or one file of that ending.
        config: the experiment's file, which the overlay extends.
        settings: that were laid over that file for the advice, and are to be laid over the overlay too.
    """
    check_out(out)
    alone = out.suffix in KINDS and not out.is_dir()
    written = []
    for ending in KINDS:
        path = out if alone else out / f"advice{ending}"
        if path.suffix != ending or (ending == ".yaml" and not advice.overlay):
            continue
        if ending == ".json":
            write_json(path, advice.to_json())
        else:
            write_text(path, markdown(advice) if ending == ".md" else fragment(advice, path, config, settings))
        written.append(path)
    return written


def fragment(advice: Advice | TaskAdvice, path: Path, config: Path, settings: Sequence[str] = ()) -> str:
    """Returns the proposal as a config that extends the experiment's (see `write_advice`)."""
    base = os.path.relpath(config.resolve(), path.resolve().parent)
    lines = [f"# {choice.setting}: {choice.confidence} confidence" for choice in advice.choices]
    head = [f"# What rolewise advise proposes for {advice.title}; the reasons are in advice.md.", *lines]
    head += [f"# The advice is for the experiment under --set {setting!r}; give it again." for setting in settings]
    return "\n".join(head) + "\n" + dump_values({"extends": base} | dict(advice.overlay))


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
