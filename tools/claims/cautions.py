"""What intervals of this project do not hold; said beside each result, out of the settings and the figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from claims.figures import Figures, count, size
from claims.telling import Told, aside, paragraph, told

#: Images of scikit-learn's digits, and of Fashion-MNIST's training part.
TOTAL = {"digits": 1797, "fashion_mnist": 60_000}


def accuracy_error(accuracy: float, images: int) -> float:
    """Returns the standard error that a test set of so many images gives an accuracy by itself."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


@paragraph("cautions_digits")
def digits(figures: Figures) -> Iterator[Told]:
    """Beside the default experiment and whatever else is tested on the digits."""
    arms, data = figures.arms("digits"), figures.config("digits.yaml")
    best = max(arms.rows, key=lambda row: row.score.mean).score.mean
    free = TOTAL["digits"] - arms.test_images
    share = (free - data["data"]["validation"]) / free
    yield aside(
        "How far this reaches: intervals hold what differs between trainings from one seed to the next, and not what "
        f"other test images would give, for all seeds are tested on the same {arms.test_images} (`data.split_seed`)."
    )
    yield told(
        f"One image is {size(1 / arms.test_images)} points, and an accuracy of {size(best)}% has a standard error of "
        f"{size(accuracy_error(best, arms.test_images))} from these images alone; differences between networks have "
        "less of it, but not none."
    )
    yield aside(
        f"Nor are seeds independent of each other: each teacher learns from {data['teacher']['images']:,} of the same "
        f"{free:,} images, so that two of them share {100 * share:.0f}% of theirs on average."
    )


@paragraph("cautions_fashion_mnist")
def fashion_mnist(figures: Figures) -> Iterator[Told]:
    """Beside the runs on Fashion-MNIST."""
    arms, data = figures.arms("fashion_mnist"), figures.config("fashion_mnist.yaml")
    free, images = TOTAL["fashion_mnist"], data["students"][0]["images"]
    best = max(arms.rows, key=lambda row: row.score.mean).score.mean
    yield told(
        f"All seeds are tested on the same {arms.test_images:,} images, which give an accuracy of {size(best)}% a "
        f"standard error of {size(accuracy_error(best, arms.test_images))} points that is in no interval.",
        bool(data["retrain_on_validation"]),
    )
    yield aside(
        f"The teachers of all seeds learn from the same {free:,} images; only the students' {images:,} are drawn "
        f"anew. An interval over {count(arms.seeds)} seeds takes them as draws of a normal distribution, which so few "
        "cannot show."
    )


def folder(name: str) -> str:
    """Returns how a document names committed results."""
    return f"`{Path('benchmarks') / 'results' / name}`"
