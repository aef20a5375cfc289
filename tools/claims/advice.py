"""How far the advice was from the best cell of the finished grids."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Figures, Regret, count, interval, points, size
from claims.telling import Told, aside, paragraph, told

#: The cells that the rules propose on each grid: before they were made from the digits' grid, and since.
FIRST = {"teacher_mixing": "vanilla", "student_mixing": "clean", "distillation": "kd T=4"}
NOW = {"teacher_mixing": "vanilla", "student_mixing": "50%", "distillation": "logit std"}
FASHION = {"student_mixing": "clean", "distillation": "logit std"}


def on_digits(figures: Figures, proposal: dict[str, str]) -> dict[str, Regret]:
    """Returns the regret of a proposal for each student of the digits' grid."""
    table = figures.table("mixup_digits")
    return {student: table.regret(proposal, part="distilled", student=student) for student in ("small", "tiny")}


@paragraph("advice_digits")
def digits(figures: Figures) -> Iterator[Told]:
    """What the first rules were worth on the digits, and what the present ones are."""
    first, now = on_digits(figures, FIRST), on_digits(figures, NOW)
    yield told(
        "On the digits grid (`benchmarks/results/mixup_digits`) the first rules proposed no mixing and a "
        f"temperature, and were {size(first['small'].regret.mean)} points ({interval(first['small'].regret)}) below "
        f"the best cell for the small student and {size(first['tiny'].regret.mean)} "
        f"({interval(first['tiny'].regret)}) for the tiny one, worse than a cell taken blindly "
        f"({size(first['small'].beside.mean)} and {size(first['tiny'].beside.mean)}).",
        all(one.regret.mean > one.beside.mean and one.regret.exceeds_noise for one in first.values()),
    )
    yield told(
        "The rules on rescaled logits and on mixing were made from that grid; on it they are "
        f"{points(-now['small'].regret.mean)} and {points(-now['tiny'].regret.mean)} points from the best (above it "
        "where positive), which shows only that they were learned.",
        all(abs(one.regret.mean) < abs(one.beside.mean) for one in now.values()),
    )
    yield aside("All of this is on one test set of few images.")


@paragraph("advice_fashion")
def fashion(figures: Figures) -> Iterator[Told]:
    """What the rules are worth on a grid that they were not made from."""
    table = figures.table("mixup_fashion_mnist")
    found = {
        name: table.regret({**FASHION, "teacher_mixing": name}, part="distilled", student="small")
        for name in ("vanilla", "mixup")
    }
    plain = table.regret(FIRST, part="distilled", student="small")
    vanilla, mixup = found["vanilla"], found["mixup"]
    yield told(
        f"On Fashion-MNIST (`benchmarks/results/mixup_fashion_mnist`, {count(table.seeds)} seeds), which was measured "
        f"after the rules had been fixed, they propose rescaled logits without mixing: {size(vanilla.regret.mean)} "
        f"points ({interval(vanilla.regret)}) below the best of {vanilla.cells} cells for a teacher of clean images, "
        f"{size(mixup.regret.mean)} ({interval(mixup.regret)}) for one of mixed images; the mean cell is "
        f"{size(vanilla.beside.mean)} ({interval(vanilla.beside)}) below it, and plain distillation at temperature 4, "
        f"which the config had, {size(plain.regret.mean)} ({interval(plain.regret)}).",
        0 < vanilla.regret.mean < vanilla.beside.mean < plain.regret.mean,
        0 < mixup.regret.mean < vanilla.beside.mean,
    )
    yield aside("What they say of mixing in long training has not been tried on other data.")


@paragraph("log_advice")
def log(figures: Figures) -> Iterator[Told]:
    """The log: what the teacher's deviation says of mixing."""
    table, first = figures.table("mixup_digits"), on_digits(figures, FIRST)
    gains = [
        found.mean
        for student in ("small", "tiny")
        for found in [
            table.difference({"student_mixing": "all"}, {"student_mixing": "clean"}, part="distilled", student=student)
        ]
    ]
    yield aside(
        "`rolewise advise` proposed mixing only where T.stddev fell under it by more than noise. On digits it did "
        "not fall."
    )
    yield told(
        f"Mixing was worth {size(min(gains))} and {size(max(gains))} points there all the same (means over all "
        f"losses): the proposals were {size(first['small'].regret.mean)} and {size(first['tiny'].regret.mean)} points "
        "below the best cell, further than the mean of all cells.",
        all(one.regret.mean > one.beside.mean for one in first.values()),
        min(gains) > 0,
    )
    yield aside("The deviation no longer decides whether images are mixed.")
