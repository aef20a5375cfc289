"""What the two studies of mixing say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claims.cautions import TOTAL
from claims.figures import RESULTS, Estimate, Figures, Table, count, interval, p, points, size
from claims.telling import Told, aside, paragraph, told
from rolewise.report.study_data import read_study
from rolewise.report.study_page import comparisons

TEMPERATURES = ("kd T=4", "kd T=1")
RESCALED = ("mixstd final", "mixstd v3", "logit std")
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


def one_by_one(found: Estimate) -> str:
    """Returns a difference with its interval."""
    return f"{points(found.mean)}, {interval(found)}"


@paragraph("mixing_summary")
def summary(figures: Figures) -> Iterator[Told]:
    """README."""
    digits, fashion = figures.table("mixup_digits"), figures.table("mixup_fashion_mnist")
    yield aside(
        f"Mixing (`rolewise study configs/studies/mixup_digits.yaml --out runs/mixup_digits`, {trainings(digits)} "
        "trainings; half of the grid on Fashion-MNIST): a published claim is that with a mixup-trained teacher and a "
        "mixup student the temperature 1 beats 4."
    )
    asked = "With a teacher and a student of mixed images"
    one, other = (table.answer(asked) for table in (digits, fashion))
    assert one.difference is not None and other.difference is not None
    yield told(
        f"On digits the difference is {points(one.difference.mean)} points (95% interval {interval(one.difference)}, "
        f"{count(digits.seeds)} seeds), on Fashion-MNIST {points(other.difference.mean)} "
        f"({interval(other.difference)}, {count(fashion.seeds)} seeds): neither confirms nor refutes it.",
        one.verdict == other.verdict == "Cannot be told",
    )
    found = {loss: mixed(digits, loss) for loss in (*TEMPERATURES, *RESCALED)}
    kd = found["kd T=4"]
    helped = [loss for loss in found if found[loss].exceeds_noise and found[loss].mean > 0]
    least = min((found[loss].mean for loss in helped), default=0.0)
    yield told(
        f"On digits mixing all of the students' images helps under {count(len(helped))} of {count(len(found))} "
        f"losses, by {size(least)} points and more over both students, each judged by itself; under plain "
        f"distillation at temperature 4 it cannot be told ({one_by_one(kd)}).",
        set(found) - set(helped) == {"kd T=4"},
    )
    pooled = digits.answer("On clean images, are rescaled logits better")
    assert pooled.difference is not None
    tiny = {name: rescaled(digits, name, **CLEAN, student="tiny") for name in TEMPERATURES}
    small = {name: rescaled(digits, name, **CLEAN, student="small") for name in TEMPERATURES}
    yield told(
        "On clean images logits rescaled by their own deviation beat the temperatures over both students together "
        f"({points(pooled.difference.mean)}, Holm's p {p(pooled.adjusted or 0.0)}) and each of them for the tiny "
        f"student; for the small one they cannot be told from temperature 4 ({one_by_one(small['kd T=4'])}).",
        pooled.verdict == "Yes",
        all(one.exceeds_noise and one.mean > 0 for one in tiny.values()),
        not small["kd T=4"].exceeds_noise,
    )
    everything = fashion.difference(ALL, CLEAN, part="distilled")
    yield told(
        f"On Fashion-MNIST mixing everything has the lower mean ({one_by_one(everything)}, by itself).",
        everything.mean < 0 and everything.exceeds_noise,
    )
    yield aside(
        "[Mixing](docs/mixing.md#what-the-digits-say) has every question with its interval and what these intervals "
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
        f"a time: {seconds['small']:.1f} s for the small student and {seconds['tiny']:.1f} for the tiny one "
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
    both = table.answer("With a teacher and a student of mixed images").difference
    clean_answer = table.answer("With a teacher and a student of clean images")
    clean = clean_answer.difference
    assert both is not None and both.high is not None and clean is not None
    yield told(
        "The claim that temperature 1 beats 4 where teacher and student are mixed is not confirmed: the difference "
        f"cannot be told from nothing, and more than {size(both.high)} points in its favour are outside the interval.",
        not both.exceeds_noise,
        both.high > 0,
        begins=True,
    )
    yield told(
        f"On clean images temperature 1 is worse, by {size(clean.mean)} points; where both are mixed, "
        f"{size(both.mean)} of that are left.",
        clean_answer.verdict == "No",
        clean.mean < both.mean < 0,
    )
    tenth = table.answer("Is mixing exactly a tenth")
    code = table.answer("Is what the released code draws")
    shares = {share: table.mean(part="distilled", student_mixing=share) for share in ("10%", "30%", "50%", "all")}
    batch = figures.config("digits.yaml")["students"][0]["train"]["batch_size"]
    share = (1 - 1 / batch) ** int(batch * (1 - 0.1))
    yield told(
        "No exact share of mixed images (10%, 30%, 50%) has a higher mean than mixing all, and an exact tenth is "
        "worse.",
        shares["all"] == max(shares.values()),
        tenth.verdict == "No",
        begins=True,
    )
    yield told(
        f'The released code\'s "10%" beats an exact tenth; at batch {batch} it mixes {100 * share:.0f}%.',
        code.verdict == "Yes",
    )
    yield from _heads(table)
    teacher = table.answer("Does a teacher of mixed images teach better")
    assert teacher.difference is not None
    mains = {student: table.main("distilled", student, "teacher_mixing", "mixup") for student in ("small", "tiny")}
    gains = {student: one.difference for student, one in mains.items()}
    assert gains["small"] is not None and gains["tiny"] is not None
    yield told(
        f"A teacher of mixed images teaches slightly better ({points(teacher.difference.mean)} points over "
        f"everything). By student it is {points(gains['tiny'].mean)} for the tiny and {points(gains['small'].mean)} "
        "for the small one, neither of which is beyond the noise of all contrasts together.",
        teacher.verdict == "Yes",
        not any(one.supported for one in mains.values()),
        begins=True,
    )


def _heads(table: Table) -> Iterator[Told]:
    """What rescaled logits do, and what their confidences are worth."""
    pooled = table.answer("On clean images, are rescaled logits better")
    found = {
        (mixing, student, name): rescaled(table, name, student_mixing=mixing, student=student)
        for mixing in ("clean", "all")
        for student in ("small", "tiny")
        for name in TEMPERATURES
    }
    yield told(
        "Rescaled logits are better than the temperatures on clean images over both students. Each by itself, "
        "unadjusted: for the tiny student they are above temperature 4 by "
        f"{size(found['clean', 'tiny', 'kd T=4'].mean)} points ({interval(found['clean', 'tiny', 'kd T=4'])}) and "
        f"above 1 by {size(found['clean', 'tiny', 'kd T=1'].mean)} ({interval(found['clean', 'tiny', 'kd T=1'])}); "
        f"for the small one above 1 by {size(found['clean', 'small', 'kd T=1'].mean)} "
        f"({interval(found['clean', 'small', 'kd T=1'])}), and they cannot be told from 4 "
        f"({one_by_one(found['clean', 'small', 'kd T=4'])}).",
        pooled.verdict == "Yes",
        all(
            found["clean", "tiny", name].exceeds_noise and found["clean", "tiny", name].mean > 0
            for name in TEMPERATURES
        ),
        found["clean", "small", "kd T=1"].exceeds_noise and not found["clean", "small", "kd T=4"].exceeds_noise,
        begins=True,
    )
    means = {
        loss: table.mean(part="distilled", student_mixing="all", distillation=loss)
        for loss in (*TEMPERATURES, *RESCALED)
    }
    high, low = [means[loss] for loss in RESCALED], [means[loss] for loss in TEMPERATURES]
    yield told(
        f"On mixed ones, which was not asked, their cells have the higher means too ({size(min(high))} to "
        f"{size(max(high))} against {size(min(low))} and {size(max(low))}), for the tiny student beyond the noise of "
        f"one comparison, for the small one hardly ({one_by_one(found['all', 'small', 'kd T=4'])} and "
        f"{one_by_one(found['all', 'small', 'kd T=1'])}).",
        min(high) > max(low),
        all(found["all", "tiny", name].exceeds_noise for name in TEMPERATURES),
        min(found["all", "small", name].low or 0.0 for name in TEMPERATURES) < 0.005,
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
        f"Confidences of logit standardisation mean nothing (an expected calibration error of {size(min(raw), 0)} to "
        f"{size(max(raw), 0)} points) until a temperature is fitted; then the error is {size(fitted['logit std'])} "
        f"points in the mean, against {size(fitted['kd T=4'])} and {size(fitted['kd T=1'])} under the temperatures 4 "
        "and 1.",
        min(raw) > 0.5,
        fitted["logit std"] < fitted["kd T=4"] < fitted["kd T=1"],
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
        f"{count(len(answered))} is answered.",
        len(answered) == 1,
        begins=True,
    )
    here, there = (one.answer("With a teacher and a student of mixed images").difference for one in (table, other))
    assert here is not None and there is not None
    yield told(
        f"Temperature 1 against 4 with mixed teacher and student is {points(here.mean)} points, the other way round "
        f"than on digits ({points(there.mean)}), and cannot be told from nothing either: the claim is neither "
        "confirmed nor refuted on either set.",
        here.mean > 0 > there.mean,
        not here.exceeds_noise and not there.exceeds_noise,
    )
    alone = table.main("labels", "small", "student_mixing", "all")
    distilled = table.main("distilled", "small", "student_mixing", "all")
    by_teacher = {
        name: table.difference(ALL, CLEAN, part="distilled", teacher_mixing=name) for name in ("vanilla", "mixup")
    }
    assert alone.difference is not None and distilled.difference is not None
    yield told(
        f"Mixing everything does not help here: without distillation it costs {size(alone.difference.mean)} points "
        f"({interval(alone.difference)}), with it {size(distilled.difference.mean)} "
        f"({interval(distilled.difference)}; by itself beyond noise, not among all contrasts), "
        f"{size(by_teacher['mixup'].mean)} where the teacher is mixed as well and {size(by_teacher['vanilla'].mean)} "
        "where it is not.",
        alone.supported and alone.difference.mean < 0,
        distilled.difference.exceeds_noise and not distilled.supported,
        by_teacher["mixup"].mean < by_teacher["vanilla"].mean < 0,
        begins=True,
    )
    long, short = (
        figures.config(f"{name}.yaml")["students"][0]["train"]["epochs"] for name in ("digits", "fashion_mnist")
    )
    yield aside(
        f"{short} passes over the images are fewer than the {long} of the digits; longer training was not tried."
    )
    cells: dict[tuple[str, ...], str] = {
        (row["teacher_mixing"], row["student_mixing"], row["distillation"]): row["cell"]
        for row in table.some(part="distilled")
    }
    means = {levels: table.mean(cell=cell, part="distilled") for levels, cell in cells.items()}
    plain = means["vanilla", "clean", "kd T=4"]
    yield told(
        "The released recipe's loss (`mixstd`) on clean images is the cell of the highest test accuracy, "
        f"{size(max(means.values()))}% against {size(plain)}% of plain distillation at temperature 4; of {len(cells)} "
        "cells the highest is also the luckiest.",
        max(means, key=lambda levels: means[levels]) == ("vanilla", "clean", "mixstd final"),
        begins=True,
    )


@paragraph("log_mixing_fashion")
def log(figures: Figures) -> Iterator[Told]:
    """The log: mixing all images, on Fashion-MNIST."""
    digits_gain = figures.table("mixup_digits").main("distilled", "small", "student_mixing", "all")
    cost = figures.table("mixup_fashion_mnist").main("distilled", "small", "student_mixing", "all")
    assert digits_gain.difference is not None and cost.difference is not None
    long, short = (figures.config(f"{name}.yaml")["students"][0] for name in ("digits", "fashion_mnist"))
    yield told(
        "What helped on digits (`configs/studies/mixup_digits.yaml`: mixing all images "
        f"{points(digits_gain.difference.mean)} points for the small student) has the lower mean there "
        f"({points(cost.difference.mean)}, {interval(cost.difference)}, by itself; `mixup_fashion_mnist.yaml`), at "
        f"{short['train']['epochs']} passes over {short['images']:,} images instead of {long['train']['epochs']} over "
        f"{long['images']}.",
        digits_gain.supported and digits_gain.difference.mean > 0,
        cost.difference.mean < 0 and cost.difference.exceeds_noise and not cost.supported,
    )
    yield aside("Longer training was not tried.")
