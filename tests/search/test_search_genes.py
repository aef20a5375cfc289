"""Genes and spaces: what explore does, against the published log and by hand; what they refuse."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rolewise.errors import InputError
from rolewise.search import PolicySpace, ScalarGene, Space

OPS = tuple(f"op{index}" for index in range(15))


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_explore_has_the_statistics_of_the_published_log() -> None:
    """The 279 exploits of role-kd's search (2-bit ResNet-18, CIFAR-100): donor's vector and target's."""
    log = np.load(Path(__file__).with_name("role_kd_exploits.npz"))
    donors, published = log["donor"].astype(int), log["explored"].astype(int)
    assert donors.shape == (279, 60)
    space, generator = PolicySpace(OPS), draws(0)
    ours = np.array([space.explore(donor, generator)[0] for donor in donors.tolist() for _ in range(5)])
    before = np.repeat(donors, 5, axis=0)
    # 279 x 60 entries: the log's own shares have a standard deviation of .0036 and .0023; ours add little.
    assert (published == donors).mean() == pytest.approx((ours == before).mean(), abs=0.012)
    assert (abs(published - donors) > 3).mean() == pytest.approx((abs(ours - before) > 3).mean(), abs=0.008)
    # A lowest level cannot fall: where explore forgot to stop there, or drew one level less, these shares would tell.
    for low in (True, False):
        at = donors == 0 if low else donors > 3
        assert (published == donors)[at].mean() == pytest.approx(
            (ours == before)[np.repeat(at, 5, axis=0)].mean(), abs=0.02
        )


@pytest.mark.parametrize(("level", "entry"), [(0, 0), (5, 0), (10, 0), (9, 1), (8, 1)])
def test_explore_moves_one_level_as_worked_by_hand(level: int, entry: int) -> None:
    highest = 10 if entry == 0 else 9
    expected = np.full(highest + 1, 0.2 / (highest + 1))
    for amount in range(4):
        expected[max(0, level - amount)] += 0.8 / 8
        expected[min(highest, level + amount)] += 0.8 / 8
    # Many entries that start at the same level: one vector of 4,000 ops is 4,000 draws of this entry.
    space = PolicySpace(tuple(str(index) for index in range(4000)), copies=1)
    value, _ = space.explore([min(level, 9)] * 8000 if entry else [level, 0] * 4000, draws(1))
    assert isinstance(value, list)
    found = np.bincount(value[entry::2], minlength=highest + 1) / 4000
    assert len(found) == highest + 1
    assert abs(found - expected).max() < 4.5 * math.sqrt(0.25 / 4000)


def test_changes_say_what_was_done() -> None:
    space = PolicySpace(OPS)
    old, _ = PolicySpace(OPS, initial="random").explore([3] * 60, draws(2))
    assert isinstance(old, list)
    new, change = space.explore(old, draws(3))
    assert isinstance(new, list)
    told = list(old)
    for index, before, after in change["resampled"] + change["shifted"]:
        assert before == old[index] != after
        told[index] = after
    assert told == new
    assert all(abs(before - after) <= 3 for _, before, after in change["shifted"])


def test_labels_follow_the_order_of_the_vector() -> None:
    space = PolicySpace(("rotate", "invert"))
    assert [space.label(index) for index in (0, 3, 4, 7)] == [
        "rotate 1 probability",
        "invert 1 magnitude",
        "rotate 2 probability",
        "invert 2 magnitude",
    ]


def test_start_is_zeros_or_another_draw_for_each_member() -> None:
    assert PolicySpace(OPS).start(draws(0)) == [0] * 60
    first, second = (PolicySpace(OPS, initial="random").start(draws(seed)) for seed in (0, 1))
    assert first != second
    PolicySpace(OPS).check("x", first)


@given(
    seed=st.integers(0, 2**32),
    levels=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    copies=st.integers(1, 3),
    rate=st.floats(1e-4, 1.0),
)
def test_explored_genomes_stay_in_their_space(seed: int, levels: tuple[int, int], copies: int, rate: float) -> None:
    space = Space(
        {
            "policy": PolicySpace(("a", "b"), copies, *levels, initial="random"),
            "rate": ScalarGene(1e-4, 1.0, rate, log=True),
            "weight": ScalarGene(-1.0, 2.0, factors=(0.5, 3.0)),
        }
    )
    generator = draws(seed)
    genome = space.start(generator)
    for _ in range(4):
        space.check(genome)
        before = {name: list(value) if isinstance(value, list) else value for name, value in genome.items()}
        explored, changes = space.explore(genome, generator)
        assert genome == before, "explore must leave the donor's genome alone"
        assert set(changes) == set(genome)
        genome = explored
    space.check(genome)
    assert Space.from_json(space.to_json()).to_json() == space.to_json()


