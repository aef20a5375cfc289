"""Whether a student learns more from a teacher whose norms use each batch's statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claims.figures import Estimate, Figures, Table, adjusted_together, count, listed, p, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import LIMIT, changes

AXIS = "distill.teacher_mode"
IMAGES = {"none+distill": "clean", "randaugment+distill": "RandAugment"}


def compared(table: Table) -> dict[str, tuple[dict[str, Any], Estimate, float]]:
    """Returns what is compared, in words: its levels, batch statistics less eval mode, and Holm's p over all."""
    levels: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(row.get("methods", "outputs") for row in table.rows):
        for arm, images in IMAGES.items():
            of_method = {"methods": method} if "methods" in table.rows[0] else {}
            levels[f"{images} | {method}"] = {"arm": arm, **of_method}
    found = [table.difference({AXIS: "batch_statistics"}, {AXIS: "eval"}, **one) for one in levels.values()]
    ps = [1.0 if one is None else one for one in adjusted_together(found)[0]]
    return {name: (one, found[at], ps[at]) for at, (name, one) in enumerate(levels.items())}


def tell(table: Table, begins: str) -> Iterator[Told]:
    """Gives what a study of the two modes says."""
    found = compared(table)
    alone = sum(one.exceeds_noise for _, one, _ in found.values())
    stand = [name.replace(" | ", " images, ") for name, (_, _, adjusted) in found.items() if adjusted <= LIMIT]
    yield told(
        f"{begins}, over {count(table.seeds)} seeds: with batch statistics a student's accuracy differs by "
        f"{changes([one for _, one, _ in found.values()])} from what it is under `eval`. Of {count(len(found))} "
        f"differences {some(alone)} {'is' if alone == 1 else 'are'} beyond the noise of one comparison, and "
        f"{f'{count(len(stand))} ({listed(stand)})' if stand else 'none'} beyond that of all (the least Holm's p is "
        f"{p(min(one for _, _, one in found.values()))})."
    )


@paragraph("teacher_mode_digits")
def digits(figures: Figures) -> Iterator[Told]:
    """The page on methods, and the log."""
    yield from tell(figures.table("teacher_mode_digits"), "On digits (`configs/studies/teacher_mode_digits.yaml`)")
    student = figures.config("studies/teacher_mode_digits.yaml")["set"]["students"][0]
    steps = student["images"] // student["train"]["batch_size"] * student["train"]["epochs"]
    yield aside(
        f"Its trainings are short, {steps} steps on {student['images']} images, all seeds are tested on the same "
        "images, and the networks are small ones of one kind; whether anything of it is left after long training was "
        "not tried."
    )


@paragraph("teacher_mode_fashion_mnist")
def fashion(figures: Figures) -> Iterator[Told]:
    """The page on methods, and the log."""
    name = "teacher_mode_fashion_mnist"
    yield from tell(figures.table(name), f"On Fashion-MNIST (`configs/studies/{name}.yaml`)")
    student = figures.config(f"studies/{name}.yaml")["set"]["students"][0]
    steps = student["images"] // student["train"]["batch_size"] * student["train"]["epochs"]
    yield aside(f"Its trainings take {steps:,} steps on {student['images']:,} images.")
