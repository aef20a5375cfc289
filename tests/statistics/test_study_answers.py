"""A study's answers: order, gains over the undistilled student, and axes that do not act on an arm."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.study_data import read_study
from rolewise.statistics import holm
from rolewise.statistics.answers import NOT_ALONE
from rolewise.statistics.study_answers import StudyAnswers, study_answers

RESULTS = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "results"
RMSE = MetricInfo("rmse", "root mean squared error", "km", higher_is_better=False)
PARTS: dict[str, dict[str, list[Any]]] = {"grid": {"temperature": [1, 4], "size": ["large", "small"]}}


def table(seeds: int = 4, *, missing: tuple[int, str] | None = None) -> list[dict[str, Any]]:
    """A temperature that acts on the distilled arm alone, and a size that acts on both."""
    draw = np.random.default_rng(0)
    alone = {(size, seed): float(draw.random()) for size in ("large", "small") for seed in range(seeds)}
    rows = []
    for cell, (temperature, size) in enumerate(itertools.product([1, 4], ["large", "small"])):
        for seed, distilled in itertools.product(range(seeds), (True, False)):
            base = 0.7 + 0.1 * (size == "large") + 0.01 * alone[size, seed]
            gain = 0.05 * distilled + 0.03 * (distilled and temperature == 4) + 0.002 * distilled * float(draw.random())
            row = {"part": "grid", "cell": f"grid-{cell:03}", "temperature": temperature, "size": size, "seed": seed}
            row |= {"student": "small", "arm": "none+distill" if distilled else "none", "distilled": distilled}
            row |= {"accuracy": base + gain, "loss": 1 - base - gain, "status": "done", "images": 100, "parameters": 9}
            row |= {"validation_accuracy": base + gain - 0.01, "teacher_accuracy": 0.95 if distilled else None}
            if missing == (seed, size) and distilled and temperature == 1:
                row |= {"status": "waiting", "accuracy": None, "loss": None, "validation_accuracy": None}
            rows.append(row)
    return rows


def answers(rows: list[dict[str, Any]]) -> StudyAnswers:
    return study_answers(rows, PARTS, ACCURACY, ["accuracy", "loss"])


def test_an_axis_that_cannot_act_on_an_arm_is_shown_once() -> None:
    found = answers(table())
    assert found.inert == {("grid", "small", "none+distill"): (), ("grid", "small", "none"): ("temperature",)}
    alone = [cell for cell in found.cells if not cell.distilled]
    assert [cell.levels for cell in alone] == [{"size": "large"}, {"size": "small"}]
    assert [cell.cells for cell in alone] == [("grid-000", "grid-002"), ("grid-001", "grid-003")]
    assert len(found.cells) == 6 and {cell.of_seeds for cell in found.cells} == {4}
    # One number that differs in the last digit: two trainings.
    rows = table()
    rows[-1]["loss"] = float(np.nextafter(rows[-1]["loss"], 1))
    assert answers(rows).inert["grid", "small", "none"] == ()


def test_cells_are_in_the_order_of_validation_and_compared_with_the_best() -> None:
    rows = table()
    found = answers(rows)
    assert found.ordered_by == "validation" and found.missing is None
    assert [cell.place for cell in found.cells] == [1, 2, 3, 4, 5, 6]
    first, second = found.cells[:2]
    assert first.levels == {"temperature": 4, "size": "large"} and second.levels == {"temperature": 1, "size": "large"}
    assert first.behind is None and second.behind is not None and second.behind.mean < 0

    def of(levels: dict[str, Any], distilled: bool) -> np.ndarray:
        mine = [row for row in rows if row["distilled"] == distilled and levels.items() <= row.items()]
        return np.array([row["validation_accuracy"] for row in mine][:4])

    best = of(dict(first.levels), True)
    ps = [stats.ttest_rel(of(dict(cell.levels), cell.distilled), best).pvalue for cell in found.cells[1:]]
    assert [cell.behind_p for cell in found.cells[1:]] == [pytest.approx(p) for p in holm(ps)]
    assert not any(cell.is_rival for cell in found.cells)
    for row in rows:
        row["validation_accuracy"] = None
    assert answers(rows).ordered_by == "test"


def test_each_cell_is_compared_with_the_student_alone_of_its_own_size() -> None:
    rows = table()
    gains = {tuple(cell.levels.items()): cell.gain for cell in answers(rows).cells if cell.distilled}
    ps = {}
    for levels, gain in gains.items():
        assert gain is not None and gain.family == (4, 4) and gain.told
        known = [
            [row["accuracy"] for row in rows if row["distilled"] == side and dict(levels).items() <= row.items()]
            for side in (True, False)
        ]
        test = stats.ttest_rel(*known)
        assert gain.difference.mean == pytest.approx(np.mean(known[0]) - np.mean(known[1]))
        assert (gain.difference.low, gain.difference.high) == tuple(map(pytest.approx, test.confidence_interval()))
        assert gain.closed.value == pytest.approx(gain.difference.mean / (0.95 - np.mean(known[1])))
        ps[levels] = test.pvalue
    assert [gain.together for gain in gains.values() if gain] == [pytest.approx(p) for p in holm([*ps.values()])]


def test_a_student_alone_in_another_part_is_found_by_the_levels_that_both_have() -> None:
    data = read_study(RESULTS / "mixup_digits")
    found = study_answers(data.rows, data.parts, data.metric, data.metrics, data.questions)
    assert len(found.questions) == len(data.questions) and found.missing is None
    for cell in found.cells:
        assert (cell.gain is not None) == cell.distilled
        if cell.gain is not None:
            alone = [
                row["accuracy"]
                for row in data.rows
                if row["part"] == "labels"
                and row["student"] == cell.group[1]
                and row["student_mixing"] == cell.levels["student_mixing"]
            ]
            assert cell.gain.control_score.mean == pytest.approx(np.mean(alone)) and len(alone) == 5
    assert {cell.place for cell in found.of("tiny")} >= {1, 66} and len(found.of("tiny")) == 66


def test_an_unfinished_cell_has_no_place() -> None:
    found = answers(table(missing=(2, "large")))
    assert [cell.place for cell in found.cells] == [1, 2, 3, 4, 5, None]
    last = found.cells[-1]
    assert last.levels == {"temperature": 1, "size": "large"} and (last.seeds, last.of_seeds) == (3, 4)
    assert last.score is None and last.gain is not None and last.gain.difference.count == 3


def test_the_least_error_is_first() -> None:
    rows = [{**row, "rmse": row["accuracy"], "validation_rmse": row["validation_accuracy"]} for row in table()]
    found = study_answers(rows, PARTS, RMSE, ["rmse"])
    assert found.cells[0].levels == {"size": "small"} and found.cells[-1].levels == {"temperature": 4, "size": "large"}
    assert all(cell.gain.improvement < 0 for cell in found.cells if cell.gain is not None)


def test_a_study_that_only_distils_says_so() -> None:
    data = read_study(RESULTS / "temperature_digits")
    found = study_answers(data.rows, data.parts, data.metric, data.metrics)
    assert found.missing == NOT_ALONE and all(cell.gain is None for cell in found.cells) and len(found.cells) == 12
