"""CIFAR-100's twenty superclasses: the comparison on natural images."""

from __future__ import annotations

from collections.abc import Iterator

from claims.digits import NAMES, own_against, rows_of, worth
from claims.figures import Figures, count, percent
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, changes, placed, rivals, strata

#: The students in words.
STUDENTS = {"float": "the student in floating point", "w2a2": "the student at 2 bits"}


@paragraph("cifar20")
def natural_images(figures: Figures) -> Iterator[Told]:
    """The pages of results and of the search."""
    arms, settings = figures.arms("cifar20"), figures.config("cifar20.yaml")
    train = settings["students"][0]["train"]
    passes, images = train["epochs"], settings["students"][0]["images"]
    yield told(worth(arms))
    for student, words in STUDENTS.items():
        own = arms.row(student, "own+distill")
        yield told(
            f"Distilled, {words} reaches {percent(arms.row(student, 'standard+distill').score)} under flips and shifts "
            f"alone, and its own schedule on top of them changes that by {placed(arms, own)}; it "
            f"{rivals(own_against(arms, student, distilled=True))}."
        )
        rows = [row for row in rows_of(arms, student, distilled=True) if row.augmentation != "own"]
        yield told(
            f"Its other distilled arms differ from flips and shifts by {changes([row.difference for row in rows])}: "
            f"{strata(arms, rows, NAMES | {'none': 'no augmentation'})}."
        )
        taught = arms.difference(student, "standard+distill", "standard")
        yield told(f"Distillation under flips and shifts changes it by {by_itself(taught)}.")
    yield aside(
        f"Students learn from {images:,} images in {passes} passes, at 16x16 pixels, over {count(arms.seeds)} seeds; "
        "all of it in less than two hours of two cores. Longer training, which augmentation needs most, was not tried."
    )
