"""What the two studies of mixing say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claims.cautions import TOTAL
from claims.figures import RESULTS, Estimate, Figures, Table, count, points, size, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import THAN, asked, by_itself, confirms, grouped, main_effect
from rolewise.report.study_contrasts import comparisons
from rolewise.report.study_data import read_study

TEMPERATURES = ("kd T=4", "kd T=1")
RESCALED = ("mixstd final", "mixstd v3", "logit std")
#: Questions of the studies, as they begin.
MIXED = "With a teacher and a student of mixed images"
RESCALING = "On clean images, are rescaled logits better"
ALL, CLEAN = {"student_mixing": "all"}, {"student_mixing": "clean"}


def trainings(table: Table) -> int:
    """Returns how many trainings a study is: its rows, and a teacher for each mixing and seed."""
    return len(table.rows) + len(table.parts["distilled"]["teacher_mixing"]) * table.seeds


def looked_at(name: str) -> tuple[int, int]:
    """Returns how many metrics a study's page compares, and how many contrasts of all of them."""
    return comparisons(read_study(RESULTS / name))


def mixed(table: Table, loss: str) -> Estimate:
    """Returns what mixing all of the student's images does under one loss, over both teachers and all students."""
    return table.difference(ALL, CLEAN, part="distilled", distillation=loss)


def rescaled(table: Table, temperature: str, **levels: Any) -> Estimate:
    """Returns what rescaled logits are above one temperature."""
    return table.difference({"distillation": RESCALED}, {"distillation": temperature}, part="distilled", **levels)


def by_loss(table: Table) -> dict[str, Estimate]:
    """Returns what mixing all of the student's images does under each loss."""
    return {f"`{loss}`": mixed(table, loss) for loss in (*TEMPERATURES, *RESCALED)}


def by_temperature(table: Table, **levels: Any) -> dict[str, Estimate]:
    """Returns what rescaled logits are against each temperature."""
    return {f"temperature {name.rpartition('=')[2]}": rescaled(table, name, **levels) for name in TEMPERATURES}


@paragraph("mixing_summary")
def summary(figures: Figures) -> Iterator[Told]:
    """README."""
    digits, fashion = figures.table("mixup_digits"), figures.table("mixup_fashion_mnist")
    yield aside(
        f"Mixing (`rolewise study configs/studies/mixup_digits.yaml --out runs/mixup_digits`, {trainings(digits)} "
        "trainings; half of the grid on Fashion-MNIST): a published claim is that with a mixup-trained teacher and a "
        "mixup student the temperature 1 beats 4."
    )
    one, other = (table.answer(MIXED) for table in (digits, fashion))
    yield told(
        f"On digits the difference is {asked(one)} ({count(digits.seeds)} seeds), which {confirms(one)}; on "
        f"Fashion-MNIST {asked(other)} ({count(fashion.seeds)} seeds), which {confirms(other)}."
    )
    yield told(
        "On digits mixing all of the students' images, over both students and each loss judged by itself, is "
        f"{grouped(by_loss(digits))}."
    )
    small, tiny = (grouped(by_temperature(digits, **CLEAN, student=name), THAN) for name in ("small", "tiny"))
    yield told(
        "On clean images logits rescaled by their own deviation differ from the temperatures by "
        f"{asked(digits.answer(RESCALING))}; for the tiny student they are {tiny}, for the small one {small}."
    )
    everything = fashion.difference(ALL, CLEAN, part="distilled")
    yield told(f"On Fashion-MNIST mixing everything changes the mean by {by_itself(everything)}.")
    yield aside(
        "[Mixing](mixing.md#what-the-digits-say) has every question with its interval and what these intervals "
        "do not hold, `benchmarks/results/mixup_*` the tables and pages."
    )


@paragraph("mixing_costs")
def costs(figures: Figures) -> Iterator[Told]:
    """What the first study cost."""
    timing = figures.table("mixup_digits/timing")
    seconds = {student: timing.mean("seconds", student=student) for student in ("small", "tiny")}
    total = sum(row["seconds"] for row in timing.rows)
    yield told(
        f"The {len(timing.rows)} trainings of students of the first took {total / 60:.0f} minutes of one core, two at "
        f"a time and with other work on both cores: {seconds['small']:.1f} s for the small student and "
        f"{seconds['tiny']:.1f} for the tiny one "
        "(`benchmarks/results/mixup_digits/timing.csv`). Those of teachers and the measurements come on top."
    )


