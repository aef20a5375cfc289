"""The end of a run in a terminal of 80 columns: answers first, then the table of arms, out of committed results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from answer_toys import RESULTS, run_of
from rich.console import Console

from rolewise.files import write_json
from rolewise.report import summary
from rolewise.report.summary import run_results
from rolewise.statistics import run_answers
from rolewise.statistics.answer_sentences import answer_sentences


def printed(root: Path) -> str:
    # A record of the first version, when nothing had a digest: results are taken as they are.
    write_json(root / "run.json", {"version": 1, "name": "r"})
    console = Console(width=80, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(summary(root))
    assert all(len(line) <= 80 for line in captured.get().splitlines())
    return " ".join(captured.get().split())


@pytest.mark.parametrize("name", ["digits", "fashion_mnist", "digits_w2a2", "digits_searches"])
def test_answers_of_every_student_come_before_the_tables(tmp_path: Path, name: str) -> None:
    shutil.copy(RESULTS / f"{name}.json", tmp_path / "results.json")
    text = printed(tmp_path)
    count = 3 if name == "fashion_mnist" else 5
    table = text.index(f": mean ± sd, n = {count} ")
    for answer in run_answers(run_results(tmp_path)):
        for sentence in answer_sentences(answer):
            assert 0 <= text.index(f"- {sentence}") < table


def test_a_run_of_an_error_says_lower_and_better(tmp_path: Path) -> None:
    arms = {"none+distill": [1.0, 1.1, 1.05], "none": [1.5, 1.62, 1.48], "own+distill": [0.8, 0.91, 0.84]}
    results = run_of(arms, [0.5, 0.6, 0.5], "rmse", test_images=100)
    results["arms"] = [{**arm, "images": 10} for arm in results["arms"]]
    write_json(tmp_path / "results.json", results)
    text = printed(tmp_path)
    assert (
        "small, 3 seeds: - Distillation lowered rmse by 0.483 km compared with the same student alone, which is better"
        in text
    )
    assert "The lowest mean was 0.850 km, of own+distill" in text
