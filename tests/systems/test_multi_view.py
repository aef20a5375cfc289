"""The multi-view system: its rectifier, what networks learn of it, and the race between views."""

from __future__ import annotations

import pytest
import torch

from rolewise.data.view_model import ViewData
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.known_systems import system_settings
from rolewise.systems.multi_view.multi_view_system import MULTI_VIEW, MultiViewSettings
from rolewise.systems.multi_view.patch_networks import logits_of, smoothed_relu, train_network, views_learned

QUIET = JobContext(lambda line: None, lambda: False)


def test_the_rectifier_by_hand() -> None:
    values = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], dtype=torch.float64)
    expected = [0.0, 0.0, 0.5**4 / 4, 1 / 4, 2 - 3 / 4]
    assert smoothed_relu(values, 4, 1.0).tolist() == pytest.approx(expected, abs=1e-15)
    near = torch.tensor([0.2 - 1e-9, 0.2 + 1e-9], dtype=torch.float64)
    low, high = smoothed_relu(near, 3, 0.2).tolist()
    assert low == pytest.approx(high, abs=1e-8)


def test_logits_are_sums_over_neurons_and_patches() -> None:
    draws = torch.Generator().manual_seed(2)
    weights = torch.randn(3, 2, 5, generator=draws, dtype=torch.float64)
    patches = torch.randn(4, 6, 5, generator=draws, dtype=torch.float64)
    expected = [
        [sum(float(smoothed_relu(patch @ weight, 3, 1.0)) for weight in weights[k] for patch in one) for k in range(3)]
        for one in patches
    ]
    found = logits_of(weights, patches, 3, 1.0)
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_views_are_counted() -> None:
    features = torch.eye(4, dtype=torch.float64).reshape(2, 2, 4)
    weights = torch.zeros(2, 3, 4, dtype=torch.float64)
    weights[0, 0, 0] = weights[0, 1, 1] = 1
    weights[1, 2, 2], weights[1, 0, 3] = 1, 0.1
    assert views_learned(weights, features, 0.3) == 1.5


def test_a_step_is_at_most_a_twentieth_of_the_weights() -> None:
    draws = torch.Generator().manual_seed(4)
    data = ViewData(torch.randn(6, 3, 5, generator=draws, dtype=torch.float64), torch.arange(6) % 2)
    start = torch.randn(2, 2, 5, generator=draws, dtype=torch.float64)
    known = {
        "temperature": 2.0,
        "teacher_weight": 1.0,
        "most_steps": 1,
        "least_accuracy": 1.0,
        "should_stop": lambda: None,
    }
    moved = train_network(start, data, lambda w, p: logits_of(w, p, 3, 1.0), steps=1, largest_rate=1e9, **known)
    assert float((moved - start).norm()) == pytest.approx(0.05 * float(start.norm()), rel=1e-9)
    still = logits_of(start, data.patches, 3, 1.0)
    taught, alone = (
        train_network(
            start, data, lambda w, p: logits_of(w, p, 3, 1.0), teacher=teacher, steps=1, largest_rate=1e-3, **known
        )
        for teacher in (still, None)
    )
    # A teacher that answers as the student does has no gradient.
    assert torch.allclose(taught, alone, atol=1e-15)


@pytest.mark.slow
def test_the_race_between_views_is_seen() -> None:
    few = MultiViewSettings(seeds=(0,), data=("two views",), examples=200, patches=5, networks=3, steps=300)
    rows = MULTI_VIEW.train(Piece(0, {"data": "two views"}), few, QUIET)
    found = {row["network"]: row for row in rows}
    assert found["single"]["accuracy"] + 0.1 < found["distilled ensemble"]["accuracy"]
    assert found["ensemble"]["accuracy"] > 0.93 and found["single"]["views"] < 1.8
    assert all(row["training_accuracy"] >= 0.99 for row in rows)


def test_what_was_not_learned_is_refused_and_a_stop_is_heard() -> None:
    few = MultiViewSettings(seeds=(0,), data=("two views",), steps=2, most_steps=2, networks=2)
    with pytest.raises(RunError, match=r"99% of the training examples, and single of seed 0 has learned"):
        MULTI_VIEW.train(Piece(0, {"data": "two views"}), few, QUIET)
    with pytest.raises(Interrupted):
        MULTI_VIEW.train(Piece(0, {"data": "two views"}), few, JobContext(lambda line: None, lambda: True))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["single=0"], "single must leave at least one of the 400 examples without a view"),
        (['data=["digits","digits"]'], "data must differ"),
        (["width=19"], "width"),
        (["patches=1"], "patches"),
        (["steps=9", "most_steps=8"], "most_steps must be at least 9"),
    ],
)
def test_one_view_alone_is_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["multi_view"], settings)