@paragraph("mixing_looked_at")
def how_many(figures: Figures) -> Iterator[Told]:
    """Beside the questions on digits."""
    table = figures.table("mixup_digits")
    metrics, each = looked_at("mixup_digits")
    held = figures.arms("digits").test_images
    yield aside(
        f"`mixup_digits.yaml`, {count(table.seeds)} seeds, two students; its table and its page are in "
        "`benchmarks/results/mixup_digits`. Each seed's difference is a mean over both students and whatever else "
        "the two sides share; p is adjusted for all the questions, the interval for nothing."
    )
    yield aside(
        f"The page looks at {count(metrics)} metrics with {each:,} contrasts in all, and adjusts within a metric and "
        "a part only: among so many some stand out by luck. The questions were stated before, and are adjusted for "
        "one another.",
        begins=True,
    )
    yield aside(
        f"All seeds are tested on the same {held} images, and their teachers share most of what they learned from "
        "([how far this reaches](report.md#how-far-results-reach)): another draw of test images may move what is close."
    )


@paragraph("mixing_digits", points=True)
def digits(figures: Figures) -> Iterator[Told]:
    """What the digits say, point by point."""
    table = figures.table("mixup_digits")
    mixed_both = table.answer(MIXED)
    both = mixed_both.difference
    assert both is not None and both.high is not None
    yield told(
        "The claim that temperature 1 beats 4 where teacher and student are mixed: the difference is "
        f"{asked(mixed_both)}, which {confirms(mixed_both)}; "
        + (f"a gain of more than {size(both.high)} points is" if both.high > 0 else "any gain is")
        + " outside the interval.",
        begins=True,
    )
    clean = table.answer("With a teacher and a student of clean images")
    yield told(f"On clean images it is {asked(clean)}.")
    shares = {share: table.mean(part="distilled", student_mixing=share) for share in ("10%", "30%", "50%", "all")}
    best = max(shares, key=lambda share: shares[share])
    batch = figures.config("digits.yaml")["students"][0]["train"]["batch_size"]
    share = (1 - 1 / batch) ** int(batch * (1 - 0.1))
    yield told(
        f"Of the exact shares of mixed images (10%, 30%, 50% and all) {best} has the highest mean; an exact tenth "
        f"differs from all by {asked(table.answer('Is mixing exactly a tenth'))}.",
        begins=True,
    )
    yield told(
        f'The released code\'s "10%", which at batch {batch} mixes {100 * share:.0f}%, differs from an exact tenth by '
        f"{asked(table.answer('Is what the released code draws'))}."
    )
    yield from _heads(table)
    teacher = table.answer("Does a teacher of mixed images teach better")
    small, tiny = (table.main("distilled", name, "teacher_mixing", "mixup") for name in ("small", "tiny"))
    yield told(
        f"What a teacher of mixed images teaches differs by {asked(teacher)}, over everything. By student: "
        f"{main_effect(tiny)}, for the tiny one; {main_effect(small)}, for the small one.",
        begins=True,
    )


def _heads(table: Table) -> Iterator[Told]:
    """What rescaled logits do, and what their confidences are worth."""
    for mixing, begins in (
        (CLEAN, "On clean images rescaled logits"),
        (ALL, "On mixed ones, which was not asked, they"),
    ):
        small, tiny = (by_temperature(table, **mixing, student=name) for name in ("small", "tiny"))
        pooled = f" differ from the temperatures by {asked(table.answer(RESCALING))}; each by itself they"
        yield told(
            f"{begins}{pooled if mixing is CLEAN else ''} are, for the tiny student, {grouped(tiny, THAN)}; for the "
            f"small one {grouped(small, THAN)}.",
            begins=mixing is CLEAN,
        )
    raw = [
        table.mean("ece", part="distilled", distillation="logit std", cell=cell, student=student)
        for cell in dict.fromkeys(row["cell"] for row in table.some(part="distilled", distillation="logit std"))
        for student in ("small", "tiny")
    ]
    fitted = {
        loss: table.mean("ece_at_temperature", part="distilled", distillation=loss)
        for loss in ("logit std", *TEMPERATURES)
    }
    yield told(
        f"Confidences of logit standardisation have an expected calibration error of {size(min(raw), 0)} to "
        f"{size(max(raw), 0)} points before a temperature is fitted, so that they mean nothing; with it the error is "
        f"{size(fitted['logit std'])} points in the mean, against {size(fitted['kd T=4'])} and "
        f"{size(fitted['kd T=1'])} under the temperatures 4 and 1.",
        min(raw) > 0.5,
    )


