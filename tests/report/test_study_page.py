"""The page of a study, out of a folder written by hand: whole, partial, with failures, damaged, in a browser."""

from __future__ import annotations

import csv
import html
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_pages import faults

from rolewise.csv_cells import as_csv
from rolewise.errors import InputError
from rolewise.metric_info import ACCURACY
from rolewise.report import study_sentences, write_study_report
from rolewise.report.study_contrasts import comparisons
from rolewise.report.study_data import _KINDS, read_study
from rolewise.report.study_figures import square
from rolewise.report.study_opening import _leads, _questions
from rolewise.report.study_page import short_labels
from rolewise.statistics import Estimate
from rolewise.statistics.effects import Level
from rolewise.statistics.questions import Answer
from rolewise.statistics.study_answers import StudyAnswers

MIXING: dict[str, list[Level]] = {
    "distill.methods.0.temperature": [1, 4.5],
    "teacher_mixing": ["vanilla", "mixup", "partial"],
    "students.0.mix.share": [0.0, 0.1, 0.5],
    "flag": [True, False],
}
SIZES: dict[str, list[Level]] = {"students.0.model.arguments.widths": ["[4, 6]", "[8, 12]"]}


def folder(root: Path, *, best: bool = True, seeds: int = 3, text: str = "a mean of <b>x</b>") -> Path:
    """A study of two parts; in the first one cell is left out, one fails at one seed and one is not finished."""
    stream = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    parts = []
    for part, axes in (("mixing", MIXING), ("sizes", SIZES)):
        cells = []
        for number, levels in enumerate(itertools.product(*axes.values())):
            named = dict(zip(axes, levels, strict=True))
            cells.append([f"{part}-{number:03d}", named])
            if part == "mixing" and levels == (1, "vanilla", 0.0, True):
                continue
            for seed in range(seeds):
                accuracy = 0.7 + 0.1 * (named.get("teacher_mixing") == "mixup") + 0.01 * stream.standard_normal()
                row: dict[str, Any] = {
                    "part": part,
                    "cell": cells[-1][0],
                    **named,
                    "seed": seed,
                    "student": "s",
                    "arm": "none+distill",
                }
                row |= {"distilled": True, "status": "done", "accuracy": accuracy, "ece": 0.1}
                row |= {"validation_accuracy": accuracy, "images": 100, "parameters": 1234}
                if seed == 1 and levels == (4.5, "vanilla", 0.5, False):
                    row |= {"status": "failed", "reason": text, "accuracy": None, "ece": None}
                if levels == (4.5, "partial", 0.5, True):
                    row |= {"status": "trained", "accuracy": None, "ece": None}
                rows.append(
                    {
                        name: str(value).lower() if value is True or value is False else value
                        for name, value in row.items()
                    }
                )
        parts.append({"name": part, "axes": [[axis, levels] for axis, levels in axes.items()], "cells": cells})
    root.mkdir()
    record = {"version": 1, "name": "mixing", "study": "x", "seeds": [*range(seeds)], "measure": ["accuracy"]}
    (root / "study.json").write_text(json.dumps({**record, "best": best, "parts": parts}))
    columns = ["part", "cell", *MIXING, *SIZES, "seed", "student", "arm", "distilled", "status", "reason"]
    columns += ["accuracy", "ece", "validation_accuracy", "teacher_accuracy", "images", "parameters"]
    with (root / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    (root / "study.yaml").write_text("name: <script>alert(1)</script>")
    return root


def test_values_come_back_in_the_kind_that_they_were(tmp_path: Path) -> None:
    data = read_study(folder(tmp_path / "s"))
    first = data.rows[0]
    assert (first["flag"], first["distill.methods.0.temperature"], first["students.0.mix.share"]) == (False, 1, 0.0)
    assert (first["seed"], first["distilled"], first["reason"], first["images"]) == (0, True, None, 100)
    assert data.rows[-1]["students.0.model.arguments.widths"] == "[8, 12]" and "flag" not in data.rows[-1]
    assert data.metrics == ["accuracy", "ece"]


def test_levels_and_reasons_that_look_like_formulas_come_back(tmp_path: Path) -> None:
    axes: dict[str, list[Level]] = {"=mix": ["=1+1", "-1", -1, "@a", "plain"]}
    root = tmp_path / "s"
    root.mkdir()
    part = "+part"
    record = {"version": 1, "name": "formulas", "seeds": [0], "best": False, "questions": []}
    (root / "study.json").write_text(
        json.dumps({**record, "parts": [{"name": part, "axes": [["=mix", axes["=mix"]]]}]})
    )
    columns = ["part", "cell", "=mix", "seed", "student", "arm", "distilled", "status", "reason", "accuracy"]
    columns += ["images", "parameters"]
    rows = [
        {"part": part, "cell": f"-{place}", "=mix": level, "seed": 0, "student": "=s", "arm": "@a", "distilled": True}
        | {"status": "failed", "reason": "-inf is no loss", "accuracy": -0.5}
        for place, level in enumerate(axes["=mix"])
    ]
    (root / "results.csv").write_text(as_csv(rows, columns))
    (root / "timing.csv").write_text(
        as_csv([row | {"seconds": 1.5} for row in rows], ["cell", "seed", "student", "arm", "seconds"])
    )
    assert not re.search(r"(?:^|,)[=+@]", (root / "results.csv").read_text(), re.M)
    found = read_study(root).rows
    assert [row["=mix"] for row in found] == axes["=mix"] and [type(row["=mix"]) for row in found][1:3] == [str, int]
    assert found[0]["reason"] == "-inf is no loss" and found[0]["part"] == part and found[0]["student"] == "=s"
    assert {row["accuracy"] for row in found} == {-0.5} and {row["seconds"] for row in found} == {1.5}


def test_the_page_says_what_failed_and_what_is_to_come(tmp_path: Path) -> None:
    root = folder(tmp_path / "s")
    page = write_study_report(root).read_text()
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page) and "<script" not in page and "@import" not in page
    assert "1 of 111 rows failed" in page and "a mean of &lt;b&gt;x&lt;/b&gt;" in page and "3 trained" in page
    assert "teacher_mixing: mixup instead of vanilla raises accuracy by" in page and "combinations left out" in page
    assert "Chosen on validation: temperature" in page
    # Accuracy with a heat map of three axes and its contrasts in each part; of further metrics the map and a table.
    assert page.count("<details><summary>ece") == 2 and page.count("<svg") >= 6
    said = study_sentences(root)
    titles = ["mixing: s, none+distill", "mixing: the best cell", "sizes: s, none+distill", "sizes: the best cell"]
    titles.append("How far this reaches")
    assert [title for title, _ in said] == titles
    assert "widths: [8, 12] instead of [4, 6] cannot be told apart" in said[2][1][0]
    assert said[1][1][0].startswith("Chosen on validation: temperature")
    assert len(study_sentences(folder(tmp_path / "t", best=False))) == 3


