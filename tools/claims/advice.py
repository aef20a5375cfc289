"""How far the advice was from the best cell of the finished grids."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Figures, Regret, count, points
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, with_interval

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
        f"temperature, and were {with_interval(first['small'].regret)} below the best cell for the small student and "
        f"{with_interval(first['tiny'].regret)} for the tiny one; the mean of all cells is "
        f"{points(first['small'].beside.mean)} and {points(first['tiny'].beside.mean)} below it."
    )
    yield told(
        "The rules on rescaled logits and on mixing were made from that grid as it first was; on it they are "
        f"{points(now['small'].regret.mean)} and {points(now['tiny'].regret.mean)} points below the best (above it "
        "where negative), which shows only that they were learned."
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
        f"after the rules had been fixed, they propose rescaled logits without mixing: "
        f"{with_interval(vanilla.regret)} below the best of {vanilla.cells} cells for a teacher of clean images, "
        f"{with_interval(mixup.regret)} for one of mixed images; the mean cell is {with_interval(vanilla.beside)} "
        f"below it, and plain distillation at temperature 4, which the config had, {with_interval(plain.regret)}."
    )
    yield aside("What they say of mixing in long training has not been tried on other data.")


@paragraph("log_advice")
def log(figures: Figures) -> Iterator[Told]:
    """The log: what the teacher's deviation says of mixing."""
    table, first = figures.table("mixup_digits"), on_digits(figures, FIRST)
    gains = [
        table.difference({"student_mixing": "all"}, {"student_mixing": "clean"}, part="distilled", student=student)
        for student in ("small", "tiny")
    ]
    yield aside(
        "`rolewise advise` proposed mixing only where T.stddev fell under it by more than noise. On digits it did "
        "not fall."
    )
    yield told(
        f"Mixing all images changed the means over all losses there by {by_itself(gains[0])}, for the small student "
        f"and by {by_itself(gains[1])}, for the tiny one; the proposals were {points(first['small'].regret.mean)} and "
        f"{points(first['tiny'].regret.mean)} points below the best cell, the mean of all cells "
        f"{points(first['small'].beside.mean)} and {points(first['tiny'].beside.mean)}."
    )
    yield aside("The deviation no longer decides whether images are mixed.")
