"""The pictures of a study's page: which there are, and what stands below each."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rolewise.errors import InputError
from rolewise.files import read_text
from rolewise.report.drawing import Drawing
from rolewise.report.study_data import StudyData
from rolewise.report.study_looks import mixed_rows, plane_figure, reliability_figure
from rolewise.report.study_tradeoffs import attack_figure, tradeoff_figure
from rolewise.seals import is_early, top_product

_CAPTIONS = {
    "tradeoffs": "Each dot is a cell, a mean over seeds, its logits at the temperature that fits validation, so "
    "that losses compare. Lower is better in the first two; a lower linearity gap is more linear between images.",
    "reliability": "Test examples of all seeds together, in ten bins of confidence; a dot's area grows with how many. "
    "Dotted: calibrated. The control is the first cell; best and worst are so by validation accuracy among the cells "
    "of its part, student and arm.",
    "attack": "Through the weaker of the raw and the standardised head, in the maximum norm; mean over seeds, shaded: "
    "its 95% interval.",
    "plane": "Penultimate features of test images, first seed, on the plane through the rows of the last layer of the "
    "three classes that the control confuses most on validation images, at the most 60 of each; crosses: as many "
    "pairs of them, mixed half and half.",
    "mixed": "The same training images as they are, and mixed as each role has a batch of them when training begins, "
    "with the shares of the label.",
}


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Args:
        title: above it.
        drawn: a figure; None where rows of images stand in its place.
        rows: rows of images, each with a name and cells.
        caption: below the rows of images; a figure has its own.
    """

    title: str
    drawn: Drawing | None
    rows: Sequence[dict[str, Any]] = ()
    caption: str = ""


def pictures(data: StudyData, labels: dict[str, dict[str, str]]) -> list[Picture]:
    """Returns the pictures that a study has what it takes for, in the order of the page.

    Args:
        data: the study.
        labels: of each part, a short name for each axis.

    Raises:
        InputError: its pictures' files are damaged.
    """
    found = _tradeoffs(data, labels)
    said, arrays = read_pictures(data.root)
    chosen = said.get("chosen", [])
    names = [_name(data, one, labels) for one in chosen]
    cells = {
        name: [row for row in data.rows if all(str(row[key]) == one[key] for key in ("cell", "student", "arm"))]
        for name, one in zip(names, chosen, strict=True)
    }
    planes = said.get("planes", [])
    plane_names = [_plane_name(data, one, chosen, names) for one in planes]
    found += [
        ("Reliability", reliability_figure(arrays, names, _CAPTIONS["reliability"])),
        ("Accuracy under attack", attack_figure(cells, _CAPTIONS["attack"]) if cells else None),
        ("Features on the plane of three classes", plane_figure(arrays, planes, plane_names, _CAPTIONS["plane"])),
    ]
    shown = [Picture(title, drawn) for title, drawn in found if drawn is not None]
    if rows := mixed_rows(arrays, said.get("mixed", [])):
        shown.append(Picture("What each role sees", None, rows, _CAPTIONS["mixed"]))
    return shown


def read_pictures(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the descriptions and the arrays of a study's pictures; both may be empty.

    Raises:
        InputError: a file is damaged.
    """
    record, path = root / "pictures.json", root / "pictures.npz"
    if not record.is_file() or not path.is_file():
        return {}, {}
    if not is_early(root / "study.json"):
        record, path = top_product(record), top_product(path)
    try:
        said = json.loads(read_text(record, "the record of the pictures"))
        with np.load(path, allow_pickle=False) as held:
            return dict(said), {name: held[name] for name in held.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} or {record.name} is damaged ({error}); delete both and run the study again to write them anew"
        ) from error


def _tradeoffs(data: StudyData, labels: dict[str, dict[str, str]]) -> list[tuple[str, Drawing | None]]:
    """Returns a figure for each part, student and arm that has cells enough to be one."""
    found: list[tuple[str, Drawing | None]] = []
    done = [row for row in data.rows if row["status"] == "done"]
    groups = dict.fromkeys((row["part"], row["student"], row["arm"]) for row in done)
    for part, student, arm in groups:
        mine = [row for row in done if (row["part"], row["student"], row["arm"]) == (part, student, arm)]
        if len({row["cell"] for row in mine}) < 3 or not mine[0]["distilled"]:
            continue
        beside = [row for row in done if row["student"] == student and not row["distilled"]]
        where = f"{part}: {student}, {arm}" if len(data.parts) > 1 else f"{student}, {arm}"
        drawn = tradeoff_figure(mine, data.parts[part], labels[part], beside, _CAPTIONS["tradeoffs"])
        found.append((f"Accuracy, calibration, smoothness: {where}", drawn))
    return found


def _name(data: StudyData, one: dict[str, str], labels: dict[str, dict[str, str]]) -> str:
    """Returns the reason for the choice of a cell, and its name, in two lines."""
    row = next(row for row in data.rows if row["cell"] == one["cell"])
    levels = [f"{row[axis]}" for axis in labels[row["part"]]]
    return f"{one['what']}\n{', '.join(levels)}"


def _plane_name(data: StudyData, plane: dict[str, Any], chosen: Sequence[dict[str, str]], names: Sequence[str]) -> str:
    if plane["role"] != "teacher":
        return next(name for one, name in zip(chosen, names, strict=True) if one["cell"] == plane["cell"])
    row = next((row for row in data.rows if row["cell"] == plane["cell"]), {})
    score = row.get(f"teacher_{data.metric.key}")
    mix = plane.get("mix") or "clean images"
    return f"teacher, {mix}" + (f"\n{100 * score:.1f}% right" if score is not None else "")