def test_the_page_says_how_much_it_looked_at_and_what_no_interval_holds(tmp_path: Path) -> None:
    root = folder(tmp_path / "s")
    metrics, judged = comparisons(read_study(root))
    page = html.unescape(write_study_report(root).read_text())
    # Accuracy and ece; of each 1 + 2 + 2 + 1 main effects and their 13 pairs, and one of sizes, some without a cell.
    assert metrics == 2 and 2 * 10 < judged <= 2 * (6 + 13 + 1)
    [lines] = [lines for title, lines in study_sentences(root) if title == "How far this reaches"]
    assert f"looks at 2 metrics with {judged} contrasts in all. p values are adjusted" in lines[0]
    assert (
        "some stand out by luck" in lines[0] and "one fixed test set" in lines[1] and "share many of them" in lines[1]
    )
    assert all(line in page for line in lines)
    # One meaning of the sign on a page: a standard deviation. Intervals are written with both ends.
    assert "with half of its 95% interval" not in page and page.count("Mean ± standard deviation") == 1


def test_the_page_begins_with_its_answer_and_the_settings_in_order(tmp_path: Path) -> None:
    root = folder(tmp_path / "s")
    page = html.unescape(write_study_report(root).read_text())
    assert not faults((root / "report.html").read_text())
    lead = re.search(r'<p class="answer">(.*?)</p>', page)
    assert lead is not None and lead[1].startswith("Chosen on validation: ") and "(" not in lead[1]
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert titles[:2] == ["The settings in order", "What each axis does"] and "The cells" in titles
    assert page.index('class="answer"') < page.index("<figure") < page.index("<h2")
    # Without a best cell that is named, the first setting and those that cannot be told from it.
    plain = write_study_report(folder(tmp_path / "t", best=False)).read_text()
    assert re.search(
        r'<p class="answer">First of \d+ settings: [^<]+; (none of |\d+ of )?\d+ others? can(not)? be told', plain
    )
    # Of one axis there is no heat map of one row, but a mean and an interval for each level.
    assert re.search(r'aria-label="accuracy by widths: \[4, 6\] [\d.]+; \[8, 12\] [\d.]+"', page)


