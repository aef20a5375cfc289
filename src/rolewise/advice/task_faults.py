"""Faults of a teacher of any task: each correction is judged by the task's first metric, on the same examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rolewise.data import Source
from rolewise.diagnosis.fault_kinds import REMEDIES, TeacherFault, Thresholds
from rolewise.diagnosis.preprocessing import Correction, Preprocessing, corrections, recomputed_norms, untouched
from rolewise.inputs import InputSpec
from rolewise.metric_info import MetricInfo
from rolewise.seeds import generator
from rolewise.statistics.estimates import holm
from rolewise.statistics.resampling import resampled_values
from rolewise.tasks import Task, class_values
from rolewise.train import Metrics, evaluate

#: Resamples of the examples, whose deviation is that of a gain.
_RESAMPLES = 60
#: Corrections that are taken over one after another, at most.
_ROUNDS = 3
#: Corrections are as good as the best one from this p value on.
_ALIKE = 0.05


@dataclass(frozen=True)
class TaskTrial:
    """One correction and what it brought.

    Args:
        fault: the name of the fault that it would undo.
        label: the change in words.
        before: the task's first metric as it was.
        after: that metric with the correction.
        adjusted: p value that it is no better, adjusted for all that were tried beside it.
        taken: whether it was taken over.
    """

    fault: str
    label: str
    before: float
    after: float
    adjusted: float
    taken: bool = False


@dataclass(frozen=True)
class TaskDiagnosis:
    """The faults of a teacher's input, by the metric of its task.

    Args:
        faults: in the order in which they were found.
        tried: every correction.
        reading: the preprocessing that the teacher should have; None of texts.
        value: the first metric of the teacher read so.
        examples: that it was measured on.
        further: the task's other metrics, and its number of each class, by name as text.
    """

    faults: tuple[TeacherFault, ...]
    tried: tuple[TaskTrial, ...]
    reading: Preprocessing | None
    value: float
    examples: int
    further: Mapping[str, str] = field(default_factory=dict)


class _Reversed(nn.Module):
    """A network whose channels come in reverse order."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> object:
        return self.network(images.flip(1))


