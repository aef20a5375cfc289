"""Settings of a training, as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rolewise.errors import InputError, near
from rolewise.spans import Span, fraction_of, is_span
from rolewise.train.parameter_groups import FreezeSettings, GroupSettings

OPTIMIZERS = ("sgd", "adam", "adamw")
RATES = ("constant", "multistep", "cosine", "linear", "poly", "onecycle")
PRECISIONS = ("float32", "bfloat16", "float16")
DISTILL_GRADIENTS = ("sum", "limited")
INTERPOLATIONS = ("nearest", "bilinear")


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimiser: ``sgd``, ``adam`` or ``adamw``, and its constants.

    Raises:
        InputError: the name is unknown, or a number is out of range.
    """

    name: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        _known("optimizer", self.name, OPTIMIZERS)
        _holds("learning_rate", self.learning_rate, "positive", self.learning_rate > 0)
        _holds("momentum", self.momentum, "at least 0 and below 1", 0 <= self.momentum < 1)
        _holds("weight_decay", self.weight_decay, "at least 0", self.weight_decay >= 0)
        inside = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _holds("betas", self.betas, "two numbers, each at least 0 and below 1", inside)


@dataclass(frozen=True)
class RateSchedule:
    """The course of the learning rate (see `rolewise.train.rates.rate`).

    Args:
        name: of the shape.
        milestones: of ``multistep``: fractions of training, or counts such as ``"60 epochs"`` or ``"500 steps"``.
        gamma: of ``multistep``: the factor at each milestone.
        warmup: the length of the linear warm-up: a fraction of training, or a count.
        final: the last rate relative to the first.
        power: of ``poly``.

    Raises:
        InputError: the name is unknown, or a number is out of range.
    """

    name: str = "cosine"
    milestones: tuple[Span, ...] = (0.3, 0.6, 0.8)
    gamma: float = 0.1
    warmup: Span = 0.0
    final: float = 0.0
    power: float = 0.9

    def __post_init__(self) -> None:
        _known("schedule", self.name, RATES)
        inside = all(is_span(milestone) for milestone in self.milestones)
        _holds("milestones", self.milestones, "fractions of training in [0, 1], or counts of epochs or steps", inside)
        _holds("gamma", self.gamma, "positive and at most 1", 0 < self.gamma <= 1)
        short = is_span(self.warmup) and self.warmup != 1
        _holds("warmup", self.warmup, "at least 0 and below 1, or a count of epochs or steps", short)
        _holds("final", self.final, "in [0, 1]", 0 <= self.final <= 1)
        _holds("power", self.power, "positive", self.power > 0)

    def over(self, epochs: int, steps: int) -> RateSchedule:
        """Returns the same schedule with moments that are fractions of a training.

        Args:
            epochs: of the training; a milestone beyond them is never reached.
            steps: optimiser steps of one epoch.

        Raises:
            InputError: the warm-up takes all of the training.
        """
        if not any(isinstance(moment, str) for moment in (self.warmup, *self.milestones)):
            return self
        warmup = fraction_of(self.warmup, epochs, steps)
        if warmup >= 1:
            training = f"the training, {epochs} epochs of {steps} steps"
            raise InputError(f"warmup must be shorter than {training}, got {self.warmup}; shorten it")
        reached = (fraction_of(milestone, epochs, steps) for milestone in self.milestones)
        return replace(self, warmup=warmup, milestones=tuple(milestone for milestone in reached if milestone <= 1))


@dataclass(frozen=True)
class TrainSettings:
    """A whole training.

    Args:
        epochs: passes over the images.
        batch_size: B, of each forward pass.
        accumulate: batches whose gradients are averaged in one step of the optimiser. With terms that are means over
            examples it is the step of one batch of ``accumulate`` x B; relations between examples, batch norm included,
            see their own batch only. The last step of an epoch averages over what is left. Schedules, averages and
            checkpoints count steps of the optimiser.
        groups: parameters with a learning rate or weight decay of their own; the first that chooses one has it.
        freeze: parts of the students that are not trained.
        optimizer: its settings.
        schedule: of the learning rate.
        ema: decay of a moving average of the weights, which is then evaluated and kept; None for none.
        clip_norm: the gradient's norm is cut to this; None for no clipping.
        distill_gradient: the rule that joins distillation's gradient and that of the labels: their ``sum``, or
            ``limited``, for each tensor, to the fraction 1 / (1 + exp(-epoch)) of the labels' norm.
        precision: ``float32``, ``bfloat16`` or ``float16`` (mixed).
        channels_last: memory layout of images and weights.
        compile: whether the networks are compiled.
        interpolation: of geometric augmentation, ``nearest`` or ``bilinear``.
        fill: grey level of what comes from outside the image.
        chunk: images that are augmented at once; whole batches, and fewer of large images. It is here for speed and
            memory, and yet it changes the results: the draws of a chunk come one after another from one stream, so that
            other chunks give other augmentations, and another network. Keep it the same where trainings are compared
            or resumed.

    Raises:
        InputError: a name is unknown, or a number is out of range.
    """

    epochs: int
    batch_size: int
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: RateSchedule = field(default_factory=RateSchedule)
    ema: float | None = None
    clip_norm: float | None = None
    distill_gradient: str = "sum"
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    interpolation: str = "nearest"
    fill: int = 0
    chunk: int = 2048
    accumulate: int = 1
    groups: tuple[GroupSettings, ...] = ()
    freeze: tuple[FreezeSettings, ...] = ()

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "chunk", "accumulate"):
            _holds(name, getattr(self, name), "at least 1", getattr(self, name) >= 1)
        _holds("ema", self.ema, "above 0 and below 1, or None", self.ema is None or 0 < self.ema < 1)
        _holds("clip_norm", self.clip_norm, "positive, or None", self.clip_norm is None or self.clip_norm > 0)
        _known("distill_gradient", self.distill_gradient, DISTILL_GRADIENTS)
        _known("precision", self.precision, PRECISIONS)
        _known("interpolation", self.interpolation, INTERPOLATIONS)
        _holds("fill", self.fill, "0 to 255", 0 <= self.fill <= 255)

    def gradient_ratio(self, epoch: int) -> float | None:
        """Returns the bound of distillation's gradient relative to the labels' in an epoch; None for no bound."""
        return 1 / (1 + math.exp(-epoch)) if self.distill_gradient == "limited" else None


def _known(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise InputError(f"{what} must be one of {', '.join(names)}, got {name!r}{near(name, names)}")


def _holds(what: str, value: object, rule: str, holds: bool) -> None:
    if not holds:
        raise InputError(f"{what} must be {rule}, got {value}")
