"""Fashion-MNIST without mixing: the controlled comparison."""

from __future__ import annotations

from collections.abc import Iterator

from claims.digits import NAMES, rows_of
from claims.figures import Figures, count, percent
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, changes, placed, standing
from rolewise.statistics import ArmRow


def steps(figures: Figures) -> int:
    """Returns how many steps a student trains for."""
    student = figures.config("fashion_mnist.yaml")["students"][0]
    return student["images"] // student["train"]["batch_size"] * student["train"]["epochs"]


@paragraph("fashion_mnist")
def comparison(figures: Figures) -> Iterator[Told]:
    """The page of results, below the table."""
    arms = figures.arms("fashion_mnist")
    yield aside(f"Students train for {steps(figures):,} steps.")
    for student in ("small", "tiny"):
        best = max(arms.of(student), key=lambda row: row.score.mean)
        yield told(
            f"The {student} one's highest mean, {percent(best.score)}, is {under(best)}; its differences to none are "
            f"{changes([row.difference for row in rows_of(arms, student, distilled=True)])} with distillation and "
            f"{changes([row.difference for row in rows_of(arms, student, distilled=False)])} without."
        )
        taught = arms.difference(student, "none+distill", "none")
        yield told(f"Distillation without augmentation changes it by {by_itself(taught)}.")
    yield told(standing(arms, lambda row: f"the {row.student} student {under(row)}"))
    yield aside("[The log](log.md) says what may be behind that and what was not tried.")


def under(row: ArmRow) -> str:
    """Returns what a student was trained under."""
    how = "with distillation" if row.distilled else "without distillation"
    return f"{'without augmentation' if row.augmentation == 'none' else f'under {NAMES[row.augmentation]}'}, {how}"


@paragraph("log_fashion_mnist")
def log(figures: Figures) -> Iterator[Told]:
    """The log: distillation under augmentation."""
    arms = figures.arms("fashion_mnist")
    yield aside(f"`configs/fashion_mnist.yaml`, {count(arms.seeds)} seeds.")
    for student in ("small", "tiny"):
        none, own = arms.row(student, "none+distill"), arms.row(student, "own+distill")
        yield told(
            f"Distilled, the {student} student reaches {percent(none.score)} without augmentation and "
            f"{percent(own.score)} under its own schedule: {placed(arms, own)}."
        )
    for student in ("small", "tiny"):
        yield told(
            f"RandAugment changes the {student} student by {placed(arms, arms.row(student, 'randaugment+distill'))}."
        )
    parameters = {arm["student"]: arm["parameters"] for arm in arms.results["arms"]}
    yield aside(
        f"Students train for {steps(figures):,} steps there, with networks of {parameters['small']:,} and "
        f"{parameters['tiny']:,} parameters, so that what they lack may be capacity and steps rather than images; "
        "longer training was not tried."
    )
    yield aside(
        'The searches begin with random policies, all of them dense; a policy near "none" is probably too many small '
        "steps away for so few intervals. A search that begins with none was not tried here."
    )