def task_faults(
    teacher: nn.Module,
    task: Task,
    source: Source,
    indices: Tensor,
    *,
    train_images: Tensor,
    spec: InputSpec,
    device: torch.device,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda text: None,
) -> TaskDiagnosis:
    """Looks for faults in how a teacher of images is fed, by the first metric of its task.

    The teacher is run as it is, under other normalisations, with channels reversed, and with norms' statistics of the
    training images. A correction counts where the metric is better by more than the thresholds and by more than the
    choice of the images explains: the gain over its deviation in a paired bootstrap, as a normal one, Holm over all
    corrections. It is taken over, and the rest is tried again.

    Args:
        teacher: of the task; its weights and its norms' statistics are left as they are.
        task: with the metric.
        source: the images.
        indices: int64 [N], those that are measured on, held out.
        train_images: uint8 [M, C, H, W], for statistics.
        spec: the teacher's input.
        device: of the teacher.
        thresholds: the limits beyond which a difference is a fault.
        seed: of the resamples.
        on_step: called with the name of each step.
    """
    rule, info = thresholds or Thresholds(), task.metrics[0]

    def measured(reading: Preprocessing) -> tuple[Metrics, Tensor]:
        turned = reading.spec
        if reading.reverse:
            # Reversed behind the normalisation, whose numbers are those of the reversed channels.
            turned = replace(turned, mean=turned.mean[::-1], std=turned.std[::-1])
        network = _Reversed(teacher) if reading.reverse else teacher
        with recomputed_norms(teacher, reading, train_images):
            found = evaluate(network, source, indices, turned, batch_size=64, device=device, task=task)
        stream = generator(seed, "advice", "resamples")
        return found, resampled_values(found.metric, info.key, found.examples, stream, _RESAMPLES)

    reading = Preprocessing(spec)
    faults: list[TeacherFault] = []
    tried: list[TaskTrial] = []
    on_step("teacher: as it is")
    before, spread = measured(reading)
    while len(faults) < _ROUNDS:
        done = {fault.name for fault in faults}
        options = [one for one in corrections(teacher, reading, train_images, sizes=False) if one.fault not in done]
        after = []
        for one in options:
            on_step(f"teacher: {one.label}")
            after.append(measured(one.reading))
        gains = [info.goodness(found.first) - info.goodness(before.first) for found, _ in after]
        changes = [values - spread for _, values in after]
        adjusted = holm([_p_value(*pair, before.examples) for pair in zip(gains, changes, strict=True)])
        trials = [
            TaskTrial(one.fault, one.label, before.first, found.first, p)
            for one, (found, _), p in zip(options, after, adjusted, strict=True)
        ]
        worth = [
            at for at, gain in enumerate(gains) if adjusted[at] <= rule.level and _counts(gain, before, info, rule)
        ]
        if not worth:
            tried += trials
            break
        # Statistics that no image has moved say themselves what is wrong.
        first = [at for at in worth if options[at].fault == "norm_mode"] if untouched(teacher) else []
        best = (first or sorted(worth, key=lambda at: -gains[at]))[0]
        trials[best] = replace(trials[best], taken=True)
        tried += trials
        also = tuple(
            options[at].label
            for at in worth
            if at != best and _p_value(gains[best] - gains[at], changes[best] - changes[at], before.examples) > _ALIKE
        )
        faults.append(replace(_fault(options[best], trials[best], info, len(indices)), also=also))
        reading, (before, spread) = options[best].reading, after[best]
    further = further_numbers(before, source.classes)
    return TaskDiagnosis(tuple(faults), tuple(tried), reading, before.first, before.examples, further)


def further_numbers(found: Metrics, classes: Sequence[str]) -> dict[str, str]:
    """Returns the metrics behind the first, and the number of each class where the task has one, as text by name.

    Args:
        found: of an evaluation.
        classes: names of the classes.
    """
    numbers = {info.title: info.shown(found.values[info.key]) for info in found.infos[1:]}
    each = class_values(found.metric, len(classes))
    if each is not None:
        for name, value in zip(classes, each.values.tolist(), strict=False):
            numbers[f"{each.info.title} of the class {name}"] = (
                "none there" if math.isnan(value) else each.info.shown(value)
            )
    return numbers


def _p_value(gain: float, differences: Tensor, examples: int) -> float:
    """Returns the p value of one side that a gain is none, by the deviation of its resamples as a normal one.

    Where all resamples agree, it is that of a sign test in which every example is better.
    """
    known = differences[differences.isfinite()]
    if not gain > 0 or len(known) < 2:
        return 1.0
    deviation = float(known.std())
    return 0.5 * math.erfc(gain / deviation / math.sqrt(2)) if deviation else 0.5**examples


def _counts(gain: float, before: Metrics, info: MetricInfo, rule: Thresholds) -> bool:
    if info.unit != "fraction":
        return gain >= rule.repaired * abs(before.first)
    missing = 1 - before.first if info.higher_is_better else before.first
    return gain >= rule.gain and gain >= rule.repaired * missing


def _fault(one: Correction, trial: TaskTrial, info: MetricInfo, examples: int) -> TeacherFault:
    text = (
        f"{info.title} {info.shown(trial.before)} as it is and {info.shown(trial.after)} with {one.label} "
        f"({examples} images, adjusted p = {trial.adjusted:.1g})"
    )
    if one.fault == "normalisation":
        mean, std = (
            ", ".join(f"{value:.4g}" for value in numbers) for numbers in (one.reading.spec.mean, one.reading.spec.std)
        )
        text += f": mean [{mean}], std [{std}]"
    return TeacherFault(one.fault, text, REMEDIES[one.fault])
