"""The step: hand-worked decisions, and what holds for every population."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rolewise.errors import InputError, RunError
from rolewise.search import Genome, PolicySpace, Space, step

SPACE = Space({"policy": PolicySpace(("a", "b"), copies=1)})


def population(size: int) -> list[Genome]:
    return [{"policy": [member % 11, 0, 0, member % 10]} for member in range(size)]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_bottom_quarter_copies_the_top_quarter() -> None:
    scores = [0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2, 0.6]
    found: set[tuple[int, int]] = set()
    for seed in range(30):
        decision = step(population(8), scores, draws(seed), SPACE)
        assert [copy.target for copy in decision.copies] == [2, 6]  # .1 and .2
        assert not any(copy.retired for copy in decision.copies)
        found |= {(copy.target, copy.donor) for copy in decision.copies}
    assert found == {(2, 1), (2, 5), (6, 1), (6, 5)}  # .9 and .8, either for either


def test_donors_are_drawn_uniformly() -> None:
    generator = draws(1)
    donors = [
        copy.donor
        for _ in range(1000)
        for copy in step(population(16), list(map(float, range(16))), generator, SPACE).copies
    ]
    for donor in (12, 13, 14, 15):
        assert donors.count(donor) / len(donors) == pytest.approx(0.25, abs=0.03)


def test_ties_go_by_index() -> None:
    decision = step(population(4), [1.0, 1.0, 1.0, 1.0], draws(), SPACE)
    assert [(copy.target, copy.donor) for copy in decision.copies] == [(3, 0)]


def test_members_without_a_score_are_replaced_whatever_the_quantile() -> None:
    scores = [math.nan, 0.4, None, 0.6, -math.inf, 0.5, math.inf, 0.3]
    decision = step(population(8), scores, draws(), SPACE)
    assert [copy.target for copy in decision.copies] == [0, 2, 4, 6]
    assert all(copy.retired for copy in decision.copies)
    assert {copy.donor for copy in decision.copies} <= {3, 5}
    decision = step(population(8), [math.nan] + [1.0] * 7, draws(), SPACE)
    assert [(copy.target, copy.retired) for copy in decision.copies] == [(0, True), (7, False)]


def test_one_survivor_is_everyones_donor() -> None:
    decision = step(population(5), [None, None, None, 2.0, None], draws(), SPACE)
    assert [(copy.target, copy.donor) for copy in decision.copies] == [(0, 3), (1, 3), (2, 3), (4, 3)]


@pytest.mark.parametrize(
    ("size", "quantile", "count"), [(1, 0.25, 0), (2, 0.25, 1), (3, 0.5, 1), (16, 0.25, 4), (10, 0.25, 3), (8, 0.0, 0)]
)
def test_size_of_the_quantile(size: int, quantile: float, count: int) -> None:
    assert len(step(population(size), [float(i) for i in range(size)], draws(), SPACE, quantile).copies) == count


@given(
    scores=st.lists(st.one_of(st.none(), st.floats(), st.integers(-2, 2).map(float)), min_size=1, max_size=20),
    quantile=st.floats(0, 0.5),
    seed=st.integers(0, 2**32),
)
def test_what_holds_for_every_population(scores: list[float | None], quantile: float, seed: int) -> None:
    members = population(len(scores))
    before = [dict(genome) for genome in members]
    alive = [member for member, score in enumerate(scores) if score is not None and math.isfinite(score)]
    if not alive:
        with pytest.raises(RunError, match="none of the"):
            step(members, scores, draws(seed), SPACE, quantile)
        return
    decision = step(members, scores, draws(seed), SPACE, quantile)
    assert decision == step(members, scores, draws(seed), SPACE, quantile), "same arguments, same decision"
    assert members == before and len(decision.genomes) == len(members)
    targets = {copy.target for copy in decision.copies}
    count = min(math.ceil(len(members) * quantile), len(members) // 2)
    assert len(targets) == len(decision.copies) == max(count, len(members) - len(alive))
    assert set(range(len(members))) - set(alive) <= targets
    by_score = sorted((score for score in scores if score is not None and math.isfinite(score)), reverse=True)
    for copy in decision.copies:
        assert copy.donor in alive and copy.donor not in targets
        donor_score = scores[copy.donor]
        assert donor_score is not None and donor_score >= by_score[max(1, min(count, len(alive))) - 1]
        assert copy.retired == (copy.target not in alive)
    for member, genome in enumerate(decision.genomes):
        SPACE.check(genome)
        if member not in targets:
            assert genome == members[member]
    assert set(decision.changes) == targets


@pytest.mark.parametrize(
    ("size", "scores", "quantile", "message"),
    [
        (2, [1.0], 0.25, "scores must be one for each of the 2"),
        (2, [1.0, 2.0], 0.6, "quantile must"),
        (0, [], 0.2, "0 m"),
    ],
)
def test_bad_arguments(size: int, scores: list[float], quantile: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        step(population(size), scores, draws(), SPACE, quantile)