def test_scalar_multiplies_or_resamples() -> None:
    gene, generator = ScalarGene(0.001, 1.0, 0.1, log=True), draws(4)
    hows: dict[str, list[float]] = {}
    for _ in range(4000):
        value, change = gene.explore(0.1, generator)
        assert not isinstance(value, list)
        assert change == {"how": change["how"], "old": 0.1, "new": value}
        hows.setdefault(change["how"], []).append(value)
    assert set(hows) == {"* 0.8", "* 1.2", "resampled"}
    assert set(hows["* 0.8"]) == {0.1 * 0.8} and set(hows["* 1.2"]) == {0.1 * 1.2}
    assert len(hows["resampled"]) / 4000 == pytest.approx(0.25, abs=0.03)
    logs = np.log10(hows["resampled"])
    assert logs.mean() == pytest.approx(-1.5, abs=0.1) and logs.std() == pytest.approx(3 / math.sqrt(12), abs=0.06)


def test_scalar_stops_at_its_ends() -> None:
    gene = ScalarGene(0.5, 1.0, 1.0, factors=(2.0,), resample=0.0)
    assert gene.explore(0.9, draws(0))[0] == 1.0
    assert ScalarGene(0.5, 1.0, factors=(0.1,), resample=0.0).explore(0.9, draws(0))[0] == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolicySpace(()), "ops must be"),
        (lambda: PolicySpace(("a", "a")), "ops must be"),
        (lambda: PolicySpace(("a",), copies=0), "copies must be a whole number of at least 1, got 0"),
        (lambda: PolicySpace(("a",), magnitude_levels=2.5), "magnitude_levels must be"),  # type: ignore[arg-type]
        (lambda: PolicySpace(("a",), initial="ones"), "initial must be"),
        (lambda: ScalarGene(1.0, 1.0), "low must be"),
        (lambda: ScalarGene(0.0, math.inf), "low must be"),
        (lambda: ScalarGene(0.0, 1.0, log=True), "low must be positive"),
        (lambda: ScalarGene(0.1, 1.0, 2.0), "initial must be a number from 0.1 to 1.0, got 2.0"),
        (lambda: ScalarGene(0.1, 1.0, factors=(-1.0,)), "factors must be"),
        (lambda: ScalarGene(0.1, 1.0, resample=1.5), "resample must be"),
        (lambda: Space({}), "at least one gene"),
        (lambda: Space.from_json({"a": 1}), "space must be a list"),
        (lambda: Space.from_json([{"name": "a", "kind": "polciy"}]), 'did you mean "policy"'),
        (lambda: Space.from_json([{"name": "a", "kind": "policy", "ops": 5}]), "must have the settings of"),
        (lambda: Space.from_json([{"name": "a", "kind": "scalar", "low": 1, "high": 0}]), "space.a.low must be"),
        (lambda: Space.from_json([{"kind": "scalar"}]), "must name every gene"),
    ],
)
def test_bad_spaces_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"p": [0, 0]}, "exactly the genes"),
        ({"p": [0, 0, 1], "x": 0.5}, r"genome\.p must be a list of 2 levels, got 3"),
        ({"p": [11, 0], "x": 0.5}, r"genome\.p\[0\] \(a 1 probability\) must be a whole number from 0 to 10, got 11"),
        ({"p": [0, True], "x": 0.5}, "from 0 to 9"),
        ({"p": 3, "x": 0.5}, "list of 2 levels"),
        ({"p": [0, 0], "x": 1.5}, r"genome\.x must be a number"),
        ({"p": [0, 0], "x": math.nan}, r"genome\.x must be a number"),
        ({"p": [0, 0], "x": 10**400}, r"genome\.x must be a number"),
        ([], "exactly the genes"),
    ],
)
def test_bad_genomes_are_refused(genome: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Space({"p": PolicySpace(("a",), copies=1), "x": ScalarGene(0.0, 1.0)}).check(genome)