@paragraph("mixing_fashion_looked_at")
def fashion_how_many(figures: Figures) -> Iterator[Told]:
    """Beside the questions on Fashion-MNIST."""
    table, settings = figures.table("mixup_fashion_mnist"), figures.config("studies/mixup_fashion_mnist.yaml")
    metrics, each = looked_at("mixup_fashion_mnist")
    base = figures.config("fashion_mnist.yaml")
    free = TOTAL["fashion_mnist"]
    student = settings["set"]["students"][0]
    yield aside(
        f"`mixup_fashion_mnist.yaml`, {count(table.seeds)} seeds, a student of {student['images']:,} labelled images "
        f"for {student['train']['epochs']} epochs, half of the grid; in `benchmarks/results/mixup_fashion_mnist`. The "
        f"page looks at {count(metrics)} metrics with {each} contrasts in all. All seeds are tested on the same "
        f"{figures.arms('fashion_mnist').test_images:,} images, and their teachers share "
        f"{100 * (free - base['data']['validation']) / free:.0f}% of what they learn from."
    )


@paragraph("mixing_fashion", points=True)
def fashion(figures: Figures) -> Iterator[Told]:
    """What Fashion-MNIST says, point by point."""
    table, other = figures.table("mixup_fashion_mnist"), figures.table("mixup_digits")
    answered = [one for one in table.answers if one.verdict != "Cannot be told"]
    yield told(
        f"{count(table.seeds).capitalize()} seeds are few: of the {count(len(table.answers))} questions "
        f"{some(len(answered))} {'is' if len(answered) == 1 else 'are'} answered.",
        begins=True,
    )
    here, there = (one.answer(MIXED) for one in (table, other))
    assert here.difference is not None and there.difference is not None
    alike = here.difference.mean * there.difference.mean > 0
    yield told(
        f"Temperature 1 against 4 with mixed teacher and student is {asked(here)}, "
        f"{'the same way' if alike else 'the other way'} round {'as' if alike else 'than'} on digits "
        f"({points(there.difference.mean)}); it {confirms(here)}."
    )
    alone = table.main("labels", "small", "student_mixing", "all")
    distilled = table.main("distilled", "small", "student_mixing", "all")
    by_teacher = {
        name: table.difference(ALL, CLEAN, part="distilled", teacher_mixing=name) for name in ("vanilla", "mixup")
    }
    yield told(
        f"Mixing everything changes the mean by {main_effect(alone)}, without distillation and by "
        f"{main_effect(distilled)}, with it ({points(by_teacher['mixup'].mean)} where the teacher is mixed as well, "
        f"{points(by_teacher['vanilla'].mean)} where it is not).",
        begins=True,
    )
    long, short = (
        figures.config(f"{name}.yaml")["students"][0]["train"]["epochs"] for name in ("digits", "fashion_mnist")
    )
    yield aside(
        f"{short} passes over the images are fewer than the {long} of the digits; longer training was not tried."
    )
    axes = ("teacher_mixing", "student_mixing", "distillation")
    cells = {tuple(row[axis] for axis in axes): row["cell"] for row in table.some(part="distilled")}
    means = {levels: table.mean(cell=cell, part="distilled") for levels, cell in cells.items()}
    best, plain = max(means, key=lambda levels: means[levels]), ("vanilla", "clean", "kd T=4")
    yield told(
        f"Of {len(cells)} cells the highest test accuracy, {size(means[best])}%, is that of `{best[2]}` with the "
        f"teacher's mixing `{best[0]}` and the student's `{best[1]}` (plain distillation at temperature 4 on clean "
        f"images has {size(means[plain])}%); the highest of many is also the luckiest.",
        begins=True,
    )


@paragraph("log_mixing_fashion")
def log(figures: Figures) -> Iterator[Told]:
    """The log: mixing all images, on Fashion-MNIST."""
    there = figures.table("mixup_digits").main("distilled", "small", "student_mixing", "all")
    here = figures.table("mixup_fashion_mnist").main("distilled", "small", "student_mixing", "all")
    long, short = (figures.config(f"{name}.yaml")["students"][0] for name in ("digits", "fashion_mnist"))
    yield told(
        "Mixing all images of the small student changes the mean on digits (`configs/studies/mixup_digits.yaml`) by "
        f"{main_effect(there)}, and on Fashion-MNIST (`mixup_fashion_mnist.yaml`) by {main_effect(here)}, at "
        f"{short['train']['epochs']} passes over {short['images']:,} images instead of {long['train']['epochs']} over "
        f"{long['images']}."
    )
    yield aside("Longer training was not tried.")
