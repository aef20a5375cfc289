"""The page of a system: the answer to each claim, the figure that shows it, and every network's scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml

from rolewise.machine_record import machine
from rolewise.metric_info import MetricInfo
from rolewise.report.drawing import Drawing
from rolewise.report.facts import command_time, machine_facts, started_facts
from rolewise.report.meanings import MEANINGS
from rolewise.report.rendering import render
from rolewise.report.study_figures import cells_figure
from rolewise.statistics.estimates import estimate
from rolewise.statistics.questions import Answer
from rolewise.statistics.study_sentences import column_unit
from rolewise.systems.system import Row, System
from rolewise.systems.system_result import SystemResult, Verdict, verdict_of
from rolewise.words import counted, sentence_start


def system_page(result: SystemResult) -> str:
    """Returns the page of a finished system.

    Args:
        result: the system with its rows and answers.
    """
    system, environment = result.system, machine()
    claims = [_claim(claim.text, answer) for claim, answer in zip(system.claims, result.answers, strict=True)]
    return render(
        "system.html.j2",
        {
            "kind": "system",
            "name": system.title,
            "seeds": len(result.settings.seeds),
            "answer": short_answer(result.answers),
            "origin": system.first_line,
            "claims": claims,
            "controls": system.controls,
            "figures": [*level_figures(system, result.rows), *system.draw(result.rows, result.settings)],
            "facts": [*started_facts(result.root), *command_time(result.root), *machine_facts(environment)],
            "axes": len(system.axes),
            "headings": [*system.axes, *(info.axis for info in system.metrics)],
            "rows": system_table(system, result.rows),
            "settings": yaml.safe_dump(result.settings.model_dump(mode="json"), sort_keys=False),
            "environment": environment,
            "meanings": MEANINGS,
        },
    )


def short_answer(answers: Sequence[Answer]) -> str:
    """Returns the numbers of claims that have each verdict, as one sentence.

    Args:
        answers: one for each claim.
    """
    found = [verdict_of(answer) for answer in answers]
    parts = [f"{found.count(verdict)} {verdict}" for verdict in get_args(Verdict)]
    parts = [part for part in parts if not part.startswith("0 ")]
    return f"Of {counted(len(found), 'claim')} {', '.join(parts[:-1]) + ' and ' if parts[:-1] else ''}{parts[-1]}."


def system_table(system: System, rows: Sequence[Row]) -> list[list[str]]:
    """Returns a line for each combination of levels: the levels, then mean and standard deviation of each metric.

    Args:
        system: the system.
        rows: its rows, over all seeds.
    """
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(str(row[axis]) for axis in system.axes), []).append(row)
    return [[*levels, *(_score(info, same) for info in system.metrics)] for levels, same in found.items()]


def _score(info: MetricInfo, rows: Sequence[Row]) -> str:
    values = [float(row[info.key]) for row in rows if row.get(info.key) is not None]
    if not values:
        return ""
    score = estimate(values)
    return info.value(score.mean) + (f" ± {info.value(score.sd)}" if score.sd is not None else "")


def level_figures(system: System, rows: Sequence[Row]) -> list[Drawing]:
    """Draws the primary metric of every combination of levels: a map, or a line for each where few are there.

    Args:
        system: the system.
        rows: its rows, over all seeds.
    """
    axes, metric = list(system.axes), system.metrics[0]
    finished = [{**row, "status": "done", "cell": "/".join(str(row[axis]) for axis in axes)} for row in rows]
    levels: dict[str, list[Any]] = {axis: list(dict.fromkeys(row[axis] for row in rows)) for axis in axes}
    if 3 * len({row["cell"] for row in finished}) <= math.prod(map(len, levels.values())):
        # Most squares of a map would be empty: each combination gets a line.
        joined = ", ".join(axes)
        finished = [{**row, joined: ", ".join(str(row[axis]) for axis in axes)} for row in finished]
        axes, levels = [joined], {joined: list(dict.fromkeys(row[joined] for row in finished))}
    unit = column_unit(metric.key, system.metrics)
    caption = f"{sentence_start(metric.title)} on the test set with 95% intervals over seeds."
    return [
        cells_figure(finished, levels, axes[::-1][:3], dict(zip(axes, axes, strict=True)), metric.key, unit, caption)
    ]


def _claim(text: str, answer: Answer) -> Mapping[str, str]:
    return {"text": text, "verdict": verdict_of(answer), "evidence": answer.sentence[len(answer.verdict) + 1 :]}
