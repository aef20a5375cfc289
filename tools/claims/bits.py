"""Students at few bits, and the role-wise paper's losses there."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from claims.figures import Arms, Estimate, Figures, adjusted_together, count, listed, p, paired, size, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import FOR, LIMIT, Noise, changes, grouped, noise, with_interval

SMALL = ("digits_w8a8", "digits_w4a4", "digits_w2a2")
RESNET = ("digits_resnet8_w8a8", "digits_resnet8_w4a4", "digits_resnet8_w2a2")
LOSSES = {
    "kd": "`kd`",
    "attention": "`attention`",
    "qfr": "`qfr`, 2 bits",
    "rkd": "`rkd` on unit logits",
    "kd_svd": "`kd_svd`",
    "mhgd": "`mhgd`",
    "ii_kd": "`ii_kd`",
}


def compared(runs: list[Arms]) -> str:
    """Returns how many differences to none of several runs stand out, and how far."""
    rows = [(run, row) for run in runs for row in run.compared]
    one, student = (sum(noise(run, row) >= level for run, row in rows) for level in (Noise.ONE, Noise.STUDENT))
    table = sum(noise(run, row) is Noise.TABLE for run, row in rows)
    return (
        f"of {len(rows)} differences to none {some(one)} {'is' if one == 1 else 'are'} beyond the noise of one "
        f"comparison, {some(student)} beyond that of its student's together (the least Holm's p is "
        f"{p(min(run.alone(row) for run, row in rows))}), {some(table)} beyond that of its run's"
    )


def losses(figures: Figures) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Returns each loss's difference to the labels alone, and its p over all of them (Holm)."""
    table = figures.table("w2a2_losses_digits")
    found = {term: table.difference({"term": term}, {"term": "labels"}) for term in LOSSES}
    ps, _ = adjusted_together(list(found.values()))
    return found, {term: 1.0 if one is None else one for term, one in zip(found, ps, strict=True)}


def together(ps: dict[str, float]) -> str:
    """Returns how many losses can be told from the labels alone, all of them counted."""
    apart = [LOSSES[term] for term, one in ps.items() if one <= LIMIT]
    least = p(min(ps.values()))
    begins = f"Once all {count(len(ps))} comparisons are counted, "
    if not apart:
        return f"{begins}no loss can be told from the labels alone (the least Holm's p is {least})"
    return f"{begins}{listed(apart)} can be told from the labels alone (the least Holm's p is {least})"


@paragraph("bits_digits")
def digits(figures: Figures) -> Iterator[Told]:
    """Below the table of the small networks."""
    runs = [figures.arms(name) for name in SMALL]
    yield told(
        f"What augmentation does to them (`benchmarks/results/digits_w2a2.json` and its like have every arm): "
        f"{compared(runs)}."
    )
    taught = [
        run.difference(row.student, "none+distill@own", "none")
        for run in runs
        for row in run.rows
        if row.name == "none"
    ]
    largest = max(taught, key=lambda one: abs(one.mean))
    yield told(
        "Distillation from a teacher that is the same network, without augmentation: of "
        f"{count(len(taught))} differences to the labels alone {some(sum(one.exceeds_noise for one in taught))} beyond "
        f"the noise of one comparison, the largest {with_interval(largest, 2)}."
    )
    yield aside(
        f"All of it is tested on the same {runs[0].test_images} images "
        "([how far this reaches](report.md#how-far-results-reach))."
    )


@paragraph("bits_fashion")
def fashion(figures: Figures) -> Iterator[Told]:
    """Below the table of Fashion-MNIST."""
    arms = figures.arms("fashion_mnist_bits")
    students = list(dict.fromkeys(row.student for row in arms.rows))
    found = {student: arms.difference(student, "none", "none+distill") for student in students}
    yield told(
        "Two epochs on the labels alone differ from two epochs of distillation from the network that a student came "
        f"from by {changes(list(found.values()))}: {grouped(found, FOR)}, each by itself."
    )


@paragraph("bits_losses")
def paper_losses(figures: Figures) -> Iterator[Told]:
    """Below the table of losses."""
    yield told(f"{together(losses(figures)[1])}.")


@paragraph("log_losses")
def log_losses(figures: Figures) -> Iterator[Told]:
    """The log: the role-wise paper's loss."""
    found, ps = losses(figures)
    images = figures.config("studies/w2a2_losses_digits.yaml")["set"]["students"][0]["images"]
    names = {"ii_kd": "`ii_kd`", "qfr": "quantised feature regression", "kd": "`kd`", "attention": "attention"}
    yield aside("The paper's reviewers asked how much of its gain is the loss's.")
    yield told(
        f"On a ResNet-8 of 2 bits with {images} labelled digits (`configs/studies/w2a2_losses_digits.yaml`) losses "
        "differ from the labels alone, each by itself: "
        f"{', '.join(f'{name} {with_interval(found[term])}' for term, name in names.items())}."
    )
    yield told(f"{together(ps)}.")
    labels = figures.table("w2a2_losses_digits").mean(term="labels")
    yield told(
        f"The labels alone reach {size(labels, 0)}%, which leaves {size(1 - labels, 0)} points at most; CIFAR-100 "
        "(`configs/cifar100_resnet18_w2a2.yaml`) has not been run."
    )


@paragraph("log_bits")
def log_bits(figures: Figures) -> Iterator[Told]:
    """The log: augmentation for students at few bits."""
    runs = [figures.arms(name) for name in (*SMALL, *RESNET)]
    means = [row.score.mean for run in runs for row in run.rows]
    images = figures.config("digits_w2a2.yaml")["students"][0]["images"]
    yield told(
        f"`configs/digits_w2a2.yaml`, `digits_w4a4.yaml`, `digits_w8a8.yaml` and their ResNet-8 likes, {images:,} "
        "digits, any number of bits, with and without distillation, also where the teacher was trained without "
        f"augmentation and the student's search stands alone: {compared(runs)}."
    )
    yield told(f"Everything stands between {size(min(means))}% and {size(max(means))}%.")


@paragraph("log_start")
def log_start(figures: Figures) -> Iterator[Told]:
    """The log: distillation from the network that the student starts from."""
    arms = figures.arms("fashion_mnist_bits")
    order = ("float", "w8a8", "w4a4", "w2a2")
    alone, taught = (
        ", ".join(size(arms.row(student, name).score.mean) for student in order[:-1])
        + f" and {size(arms.row(order[-1], name).score.mean)}%"
        for name in ("none", "none+distill")
    )
    teacher = list(arms.teacher("none").values())
    floats = paired(arms.row("float", "none+distill").values, teacher)
    yield told(
        f"`configs/fashion_mnist_bits.yaml`: two more epochs on the labels alone give {alone} at 32, 8, 4 and 2 bits; "
        f"under distillation from the teacher whose weights they start from {taught}."
    )
    yield told(
        f"The teacher has {size(statistics.fmean(teacher))}%; a student in floating point that imitates it is at "
        f"{with_interval(floats)} from it."
    )
