"""Whether a teacher is fed and read as it was trained: each fault is shown by what undoing it brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from rolewise.diagnosis.baselines import Baseline, baselines_of, left_in_training
from rolewise.diagnosis.fault_kinds import FAULTS, REMEDIES, TeacherDiagnosis, TeacherFault, Thresholds, Tried
from rolewise.diagnosis.mistakes import class_order, more_often_right, reordered_hits, smallest_gain
from rolewise.diagnosis.preprocessing import (
    Correction,
    Preprocessing,
    corrections,
    plain_spec,
    preprocessed_logits,
    untouched,
)
from rolewise.diagnosis.teacher_case import FOLLOWED, TeacherCase, teacher_case
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.statistics.estimates import holm


def teacher_faults(
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    train_images: Tensor,
    train_labels: Tensor,
    spec: InputSpec | None = None,
    student: nn.Module | None = None,
    student_spec: InputSpec | None = None,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    classes: int | None = None,
    on_step: Callable[[str], None] = lambda text: None,
) -> TeacherDiagnosis:
    """Looks for faults in how a teacher is fed and read, by trying what would undo each.

    The teacher is run as it is given and under other normalisations, channels reversed, at other sizes, with its
    outputs in another order (found on one half of the images, judged on the other), and with norms' statistics of the
    training images. A correction counts where it makes the teacher right on more of the same images (exact test of
    McNemar, Holm over all corrections) by more than the `Thresholds`. It is taken over, and the rest is tried again.
    Afterwards the teacher is compared with the commonest class, with the nearest mean image, and with a student. Where
    it stays below the first two even then, the corrections have mended nothing, and it is merely weak.

    A fault that costs less than the thresholds is not found; nor is one that nothing here would undo.

    Source: none; each test is that of McNemar (1947).

    Args:
        teacher: returns logits [B, K]. Neither its weights nor its norms' statistics are changed.
        images: uint8 [N, C, H, W], held out; never those of the final test.
        labels: int64 [N].
        train_images: uint8 [M, C, H, W], for statistics and mean images.
        train_labels: int64 [M].
        spec: the teacher's input; None for pixels in [0, 1].
        student: a trained student to compare with, or None.
        student_spec: the student's input.
        thresholds: the limits beyond which a difference is a fault.
        seed: of all draws.
        classes: the number of the first outputs that are the data's classes, where others follow, of classes that the
            data have not: it is right where the right one is above all; None where there are no others.
        on_step: called with the name of each step.

    Raises:
        InputError: the images are no uint8 images, the teacher has not one output for each class, or no image.
    """
    rule = thresholds or Thresholds()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    reading = Preprocessing(spec or plain_spec(images))
    _check(teacher, images, labels, reading)
    case = teacher_case(teacher, images[order], labels[order], train_images, reading, seed, classes)
    images, labels = case.images, case.labels
    on_step("teacher: its modes")
    remedy = "call teacher.eval() before its outputs are used; Rolewise's own training does"
    faults = [
        TeacherFault("norm_mode", sentence, remedy) for sentence in left_in_training(teacher, case.images, reading)
    ]
    tried: list[Tried] = []
    found: list[TeacherFault] = []
    tests = 0
    while len(found) < 4:
        round_tried, winner, also = _round(case, reading, {fault.name for fault in found}, rule, len(found), on_step)
        tried += round_tried
        tests = max(tests, len(round_tried))
        if winner is None:
            break
        taken = next(one for one in round_tried if one.taken)
        found.append(TeacherFault(winner.fault, _sentence(taken, winner, reading), REMEDIES[winner.fault], also))
        reading = winner.reading

    def compared(hits: Tensor) -> tuple[list[Baseline], list[Baseline]]:
        other = student_spec or plain_spec(images)
        rivals = baselines_of(hits, images, labels, train_images, train_labels, student, other)
        return rivals, [one for one in rivals if one.adjusted <= rule.level and one.accuracy - one.teacher >= rule.gain]

    hits = case.hits(reading)
    rivals, worse = compared(hits)
    if found and any(not one.trained for one in worse):
        # What a correction brings is then no sign of what the teacher was trained with.
        found, reading = [], Preprocessing(spec or plain_spec(images))
        hits = case.hits(reading)
        rivals, worse = compared(hits)
        tried = [replace(one, taken=False) for one in tried]
    if worse:
        most = max(worse, key=lambda one: one.accuracy)
        sentence = (
            f"right on {hits.double().mean():.1%}, where {most.name} is on {most.accuracy:.1%} of the same images"
        )
        found.append(TeacherFault("weak_teacher", sentence, REMEDIES["weak_teacher"]))
    return TeacherDiagnosis(
        tuple(faults + found),
        tuple(tried),
        tuple(rivals),
        reading,
        float(hits.double().mean()),
        len(hits),
        max(rule.gain, smallest_gain(len(hits), tests, rule.level)),
        rule,
    )


def _check(teacher: nn.Module, images: Tensor, labels: Tensor, reading: Preprocessing) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        got = f"{images.dtype} {list(images.shape)}"
        raise InputError(f"images must be uint8 [N, C, H, W] of at least one image, got {got}")
    outputs, classes = preprocessed_logits(teacher, images[:2], reading).shape[1], int(labels.max()) + 1
    if classes > outputs:
        raise InputError(
            f"teacher must have an output for each class, got {outputs} outputs and labels up to {classes - 1}; "
            "give it a last layer for these classes"
        )


def _round(
    case: TeacherCase,
    reading: Preprocessing,
    done: set[str],
    rule: Thresholds,
    number: int,
    on_step: Callable[[str], None],
) -> tuple[list[Tried], Correction | None, tuple[str, ...]]:
    """Tries every correction once; returns all, the best, and the names of those that are as good.

    Where the network is large, each is tried on a few images, and the best of them on all.
    """
    before_logits = case.logits(reading)
    before = before_logits.argmax(1) == case.labels
    every = corrections(case.teacher, reading, case.train_images, sizes="input_size" not in done)
    options = [one for one in every if one.fault not in done]
    shown: list[tuple[float, int]] = []
    for index, one in enumerate(options):
        on_step(f"teacher: {one.label}")
        count = case.first_look(one.reading, reading)
        shown.append((case.certainty(one.reading, count) - case.certainty(reading, count), index))
    if case.look < len(case.images):
        for gain, index in sorted(shown, reverse=True)[:FOLLOWED]:
            if gain > 0:
                on_step(f"teacher: {options[index].label}, on more images")
                case.logits(options[index].reading, case.affordable(options[index].reading, reading))
    hits = [case.known[one.reading].argmax(1) == case.labels[: len(case.known[one.reading])] for one in options]
    befores = [before] * len(hits)
    if "class_order" not in done:
        generator = torch.Generator().manual_seed(case.seed)
        among = before_logits[:, : case.classes]
        columns = class_order(among, case.labels)
        options.append(Correction("class_order", "outputs in another order", replace(reading, classes=columns)))
        hits.append(reordered_hits(among, case.labels, generator))
        befores.append(among.argmax(1) == case.labels)
    adjusted = holm([more_often_right(one, held[: len(one)]) for one, held in zip(hits, befores, strict=True)])
    tried = [
        Tried(option.fault, option.label, number, len(hit), _mean(held[: len(hit)]), _mean(hit), p)
        for option, hit, held, p in zip(options, hits, befores, adjusted, strict=True)
    ]
    worth = [index for index, one in enumerate(tried) if _counts(one, rule)]
    if not worth:
        return tried, None, ()
    best = max(worth, key=lambda index: tried[index].after)
    # On images that both were asked about.
    alike = [
        index
        for index in worth
        if more_often_right(*(one[: min(len(hits[best]), len(hits[index]))] for one in (hits[best], hits[index])))
        > 0.05
    ]
    # Statistics that no image has moved say themselves what is wrong.
    names = ["norm_mode", *FAULTS] if untouched(case.teacher) else list(FAULTS)
    chosen = min(alike, key=lambda index: (names.index(tried[index].fault), -tried[index].after))
    tried[chosen] = replace(tried[chosen], taken=True)
    also = tuple(tried[index].label for index in alike if index != chosen)
    return tried, options[chosen], also


def _counts(one: Tried, rule: Thresholds) -> bool:
    gain = one.after - one.before
    return one.adjusted <= rule.level and gain >= rule.gain and gain >= rule.repaired * (1 - one.before)


def _sentence(taken: Tried, winner: Correction, before: Preprocessing) -> str:
    text = (
        f"right on {taken.before:.1%} as it is and on {taken.after:.1%} with {taken.label} "
        f"({taken.images} images, adjusted p = {taken.adjusted:.1g})"
    )
    if winner.fault == "class_order" and winner.reading.classes is not None:
        moved = [(label, output) for label, output in enumerate(winner.reading.classes) if label != output]
        shown = ", ".join(f"{output} for class {label}" for label, output in moved[:8])
        text += f": output {shown}" + (f" and {len(moved) - 8} more" if len(moved) > 8 else "")
    if winner.fault == "normalisation":
        mean, std = (_numbers(values) for values in (winner.reading.spec.mean, winner.reading.spec.std))
        text += f": mean {mean}, std {std}"
    return text


def _numbers(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _mean(hits: Tensor) -> float:
    return float(hits.double().mean())
