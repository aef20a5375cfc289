"""What a proposal lost against the best cell of a grid, on tables whose truth is known."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import pytest
import torch
from scipy import stats

from rolewise.errors import InputError
from rolewise.statistics.regret import regret, regret_sentence

Row = dict[str, Any]
AXES = ("temperature", "weight")


def grid(
    values: dict[tuple[float, float], list[float]], *, validation: dict[Any, list[float]] | None = None
) -> list[Row]:
    rows = []
    for number, (cell, accuracies) in enumerate(values.items()):
        for seed, accuracy in enumerate(accuracies):
            row: Row = {"part": "grid", "cell": f"grid-{number:03d}", "temperature": cell[0], "weight": cell[1]}
            row |= {"seed": seed, "student": "s", "arm": "none+distill", "status": "done", "accuracy": accuracy}
            row["validation_accuracy"] = validation[cell][seed] if validation is not None else None
            rows.append(row)
    return rows


TABLE = {
    (1, 0.1): [0.80, 0.82, 0.81],
    (4, 0.1): [0.90, 0.91, 0.95],
    (16, 0.1): [0.88, 0.94, 0.90],
    (4, 0.5): [0.70, 0.75, 0.71],
}


def test_regret_with_a_best_cell_of_validation_by_hand():
    # Validation prefers a cell that the test accuracies do not.
    validation = {cell: [0.5] * 3 for cell in TABLE} | {(16, 0.1): [0.6, 0.5, 0.7]}
    found = regret(grid(TABLE, validation=validation), AXES, {"temperature": 1, "weight": 0.1})
    assert found.chosen == "validation" and found.best == {"grid-002": 1} and found.cell == "grid-000"
    differences = [0.08, 0.12, 0.09]
    assert found.regret.mean == pytest.approx(statistics.fmean(differences))
    half = stats.t.ppf(0.975, 2) * statistics.stdev(differences) / 3**0.5
    assert found.regret.high == pytest.approx(statistics.fmean(differences) + half)
    mean = [statistics.fmean(accuracies[seed] for accuracies in TABLE.values()) for seed in range(3)]
    expected = statistics.fmean(a - b for a, b in zip(TABLE[16, 0.1], mean, strict=True))
    assert found.beside.mean == pytest.approx(expected)


def test_regret_across_seeds_by_hand():
    found = regret(grid(TABLE), AXES, {"temperature": 1, "weight": 0.1})
    # Without seed 0: 4 has .93, 16 has .92. Without seed 1: .925 and .89. Without seed 2: .905 and .91.
    assert found.chosen == "other seeds" and found.best == {"grid-001": 2, "grid-002": 1}
    assert found.regret.mean == pytest.approx(statistics.fmean([0.10, 0.09, 0.09]))


def test_the_best_of_pure_noise_has_no_regret_across_seeds():
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(60):
        noise = torch.randn(12, 4, generator=generator).tolist()
        table = {(float(2**at), 1.0): row for at, row in enumerate(noise)}
        found.append(regret(grid(table), AXES, {"temperature": 1.0, "weight": 1.0}).regret.mean)
    naive = 1.63 / 4**0.5  # the expected maximum of twelve standard normals, for means over four seeds
    error = statistics.stdev(found) / len(found) ** 0.5
    assert abs(statistics.fmean(found)) < 3 * error < naive / 2


def test_the_grids_own_best_has_a_regret_of_nothing():
    validation = {cell: values for cell, values in TABLE.items()}
    found = regret(grid(TABLE, validation=validation), AXES, {"temperature": 4, "weight": 0.1})
    assert found.regret.mean == 0 and found.distance == 0 and "the same for every seed" in regret_sentence(found)


def test_a_proposal_above_what_was_chosen_is_said_to_be_above():
    validation = {cell: [0.5] * 3 for cell in TABLE} | {(1, 0.1): [0.6, 0.6, 0.6]}
    found = regret(grid(TABLE, validation=validation), AXES, {"temperature": 4, "weight": 0.1})
    said = regret_sentence(found)
    assert "is 11.0 points (95% interval +4.4 to +17.6) above the best of 4 cells" in said, said


@pytest.mark.parametrize(
    ("temperature", "cell", "distance"), [(3, "grid-001", 0.1038), (1.9, "grid-000", 0.2315), (100, "grid-002", 0.6610)]
)
def test_the_nearest_cell_is_nearest_by_logarithms(temperature: float, cell: str, distance: float):
    found = regret(grid(TABLE), AXES, {"temperature": temperature, "weight": 0.1})
    assert found.cell == cell and found.distance == pytest.approx(distance, abs=1e-4)
    assert f"at distance {distance:.2g}" in regret_sentence(found)


def test_words_are_near_only_where_they_are_equal():
    rows = grid(TABLE)
    for row in rows:
        row["weight"] = "high" if row["weight"] == 0.5 else "low"
    assert regret(rows, AXES, {"temperature": 4, "weight": "high"}).cell == "grid-003"
    assert regret(rows, AXES, {"temperature": 4}, where={"weight": "low"}).cells == 3


def test_cells_that_are_not_finished_are_left_out():
    rows = grid(TABLE)
    next(row for row in rows if row["cell"] == "grid-001" and row["seed"] == 2)["status"] = "failed"
    found = regret(rows, AXES, {"temperature": 4, "weight": 0.1})
    assert found.cells == 3 and found.left_out == 1 and found.cell != "grid-001"
    assert "1 unfinished cells left out" in regret_sentence(found)


def faulty(change: str) -> tuple[list[Row], dict[str, Any]]:
    rows, given = grid(TABLE), {"proposal": {"temperature": 4, "weight": 0.1}}
    if change == "none":
        rows = []
    elif change == "one seed":
        rows = [row for row in rows if row["seed"] == 0]
    elif change == "all failed":
        rows = [row | {"status": "failed"} for row in rows]
    elif change == "two students":
        rows = [row | {"student": name} for row, name in itertools.product(rows, "ab")]
    elif change == "unknown":
        given = {"proposal": {"temperatur": 4, "weight": 0.1}}
    elif change == "open":
        given = {"proposal": {"temperature": 4}}
    elif change == "elsewhere":
        given = {"proposal": {"temperature": 4}, "where": {"weight": 0.7}}
    return rows, given


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("none", "at least one"),
        ("one seed", "at least two seeds"),
        ("all failed", "finished for every seed, got none of 4"),
        ("two students", "must be of one student, got a, b"),
        ("unknown", 'did you mean "temperature"'),
        ("open", "'weight' must have a value, got none; name which of 0.1, 0.5"),
        ("elsewhere", "must hold weight = 0.7"),
    ],
)
def test_what_cannot_be_judged_is_refused(change: str, part: str):
    rows, given = faulty(change)
    with pytest.raises(InputError, match=part):
        regret(rows, AXES, **given)


def test_of_an_error_the_best_cell_is_the_lowest() -> None:
    validation = {cell: [1 - value for value in values] for cell, values in TABLE.items()}
    errors = {cell: [1 - value for value in values] for cell, values in TABLE.items()}
    for held in (None, validation):
        rows = grid(errors, validation=held)
        lower = regret(rows, AXES, {"temperature": 1, "weight": 0.1}, lower=("accuracy", "validation_accuracy"))
        higher = regret(grid(TABLE, validation=TABLE if held else None), AXES, {"temperature": 1, "weight": 0.1})
        assert lower.best == higher.best and lower.chosen == higher.chosen
        assert lower.regret.mean == pytest.approx(higher.regret.mean) and lower.regret.mean > 0
        assert (lower.regret.low, lower.beside.mean) == (
            pytest.approx(higher.regret.low),
            pytest.approx(higher.beside.mean),
        )
    said = regret_sentence(lower, " km", 1.0)
    assert f"is {lower.regret.mean:.3f} km (95% interval" in said and ") above the best of 4 cells" in said