def test_a_study_with_questions_says_how_many_are_answered() -> None:
    answers = [
        Answer("Is it?", "accuracy", "higher", Estimate(0.1, 0.01, 0.05, 0.15, 0.01, 3), (0.5, 0.6), 0.01, 1, 0, 3, 2),
        Answer("Or not?", "accuracy", "higher", None, None, None, 0, 1, 3, 2),
    ]
    empty = StudyAnswers(ACCURACY, (), "test", {}, tuple(answers), None)
    assert _leads(empty, {}, []) == ["Of 2 questions: 1 yes, 0 no, 1 cannot be told."]
    assert _leads(replace(empty, questions=tuple(answers[:1])), {}, []) == ["Is it? Yes."]
    assert _leads(replace(empty, questions=()), {}, ["Chosen: a."]) == []
    assert _questions(replace(empty, questions=())) == [] and _questions(empty) == [("", answers)]
    # Of very many those that are undecided come last, under a title.
    many = _questions(replace(empty, questions=tuple(answers[::-1] * 7)))
    assert [(title, {one.verdict for one in group}, len(group)) for title, group in many] == [
        ("", {answers[0].verdict}, 7),
        ("7 questions whose answer cannot be told", {answers[1].verdict}, 7),
    ]


def test_a_square_with_a_failure_has_no_mean() -> None:
    rows = [
        {"cell": cell, "seed": seed, "status": "done", "accuracy": value}
        for cell, seed, value in (("a", 0, 0.8), ("b", 0, 0.6), ("a", 1, 0.9), ("b", 1, 0.9))
    ]
    whole = square(rows, "accuracy")
    # Means of 0.7 and 0.9 over seeds: half of the interval is 12.7 x 0.1.
    assert whole.mean == pytest.approx(0.8)
    assert whole.ends == pytest.approx((0.8 - 12.706205 * 0.1, 0.8 + 12.706205 * 0.1))
    assert whole.cells == 2
    broken = square([*rows, {"seed": 2, "status": "failed", "accuracy": None}], "accuracy")
    assert broken.mean is None and broken.failed and broken.note == "1 of 5\nfailed"
    assert square([*rows, {"seed": 2, "status": "trained"}], "accuracy").note == "1 of 5\nto come"
    assert square([row | {"agreement": None} for row in rows], "agreement").note == "not\nmeasured"
    assert square([], "accuracy").note == "not in\nthe grid"


