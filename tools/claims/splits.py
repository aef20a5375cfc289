"""The default experiment on two divisions of the data: what another test set changes."""

from __future__ import annotations

from collections.abc import Iterator

from claims.digits import AUGMENTATIONS
from claims.figures import Arms, Figures, count, listed, p, points, size
from claims.telling import Told, aside, paragraph, told


def firm(arms: Arms) -> set[tuple[str, str]]:
    """Returns student and arm of the differences that stand among all of the table."""
    return {(row.student, row.name) for row in arms.compared if arms.together(row.student, row.name) <= 0.05}


def named(arms: Arms, found: set[tuple[str, str]], *, distilled: bool) -> str:
    """Returns the augmentations of these arms, in words."""
    words = {"own": "its own schedule", **AUGMENTATIONS}
    rows = [row for row in arms.compared if (row.student, row.name) in found and row.distilled == distilled]
    return listed([words[row.augmentation] for row in rows]) if rows else "nothing"


@paragraph("splits")
def another_division(figures: Figures) -> Iterator[Told]:
    """README, and the log."""
    first, second = figures.arms("digits"), figures.arms("digits_split1")
    moves = [abs(row.score.mean - second.row(row.student, row.name).score.mean) for row in first.rows]
    pairs = [(row.difference, second.row(row.student, row.name).difference) for row in first.compared]
    changes = [abs(one.mean - other.mean) for one, other in pairs if one is not None and other is not None]
    yield told(
        "On another division of the same data (`--set data.split_seed=1`, other test and other training images; "
        f"`benchmarks/results/digits_split1.json`) the arms' means move by up to {size(max(moves))} points, and "
        f"differences to none by up to {size(max(changes))}.",
        max(changes) > 0.01,
    )
    one, other = firm(first), firm(second)
    own = second.row("small", "own+distill")
    assert own.difference is not None
    yield told(
        f"Which of the {first.family} stand among all changes with it: there the small student's own schedule does "
        f"({points(own.difference.mean)} points distilled, Holm's p {p(second.together('small', own.name))}), and "
        "distilled all but one augmentation, but not the teacher's schedule "
        f"({p(second.together('small', 'teacher+distill'))}), the only one that stood here.",
        one == {("small", "teacher+distill"), ("small", "teacher")},
        not one & other,
        ("small", "own+distill") in other,
        sum(arm.endswith("+distill") for _, arm in other) == len(AUGMENTATIONS),
    )
    small = [row.difference for arms in (first, second) for row in arms.compared if row.student == "small"]
    rivals = [
        arms.difference(student, f"own{way}", f"{preset}{way}")
        for arms in (first, second)
        for student in ("small", "tiny")
        for way in ("", "+distill")
        for preset in AUGMENTATIONS
    ]
    tiny = [row for row in second.compared if row.student == "tiny"]
    yield told(
        "What both say: augmentation of any kind raises the small student's mean, by "
        f"{size(min(d.mean for d in small if d))} points at the least, and no schedule that was searched can be told "
        "from a preset, the teacher's schedule or its own shuffled.",
        all(d is not None and d.mean > 0 for d in small),
        not any(d.exceeds_noise for d in rivals),
    )
    least = min(second.alone(row) for row in tiny)
    yield told(
        f"What the first alone says: that the tiny student gains without distillation; there none of its "
        f"{count(len(tiny))} differences is beyond the noise of all of them (the least Holm's p is {p(least)}).",
        least > 0.05,
        min(first.alone(row) for row in first.compared if row.student == "tiny") <= 0.05,
    )
    yield aside("Claims that hang on one of the two are none.")
