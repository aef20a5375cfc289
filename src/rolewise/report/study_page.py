"""The page of a study: one self-contained HTML file out of a study folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rolewise.files import AnyPath, as_path, write_text
from rolewise.machine_memory import without_collection
from rolewise.report.cells import p_value
from rolewise.report.effects_figure import contrast_name, effects_figure, foremost
from rolewise.report.facts import machine_facts, started_facts, training_fact
from rolewise.report.meanings import MEANINGS
from rolewise.report.rendering import render
from rolewise.report.study_cells import table_of_cells
from rolewise.report.study_contrasts import PartContrasts, contrasts_of, leading_metrics, study_cautions
from rolewise.report.study_data import StudyData, read_study
from rolewise.report.study_figures import cells_figure
from rolewise.report.study_opening import study_opening
from rolewise.report.study_pictures import pictures
from rolewise.statistics.effects import Contrast, Group, Level
from rolewise.statistics.questions import Answer, answer_questions
from rolewise.statistics.study_sentences import Unit, best_sentence, column_unit, effect_sentences
from rolewise.words import sentence_start

#: Rows of a table of contrasts, and of a part's cells, at most: a page of a thousand cells must still open.
_MOST_CONTRASTS = 100
_MOST_CELLS = 2000
#: Students and arms of a part whose contrasts are drawn; of more of them, their tables stand alone.
_FEW = 12


def write_study_report(root: AnyPath) -> Path:
    """Writes ``report.html`` into a study folder, also of a study that is not finished.

    Raises:
        InputError: it is no study folder, or a file in it is damaged.
    """
    root = as_path(root, "root")
    path = root / "report.html"
    write_text(path, study_page(root))
    return path


@without_collection()
def study_page(root: Path, live: Mapping[str, Any] | None = None) -> str:
    """Returns the page of a study, also of one that is not finished; nothing is written.

    Args:
        root: the study folder.
        live: the seconds between two looks for changes; None for a page to keep.

    Raises:
        InputError: it is no study folder, or a file in it is damaged.
    """
    return render("study.html.j2", {**_content(read_study(root)), "live": live})


def short_labels(axes: Sequence[str]) -> dict[str, str]:
    """Returns for each axis the shortest end of its key that no other axis shares; places in lists are left out."""
    words = {axis: [word for word in axis.replace("[", ".").replace("]", "").split(".")] for axis in axes}
    labels = {}
    for axis in axes:
        for count in range(1, len(words[axis]) + 1):
            end = words[axis][-count:]
            if end[0].isdecimal():
                continue
            if sum(other[-count:] == end for other in words.values()) == 1:
                break
        labels[axis] = ".".join(word for word in end if not word.isdecimal()) or axis
    return labels if len(set(labels.values())) == len(labels) else {axis: axis for axis in axes}


def _axes(data: StudyData) -> list[str]:
    return list(dict.fromkeys(axis for axes in data.parts.values() for axis in axes))


def study_sentences(root: AnyPath) -> list[tuple[str, list[str]]]:
    """Returns a study's sentences for a terminal: answers, then those of each part, student and arm."""
    data = read_study(as_path(root, "root"))
    told = [f"{one.ask} {one.sentence}" for one in question_answers(data)]
    found = [("Questions", told)] if told else []
    known = contrasts_of(data)
    for part in _parts(data, known):
        found += [(group["title"], group["sentences"]) for group in part["groups"]]
        found += [(f"{part['name']}: the best cell", [part["best"]])] if part["best"] else []
    cautions = study_cautions(data, known)
    found += [("How far this reaches", cautions)] if cautions else []
    return found


def question_answers(data: StudyData) -> list[Answer]:
    """Returns the answers to the study's questions."""
    axes = list(dict.fromkeys(axis for axes in data.parts.values() for axis in axes))
    return answer_questions(data.rows, axes, data.questions, data.infos)


def _content(data: StudyData) -> dict[str, Any]:
    states = [row["status"] for row in data.rows]
    leading = leading_metrics(data)
    known = contrasts_of(data)
    parts = _parts(data, known)
    for number, part in enumerate(parts):
        part["number"] = number
        part["cells"], part["more_cells"] = table_of_cells(data, part["name"], part["labels"], leading, _MOST_CELLS)
        for metric in leading:
            if metric != leading[0] and all(row.get(metric) is None for row in part["rows"]):
                continue
            found, figure = known[part["name"], metric], metric == leading[0]
            told = effect_sentences(found, metric, part["labels"], data.infos)
            for group in part["groups"]:
                made = _metric(part, group, metric, found, maps=figure, effects=figure and len(part["groups"]) <= _FEW)
                group.setdefault("metrics", []).append({**made, "sentences": told.get(group["key"], [])})
    return {
        "kind": "study report",
        "meanings": MEANINGS,
        "facts": [*started_facts(data.root), *training_fact(_seconds(data)), *machine_facts(data.environment)],
        "name": data.name,
        "metric": data.metric,
        "parts": parts,
        **study_opening(data, short_labels(_axes(data)), [part["best"] for part in parts if part["best"]]),
        "cautions": study_cautions(data, known),
        "pictures": pictures(data, {part["name"]: part["labels"] for part in parts}),
        "counts": {state: states.count(state) for state in ("done", "trained", "waiting", "failed")},
        "rows": len(data.rows),
        "seeds": len({row["seed"] for row in data.rows}),
        "failures": _failures(data),
        "metrics": [column_unit(metric, data.infos).name for metric in leading],
        "config": data.config,
        "environment": data.environment,
    }


