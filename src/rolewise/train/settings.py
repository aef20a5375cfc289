"""Settings of a training, as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rolewise.errors import InputError, near

OPTIMIZERS = ("sgd", "adam", "adamw")
RATES = ("constant", "multistep", "cosine", "onecycle")
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
    """How the learning rate moves (see `rolewise.train.rates.rate`).

    Raises:
        InputError: the name is unknown, or a number is out of range.
    """

    name: str = "cosine"
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    gamma: float = 0.1
    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _known("schedule", self.name, RATES)
        inside = all(0 <= milestone <= 1 for milestone in self.milestones)
        _holds("milestones", self.milestones, "fractions of training in [0, 1]", inside)
        _holds("gamma", self.gamma, "positive and at most 1", 0 < self.gamma <= 1)
        _holds("warmup", self.warmup, "at least 0 and below 1", 0 <= self.warmup < 1)
        _holds("final", self.final, "in [0, 1]", 0 <= self.final <= 1)


@dataclass(frozen=True)
class TrainSettings:
    """A whole training.

    Args:
        epochs: passes over the images.
        batch_size: B.
        optimizer: its settings.
        schedule: of the learning rate.
        ema: decay of a moving average of the weights, which is then what is evaluated and kept; None for none.
        clip_norm: the gradient's norm is cut to this; None for no clipping.
        distill_gradient: how distillation's gradient joins that of the labels: their ``sum``, or ``limited``, for each
            tensor, to the share 1 / (1 + exp(-epoch)) of the labels' norm.
        precision: ``float32``, ``bfloat16`` or ``float16`` (mixed).
        channels_last: memory layout of images and weights.
        compile: whether the networks are compiled.
        interpolation: of geometric augmentation, ``nearest`` or ``bilinear``.
        fill: grey level of what comes from outside the image.
        chunk: images that are augmented at once; whole batches, and fewer of large images. It is here for speed and
            memory, and yet it changes the results: the draws of a chunk come one after another from one stream, so that
            other chunks give other augmentations, and another network. Keep it the same where trainings are compared,
            or gone on with.

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

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "chunk"):
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
