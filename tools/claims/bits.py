"""Students at few bits, and the role-wise paper's losses there."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Arms, Estimate, Figures, adjusted_together, count, interval, p, paired, points, size
from claims.telling import Told, aside, paragraph, told
from rolewise.results_format import values_of

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


def compared(runs: list[Arms]) -> tuple[float, int, int]:
    """Returns the least Holm's p of any arm among its student's, the number of arms, and how many stand alone."""
    rows = [(run, row) for run in runs for row in run.compared]
    least = min(run.alone(row) for run, row in rows)
    alone = sum(row.difference is not None and row.difference.exceeds_noise for _, row in rows)
    return least, len(rows), alone


def losses(figures: Figures) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Returns each loss's difference to the labels alone, and its p over all of them (Holm)."""
    table = figures.table("w2a2_losses_digits")
    found = {term: table.difference({"term": term}, {"term": "labels"}) for term in LOSSES}
    ps, _ = adjusted_together(list(found.values()))
    return found, {term: 1.0 if one is None else one for term, one in zip(found, ps, strict=True)}


@paragraph("bits_digits")
def digits(figures: Figures) -> Iterator[Told]:
    """Below the table of the small networks."""
    runs = [figures.arms(name) for name in SMALL]
    least, number, alone = compared(runs)
    yield told(
        "Augmentation made no difference that can be told to any of them (`benchmarks/results/digits_w2a2.json` and "
        f"its like have every arm): of {number} differences to none {alone} are more than the noise of one "
        f"comparison, none that of its student's together (the least Holm's p is {p(least)}).",
        least > 0.05,
    )
    taught = {
        (name, row.student): run.difference(row.student, "none+distill@own", "none")
        for name, run in zip(SMALL, runs, strict=True)
        for row in run.rows
        if row.name == "none"
    }
    largest = max(taught, key=lambda key: abs(taught[key].mean))
    yield told(
        "Nor did distillation from a teacher that is the same network, without augmentation: the largest difference "
        f"to the labels alone is {points(taught[largest].mean, 2)} points ({interval(taught[largest], 2)}).",
        not any(one.exceeds_noise for one in taught.values()),
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
    firm = [student for student in students if found[student].exceeds_noise]
    yield told(
        "Here two epochs on the labels alone give every student the higher mean than two epochs of distillation from "
        f"the network that it came from, at any number of bits ({size(min(one.mean for one in found.values()))} to "
        f"{size(max(one.mean for one in found.values()))} points; beyond the noise of one comparison for "
        f"{count(len(firm))} of {count(len(students))}, unadjusted).",
        all(one.mean > 0 for one in found.values()),
    )


@paragraph("bits_losses")
def paper_losses(figures: Figures) -> Iterator[Told]:
    """Below the table of losses."""
    _, ps = losses(figures)
    yield told(
        f"None can be told from the labels alone once all {count(len(ps))} comparisons are counted (the least Holm's "
        f"p is {p(min(ps.values()))}).",
        min(ps.values()) > 0.05,
    )


@paragraph("log_losses")
def log_losses(figures: Figures) -> Iterator[Told]:
    """The log: the role-wise paper's loss."""
    found, ps = losses(figures)
    images = figures.config("studies/w2a2_losses_digits.yaml")["set"]["students"][0]["images"]
    shown = [
        f"{name} {points(found[term].mean)}{unit} ({interval(found[term])})"
        for term, name, unit in (
            ("ii_kd", "`ii_kd`", " points"),
            ("qfr", "quantised feature regression", ""),
            ("kd", "`kd`", ""),
            ("attention", "attention", ""),
        )
    ]
    table = figures.table("w2a2_losses_digits")
    yield aside("The paper's reviewers asked how much of its gain is the loss's.")
    yield told(
        f"On a ResNet-8 of 2 bits with {images} labelled digits (`configs/studies/w2a2_losses_digits.yaml`) no loss "
        f"can be told from the labels alone: {', '.join(shown)}; intervals unadjusted, the least Holm's p of all "
        f"{count(len(ps))} {p(min(ps.values()))}.",
        min(ps.values()) > 0.05,
    )
    yield told(
        f"At {size(table.mean(term='labels'), 0)}% there is little room; CIFAR-100 "
        "(`configs/cifar100_resnet18_w2a2.yaml`) has not been run.",
        table.mean(term="labels") > 0.97,
    )


@paragraph("log_bits")
def log_bits(figures: Figures) -> Iterator[Told]:
    """The log: augmentation for students at few bits."""
    runs = [figures.arms(name) for name in (*SMALL, *RESNET)]
    least, number, _ = compared(runs)
    means = [row.score.mean for run in runs for row in run.rows]
    images = figures.config("digits_w2a2.yaml")["students"][0]["images"]
    yield told(
        f"`configs/digits_w2a2.yaml`, `digits_w4a4.yaml`, `digits_w8a8.yaml` and their ResNet-8 likes, {images:,} "
        "digits: no augmentation, searched or preset, can be told from none, at any number of bits, with or without "
        f"distillation, also where the teacher was trained without and the student's search stands alone ({number} "
        f"differences; the least Holm's p among a student's is {p(least)}).",
        least > 0.05,
    )
    yield told(f"Everything stands between {size(min(means))}% and {size(max(means))}%.", min(means) > 0.98)


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
    teacher = list(values_of(arms.results["teachers"][0], "accuracy").values())
    floats = paired(arms.row("float", "none+distill").values, teacher)
    yield told(
        f"`configs/fashion_mnist_bits.yaml`: two more epochs on the labels alone give {alone} at 32, 8, 4 and 2 bits; "
        f"under distillation from the teacher whose weights they start from {taught}.",
        all(arms.row(student, "none").score.mean > arms.row(student, "none+distill").score.mean for student in order),
    )
    yield told(
        f"The teacher has {size(arms.teacher('none'))}%: a student in floating point that imitates it stays where it "
        f"is ({points(floats.mean)} points).",
        abs(floats.mean) < 0.002,
    )