def test_axes_are_named_as_shortly_as_they_can_be() -> None:
    assert short_labels(["distill.methods.0.temperature", "size"]) == {
        "distill.methods.0.temperature": "temperature",
        "size": "size",
    }
    assert short_labels(["teacher.train.epochs", "students[0].train.epochs"]) == {
        "teacher.train.epochs": "teacher.train.epochs",
        "students[0].train.epochs": "students.train.epochs",
    }
    same = ["students.0.images", "students.1.images"]
    assert short_labels(same) == {axis: axis for axis in same}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("study.json", "[]"),
        ("study.json", "{"),
        ("results.csv", "part,cell\nmixing"),
        ("results.csv", f"{','.join(_KINDS)},accuracy\nelsewhere,x"),
        ("results.csv", f"{','.join(_KINDS)},accuracy\n"),
        ("results.csv", None),
        ("study.json", None),
    ],
)
def test_a_damaged_folder_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    root = folder(tmp_path / "s")
    (root / name).unlink()
    if content is not None:
        (root / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(name) if content != "[]" else "damaged"):
        write_study_report(root)


@pytest.mark.parametrize(
    ("column", "text", "why"),
    [("accuracy", "nan", "accuracy is nan"), ("seed", "", "no seed"), ("status", "", "no status")],
)
def test_a_row_that_was_edited_is_named_with_its_line(tmp_path: Path, column: str, text: str, why: str) -> None:
    table = folder(tmp_path / "s") / "results.csv"
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows([lines[0], lines[1] | {column: text}, *lines[2:]])
    with pytest.raises(InputError, match=rf"results.csv:3 is damaged .*{why}"):
        write_study_report(table.parent)


def test_a_table_that_is_cut_off_or_no_text_is_named(tmp_path: Path) -> None:
    table = folder(tmp_path / "s") / "results.csv"
    whole = table.read_bytes()
    table.write_bytes(whole.rstrip()[: whole.rstrip().rindex(b",")])
    with pytest.raises(InputError, match=r"results.csv:\d+ is damaged .*not \d+ cells"):
        read_study(table.parent)
    table.write_bytes(whole + b"\xff")
    with pytest.raises(InputError, match=r"results.csv cannot be read \(must be UTF-8 text .*; run the study again"):
        read_study(table.parent)


def test_it_opens_in_a_browser(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no browser is on the path")
    page = write_study_report(folder(tmp_path / "s"))
    result = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0 and "What failed" in result.stdout and "The cells" in result.stdout


def test_an_own_metric_is_written_in_its_unit_and_what_does_not_act_is_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "s")
    table = (root / "results.csv").read_text()
    head, rest = table.split("\n", 1)
    (root / "results.csv").write_text(f"{head.replace('accuracy', 'misses')}\n{rest}")
    record = json.loads((root / "study.json").read_text())
    record["metrics"] = [{"key": "misses", "title": "share of misses", "unit": "fraction", "higher_is_better": False}]
    record["questions"] = [
        {
            "ask": "Does mixup err less?",
            "of": {"teacher_mixing": ["mixup"]},
            "against": {"teacher_mixing": ["vanilla"]},
            "metric": "misses",
            "wanted": "lower",
        }
    ]
    (root / "study.json").write_text(json.dumps(record))
    told = dict(study_sentences(root))
    assert re.search(r"No: \+1\d\.\d points in share of misses \(80\.0 against 69\.8\)", told["Questions"][0])
    mixed = " ".join(told["mixing: s, none+distill"])
    assert re.search(r"mixup instead of vanilla raises share of misses by 1\d\.\d points, which is worse \(", mixed)
    page = html.unescape(write_study_report(root).read_text())
    assert re.search(r">7\d\.\d ± \d\.\d", page) and "0.7" not in "".join(re.findall(r"<td>(0\.7\d+) ±", page))
    # The calibration error is the same everywhere: sentences name that, and no table has a row of zeros.
    assert "makes no difference whatsoever" in page and "<td>+0.000</td>" not in page and ">+0.000<" not in page