def _parts(data: StudyData, known: PartContrasts) -> list[dict[str, Any]]:
    parts = []
    for name, axes in data.parts.items():
        rows = [row for row in data.rows if row["part"] == name]
        labels = short_labels(list(axes))
        found = known[name, data.metric.key]
        told = effect_sentences(found, data.metric.key, labels, data.infos)
        groups = []
        for group in dict.fromkeys((row["part"], row["student"], row["arm"]) for row in rows):
            sentences = told.get(group, []) or ["There is nothing to compare yet."]
            groups.append({"key": group, "title": _title(group, data), "sentences": sentences})
        best = best_sentence(rows, list(axes), labels, data.metric) if data.best else None
        part = {"name": name, "axes": axes, "labels": labels, "rows": rows, "groups": groups, "best": best}
        parts.append(part | {"infos": data.infos})
    return parts


def _title(group: Group, data: StudyData) -> str:
    part, student, arm = group
    return f"{part}: {student}, {arm}" if len(data.parts) > 1 else f"{student}, {arm}"


def _metric(
    part: dict[str, Any], group: dict[str, Any], metric: str, of_part: Sequence[Contrast], *, maps: bool, effects: bool
) -> dict[str, Any]:
    """Returns the contrasts of one metric of one part, student and arm; where wanted, its maps and their figure."""
    axes: Mapping[str, Sequence[Level]] = part["axes"]
    mine = [row for row in part["rows"] if (row["part"], row["student"], row["arm"]) == group["key"]]
    # An axis that does not act on this arm at all is named once, in the sentences.
    found = [one for one in of_part if one.group == group["key"] and not (one.untouched and one.seeds > 1)]
    unit, names = column_unit(metric, part["infos"]), list(axes)
    shown = [names[:3]] if names else []
    for one in found:
        pair = [one.axis, one.other[0]] if one.other is not None and one.supported else []
        if pair and pair not in shown and pair != names[:2]:
            shown.append(pair)
    drawn = [
        cells_figure(
            mine, axes, pair, part["labels"], metric, unit, _map_caption(part["labels"], names, pair, unit.name)
        )
        for pair in (shown if maps else [])
    ]
    judged = [one for one in found if one.difference is not None]
    return {
        "name": unit.name,
        "maps": drawn,
        "effects": effects_figure(found, part["labels"], unit) if judged and effects else None,
        "contrasts": [_contrast(one, part["labels"], unit) for one in foremost(judged, _MOST_CONTRASTS)],
        "more": max(0, len(judged) - _MOST_CONTRASTS),
    }


def _map_caption(labels: Mapping[str, str], names: Sequence[str], pair: Sequence[str], metric: str) -> str:
    averaged = [labels[axis] for axis in names if axis not in pair]
    over = (
        f"; each seed's mean over {', '.join(averaged)} (*: over those of its levels that are in the grid)"
        if averaged
        else ""
    )
    return (
        f"{sentence_start(metric)} on the test set: mean over seeds with its 95% interval{over}. These "
        "intervals hold what differs between seeds as a whole; the paired differences below are "
        "sharper. Hatched: a row failed, so there is no mean."
    )


def _seconds(data: StudyData) -> list[float]:
    return [row["seconds"] for row in data.rows if row.get("seconds") is not None]


def _contrast(one: Contrast, labels: Mapping[str, str], unit: Unit) -> dict[str, Any]:
    difference = one.difference
    assert difference is not None
    interval = ""
    if difference.low is not None and difference.high is not None:
        interval = f"{unit.change(difference.low)} to {unit.change(difference.high)}"
    return {
        "name": contrast_name(one, labels),
        "difference": unit.change(difference.mean),
        "interval": interval,
        "adjusted": p_value(one.adjusted),
        "beyond": one.supported,
        "seeds": one.seeds,
        "left_out": one.left_out,
    }


def _failures(data: StudyData) -> list[dict[str, Any]]:
    return [
        {"cell": row["cell"], "seed": row["seed"], "what": f"{row['student']}, {row['arm']}", "reason": row["reason"]}
        for row in data.rows
        if row["status"] == "failed"
    ]
