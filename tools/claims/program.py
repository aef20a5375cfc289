"""What the program itself says of the project's results: the reasons that `rolewise advise` gives."""

from __future__ import annotations

from claims.choosing import NAME, methods_against_kd
from claims.figures import Figures, count, interval, listed, points
from claims.mixing import CLEAN, RESCALED, TEMPERATURES, mixed, rescaled
from claims.places import TEMPERATURE
from claims.verdicts import grouped, one_by_one


def short(figures: Figures) -> str:
    """Returns what is known of temperatures in short trainings."""
    table, settings = figures.table("temperature_digits"), figures.config("studies/temperature_digits.yaml")
    main = table.main("grid", "student", TEMPERATURE, 4)
    assert main.difference is not None
    student = settings["set"]["students"][0]
    steps = student["images"] // student["train"]["batch_size"] * student["train"]["epochs"]
    return (
        f"on digits, over {table.seeds} seeds, at a temperature of 4 the mean accuracy differed from that at 1 by "
        f"{points(main.difference.mean)} points after {steps} steps (95% interval {interval(main.difference)}, "
        "unadjusted)"
    )


def logits(figures: Figures) -> str:
    """Returns what is known of rescaled logits on clean images."""
    table = figures.table("mixup_digits")
    pooled = table.answer("On clean images, are rescaled logits better").difference
    assert pooled is not None
    teachers = {
        name: table.difference(
            {"distillation": RESCALED}, {"distillation": TEMPERATURES}, part="distilled", teacher_mixing=name, **CLEAN
        )
        for name in ("vanilla", "mixup")
    }
    abler = rescaled(table, "kd T=4", **CLEAN, student="small")
    return (
        f"on clean digits they differed from temperatures of 1 and 4 by {points(pooled.mean)} points (95% interval "
        f"{interval(pooled)}, {table.seeds} seeds) over two students, by {points(teachers['vanilla'].mean)} from a "
        f"teacher of clean images and {points(teachers['mixup'].mean)} from one of mixed; for the abler student "
        f"they were {grouped({'4': abler}, ('above', 'below', 'not distinguishable from'))}"
    )


def mixing(figures: Figures) -> str:
    """Returns what is known of mixing in long trainings."""
    table = figures.table("mixup_digits")
    losses = (*TEMPERATURES, *RESCALED)
    gained = [loss for loss in losses if (found := mixed(table, loss)).exceeds_noise and found.mean > 0]
    half = table.main("distilled", "small", "student_mixing", "50%").difference
    assert half is not None
    epochs = figures.config("digits.yaml")["students"][0]["train"]["epochs"]
    return (
        f"on digits, at {epochs} times, students gained from mixing all images under {count(len(gained))} of "
        f"{count(len(losses))} losses, each judged by itself, and mixing half of them changed an abler one by "
        f"{points(half.mean)} points (95% interval {interval(half)})"
    )


def methods(figures: Figures) -> str:
    """Returns what is known of methods beside plain kd."""
    found, seeds = methods_against_kd(figures), figures.table(NAME).seeds
    above = [name for name, one in found.items() if one.stands and one.difference.mean > 0]
    named = [f"`{name}` ({one_by_one(found[name].difference)})" for name in above]
    return (
        f"on digits, over {seeds} seeds and each at its published or default weights, of {len(found)} methods "
        f"{listed(named)} stood above plain kd by more than the noise of all of them, in points"
    )
