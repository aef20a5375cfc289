"""Fashion-MNIST without mixing: the controlled comparison."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Figures, count, interval, p, percent, points, size
from claims.telling import Told, aside, paragraph, told


def steps(figures: Figures) -> int:
    """Returns how many steps a student trains for."""
    student = figures.config("fashion_mnist.yaml")["students"][0]
    return student["images"] // student["train"]["batch_size"] * student["train"]["epochs"]


@paragraph("fashion_mnist")
def comparison(figures: Figures) -> Iterator[Told]:
    """README, below the table."""
    arms = figures.arms("fashion_mnist")
    best = max(arms.of("small"), key=lambda row: row.score.mean)
    lower = [arms.difference("small", row.name, best.name) for row in arms.of("small") if row is not best]
    yield told(
        f"Here augmentation does not pay: in {steps(figures):,} steps of training the best small student is distilled "
        f"without any ({percent(best.score)}), and every other arm has the lower mean.",
        best.name == "none+distill",
        all(one.mean < 0 for one in lower),
    )
    tiny = arms.difference("tiny", "none+distill", "none")
    yield told(
        f"The tiny student is not shown to gain by distillation without augmentation ({points(tiny.mean)} points, "
        f"{interval(tiny)}).",
        not (tiny.exceeds_noise and tiny.mean > 0),
    )
    firm = [row for row in arms.compared if arms.together(row.student, row.name) <= 0.05]
    one = firm[0] if firm else arms.compared[0]
    assert one.difference is not None
    yield told(
        f"Of all {arms.family} differences one is beyond the noise of all together: the tiny student under its own "
        f"schedule, distilled, loses {size(one.difference.mean)} points (Holm's p "
        f"{p(arms.together(one.student, one.name))}).",
        [(row.student, row.name) for row in firm] == [("tiny", "own+distill")],
        one.difference.mean < 0,
    )
    yield aside("[The log](docs/log.md) says what may be behind that and what was not tried.")


@paragraph("log_fashion_mnist")
def log(figures: Figures) -> Iterator[Told]:
    """The log: distillation under augmentation."""
    arms = figures.arms("fashion_mnist")
    none, own = {}, {}
    for student in ("small", "tiny"):
        none[student], own[student] = arms.row(student, "none+distill"), arms.row(student, "own+distill")
    small, tiny = own["small"].difference, own["tiny"].difference
    assert small is not None and tiny is not None
    yield told(
        f"`configs/fashion_mnist.yaml`, {count(arms.seeds)} seeds: the small student reaches "
        f"{percent(none['small'].score)} distilled without augmentation and {percent(own['small'].score)} under "
        f"its own schedule (difference {points(small.mean)}, interval {interval(small)}, unadjusted); the tiny one "
        f"{percent(none['tiny'].score)} and {percent(own['tiny'].score)} ({points(tiny.mean)}, "
        f"{interval(tiny)}; Holm's p {p(arms.alone(own['tiny']))} among this student's comparisons, "
        f"{p(arms.together('tiny', 'own+distill'))} among all {arms.family}), against it.",
        not small.exceeds_noise and tiny.mean < 0 and arms.together("tiny", "own+distill") <= 0.05,
    )
    costs = {student: arms.row(student, "randaugment+distill") for student in ("small", "tiny")}
    differences = [row.difference for row in costs.values() if row.difference is not None]
    yield told(
        f"RandAugment costs the two {size(differences[0].mean)} and {size(differences[1].mean)} points, more than the "
        "noise of one comparison and not of all.",
        all(one.mean < 0 and one.exceeds_noise for one in differences),
        all(arms.alone(row) > 0.05 for row in costs.values()),
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
