"""The teacher's deviation under each augmentation and mixing, and its accuracy on these images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rolewise.advice.case import Case
from rolewise.augment import Mix, Schedule, apply, mix_images
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments import teacher_deviation
from rolewise.networks import class_logits, evaluating
from rolewise.seeds import generator

#: Bootstrap resamples of an interval.
_RESAMPLES = 1000
MIXES = ("mixup", "cutmix")
Kind = Literal["preset", "policy", "mixing"]


@dataclass(frozen=True)
class Candidate:
    """The teacher's outputs under one augmentation or mixing.

    Args:
        name: name of the augmentation or mixing.
        kind: a ``preset``, a random ``policy``, or ``mixing``.
        spec: its entry in a config; None for a random policy.
        deviation: the teacher's deviation (T.stddev), see `rolewise.instruments.teacher_deviation`.
        ratio: to the deviation without any.
        low: lower end of the ratio's 95% bootstrap interval over samples.
        high: its upper end.
        accuracy: share of the augmented training images that the teacher is right about; None for mixed images.
        entropy: mean entropy of its answers as a share of log K.
        means: [R, K], each sample's mean probabilities.
    """

    name: str
    kind: Kind
    spec: Any
    deviation: float
    ratio: float
    low: float
    high: float
    accuracy: float | None
    entropy: float
    means: Tensor

    @property
    def lower(self) -> bool:
        """Whether its deviation is below that of no augmentation by more than the noise of the samples."""
        return self.high < 1


def deviations(case: Case, spec: InputSpec) -> list[Candidate]:
    """Measures every candidate on the same samples of training images; the first is ``none``.

    Args:
        case: the networks and their images.
        spec: the teacher's input.
    """
    schedules: dict[str, tuple[Kind, Any, Schedule | None, Mix | None]] = {"none": ("preset", "none", None, None)}
    for name, (given, schedule) in case.augmentations.items():
        schedules.setdefault(name, ("preset", given, schedule, None))
    schedules |= {f"random policy {n + 1}": ("policy", None, one, None) for n, one in enumerate(case.policies)}
    if len(case.train) > 1:
        schedules |= {name: ("mixing", name, None, Mix(name)) for name in MIXES}
    found: list[Candidate] = []
    for name, (kind, given, shown, mix) in schedules.items():
        case.on_step(f"teacher under {name}")
        means, right, entropy = _asked(case, spec, shown, mix)
        own = teacher_deviation(means)
        ratio, low, high = ratio_of(means, found[0].means if found else means, case.seed)
        accuracy = None if kind == "mixing" else right
        found.append(Candidate(name, kind, given, own, ratio, low, high, accuracy, entropy, means))
    return found


@torch.no_grad()
def _asked(case: Case, spec: InputSpec, schedule: Schedule | None, mix: Mix | None) -> tuple[Tensor, float, float]:
    """Returns the mean probabilities [R, K] of the samples, the share of right answers, and the relative entropy."""
    means, right, entropy, effort = [], 0, 0.0, case.effort
    with evaluating(case.teacher):
        for repeat in range(effort.repeats):
            # The same images for every candidate; its own draws come from a stream beside.
            stream = generator(case.seed, "advice", "deviation", repeat)
            chosen = torch.randint(len(case.train), (effort.batch,), generator=stream)
            images, labels = case.train.images[chosen], case.train.labels[chosen]
            if schedule is not None:
                plan = schedule.at(0.0).draw(len(images), case.train.size, stream)
                images = apply(images, plan, interpolation=case.settings.interpolation, fill=case.settings.fill)
            if mix is not None:
                images = mix_images(images, mix.draw(labels, case.train.size[1:], stream))
            logits = class_logits(case.teacher(prepare(images.to(case.device), spec))).cpu().double()
            probabilities = logits.softmax(1)
            means.append(probabilities.mean(0))
            right += int((logits.argmax(1) == labels).sum())
            entropy += float(torch.special.entr(probabilities).sum(1).mean())
    top = torch.tensor(float(means[0].numel())).log()
    return torch.stack(means), right / (effort.repeats * effort.batch), entropy / effort.repeats / float(top)


def ratio_of(means: Tensor, others: Tensor, seed: int) -> tuple[float, float, float]:
    """Returns the ratio of two deviations on the same samples, with a 95% bootstrap interval over the samples.

    Source: Efron (1979), Bootstrap methods; the percentile interval.

    Args:
        means: [R, K].
        others: [R, K], of the same R samples of images.
        seed: of the resamples.
    """
    stream = generator(seed, "advice", "bootstrap")
    rows = torch.randint(len(means), (_RESAMPLES, len(means)), generator=stream)
    ratios = means[rows].std(1).mean(1) / others[rows].std(1).mean(1).clamp_min(1e-300)
    low, high = ratios.quantile(torch.tensor([0.025, 0.975], dtype=ratios.dtype)).tolist()
    ratio = teacher_deviation(means) / max(teacher_deviation(others), 1e-300)
    return ratio, float(low), float(high)


def as_row(one: Candidate) -> Mapping[str, Any]:
    """Returns a candidate's numbers as plain values."""
    fields = ("name", "kind", "deviation", "ratio", "low", "high", "accuracy", "entropy")
    return {field: getattr(one, field) for field in fields}
