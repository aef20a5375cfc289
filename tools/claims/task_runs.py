"""Runs of texts, photographs and detectors: what distillation and schedules did, and how near a student came."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from claims.figures import Arms, Figures, count, percent, size
from claims.telling import Told, paragraph, told
from claims.verdicts import by_itself, changes, standing
from rolewise.statistics.estimates import estimate

#: The beginning of a sentence on each student of a run.
STUDENTS = {
    "bccd": {"quarter": "The student of a quarter of its width reaches"},
    "trec6": {"two-layers": "Two layers reach", "bag": "The bag of embeddings reaches"},
    "goemotions": {"bag": "The bag of embeddings reaches"},
    "sst2": {"two-layers": "Two layers reach"},
    "imagenette": {"small": "The student, a ResNet-8 of 48 pixels, reaches"},
    "nuclei": {"small": "The student of a quarter of its widths reaches"},
}
#: The part of its teacher's accuracy that a distilled student of texts is to keep.
KEPT = 0.95


def compared(arms: Arms, students: dict[str, str], plain: str = "none", teacher: str = "none") -> Iterator[Told]:
    """Gives what was found of a run: the teacher, distillation by itself, and schedules.

    Args:
        arms: of the run.
        students: the beginning of a sentence on each, by its name.
        plain: the augmentation that others are compared with.
        teacher: the augmentation of the teacher that taught.
    """
    yield told(f"The teacher reaches {percent(estimate(list(arms.teacher(teacher).values())))}.")
    for name, words in students.items():
        taught, alone = arms.row(name, f"{plain}+distill"), arms.row(name, plain)
        change = arms.difference(name, f"{plain}+distill", plain)
        yield told(
            f"{words} {percent(taught.score)} with distillation and {percent(alone.score)} on labels alone: "
            f"{by_itself(change)}."
        )
    schedules = [row.difference for row in arms.compared]
    if schedules:
        yield told(f"Differences of other augmentations to {plain} are {changes(schedules)}.")
        yield told(standing(arms, lambda row: _named(row.student, row.name, students)))


def _named(student: str, arm: str, students: dict[str, str]) -> str:
    where = f" ({student})" if len(students) > 1 else ""
    return f"{arm.removesuffix('+distill')} {'with' if arm.endswith('+distill') else 'without'} distillation{where}"


@paragraph("trec6")
def trec6(figures: Figures) -> Iterator[Told]:
    """The page on texts, below its table."""
    yield from compared(figures.arms("trec6"), STUDENTS["trec6"])


@paragraph("sst2")
def sst2(figures: Figures) -> Iterator[Told]:
    """The page on texts, below its table."""
    arms = figures.arms("sst2")
    yield from compared(arms, STUDENTS["sst2"])
    taught = arms.row("two-layers", "none+distill").score
    kept = taught.mean / statistics.fmean(arms.teacher("none").values())
    goal = f"{KEPT:.0%} was the goal, which is {'reached' if kept >= KEPT else 'missed'}"
    yield told(f"The distilled student keeps {size(kept)}% of its teacher's accuracy ({goal}).")


@paragraph("goemotions")
def goemotions(figures: Figures) -> Iterator[Told]:
    """The page on texts, below its table."""
    yield from compared(figures.arms("goemotions"), STUDENTS["goemotions"])


@paragraph("bccd")
def bccd(figures: Figures) -> Iterator[Told]:
    """The page on detection, below its table."""
    yield from compared(figures.arms("bccd"), STUDENTS["bccd"], "standard", "own")


@paragraph("nuclei")
def nuclei(figures: Figures) -> Iterator[Told]:
    """The page on segmentation, below its table."""
    arms = figures.arms("nuclei")
    yield from compared(arms, STUDENTS["nuclei"], "standard", "own")
    same = [values for values in zip(*(row.values for row in arms.rows), strict=True) if len(set(values)) == 1]
    yield told(
        f"In {count(len(same))} of {count(arms.seeds)} seeds every arm ends alike, at {size(same[0][0])}%: nucleus and "
        "outline share what is not background, and the student calls every pixel background."
        if same
        else "No seed ends alike in every arm."
    )


@paragraph("imagenette")
def imagenette(figures: Figures) -> Iterator[Told]:
    """The page on photographs."""
    yield from compared(figures.arms("imagenette"), STUDENTS["imagenette"], "inception-area-0.6")
