"""Segmentation: the comparison on CamVid."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import RESULTS, Figures, count, percent
from claims.task_runs import second_run
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, changes, standing


@paragraph("camvid")
def camvid(figures: Figures) -> Iterator[Told]:
    """The page on segmentation, below the table."""
    arms = figures.arms("camvid")
    best = max(arms.rows, key=lambda row: row.score.mean)
    taught = arms.difference("small", "standard+distill", "standard")
    yield told(
        f"The highest mean, {percent(best.score)}, is {best.augmentation}, {'with' if best.distilled else 'without'} "
        f"distillation. Distillation changes the student under standard augmentation by {by_itself(taught)}."
    )
    yield told(
        "Differences to standard are "
        f"{changes([row.difference for row in arms.rows if row.distilled])} with distillation and "
        f"{changes([row.difference for row in arms.rows if not row.distilled])} without."
    )
    yield told(standing(arms, lambda row: f"{row.augmentation} {'with' if row.distilled else 'without'} distillation"))
    later = (
        ""
        if (RESULTS / "camvid_channels.json").is_file()
        else " Longer trainings and methods on features were not tried."
    )
    yield aside(
        "No gain of distillation or of a searched schedule shows there. What was tried is in the config: logits "
        f"alone at one temperature, {count(figures.config('camvid.yaml')['teacher']['train']['epochs'])} epochs for "
        f"teacher and student, searches of a few epochs.{later}"
    )
    yield from second_run(figures, "camvid_channels")
