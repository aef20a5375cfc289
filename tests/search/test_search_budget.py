"""The budget, stated before a search starts."""

from __future__ import annotations

import pytest

from rolewise.errors import InputError
from rolewise.search import budget
from rolewise.words import duration


def test_published_search_by_hand() -> None:
    """Role-kd: 16 members, 200 epochs of 4,000 images in batches of 128, scored on 46,000 images each epoch."""
    cost = budget(16, 200, 200 * 4000, steps_per_member=200 * 31, validation_images=46_000, rate=10_000, workers=2)
    assert (cost.steps, cost.images, cost.validation_images) == (99_200, 12_800_000, 147_200_000)
    assert cost.seconds == pytest.approx(160_000_000 / 20_000)
    assert str(cost) == (
        "16 members x 200 intervals: 99,200 steps, 12,800,000 images and 147,200,000 to score, about 2 h 13 min"
    )


def test_time_is_unknown_without_a_rate() -> None:
    cost = budget(8, 8, 100)
    assert cost.seconds is None and str(cost).endswith("800 images, time known after the first interval")


def test_more_workers_than_members_do_not_help() -> None:
    assert budget(2, 1, 100, rate=10, workers=8).seconds == budget(2, 1, 100, rate=10, workers=2).seconds


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (600, "10 min"), (7500, "2 h 5 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == f"about {text}"


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="members must be at least 1, got 0"):
        budget(0, 1, 1)
    with pytest.raises(InputError, match="rate must be positive, got 0"):
        budget(1, 1, 1, rate=0)
