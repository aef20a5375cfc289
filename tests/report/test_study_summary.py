"""The answers of a study in a terminal of 80 columns, of committed results."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from rolewise.report.study_data import read_study
from rolewise.report.study_summary import answers_of_study, share_cell, study_summary
from rolewise.statistics.gap_share import UNKNOWN
from rolewise.statistics.study_answer_sentences import order_sentence, setting_name, study_gain_sentence

RESULTS = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "results"


@pytest.fixture(scope="module")
def text() -> str:
    console = Console(width=80, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(study_summary(RESULTS / "temperature_digits"))
    return captured.get()


def test_the_order_comes_before_what_each_axis_does(text: str) -> None:
    assert all(len(line) <= 80 for line in text.splitlines())
    words = " ".join(text.split())
    assert "In the order of their mean accuracy on the validation set." in words
    assert "arms.distill: [true, false] under set: trains the same arms without it." in words
    assert words.index("1, 0.5, large") < words.index("1, 0.1, small") < words.index("temperature: 4 instead of 1")
    assert "4 more are on the page" in words and "gain (95%)" not in words
    data = read_study(RESULTS / "temperature_digits")
    best = next(cell for cell in answers_of_study(data).cells if cell.place == 1)
    assert best.score is not None and best.score.sd is not None
    assert f"{100 * best.score.mean:.1f} ± {100 * best.score.sd:.1f}" in words


def test_gains_of_a_study_are_counted_by_their_side() -> None:
    data = read_study(RESULTS / "mixup_digits")
    answers = answers_of_study(data)
    gains = [cell.gain for cell in answers.cells if cell.gain is not None]
    # All 120 adjusted together.
    better = sum(gain.together is not None and gain.together <= 0.05 and gain.difference.mean > 0 for gain in gains)
    worse = sum(gain.together is not None and gain.together <= 0.05 and gain.difference.mean < 0 for gain in gains)
    assert len(gains) == 120 and study_gain_sentence(answers) == (
        f"Against the same student alone, accuracy is better with distillation in {better} and worse in {worse} of 120 "
        f"settings, beyond the noise of all 120 together; in {120 - better - worse} it cannot be told."
    )
    rivals = sum(cell.is_rival for cell in answers.of("tiny"))
    assert f"{rivals} of the other 65 cannot be told from the first (Holm over 65)" in order_sentence(answers, "tiny")
    axes = list(data.parts["distilled"])
    alone = next(cell for cell in answers.cells if not cell.distilled)
    assert setting_name(alone, answers, axes) == f"-, {alone.levels['student_mixing']}, -; none"
    assert share_cell(UNKNOWN) == ""
