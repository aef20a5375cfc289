"""Settings of a training, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimiser: ``sgd``, ``adam`` or ``adamw``, and its constants."""

    name: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class RateSchedule:
    """How the learning rate moves (see `rolewise.train.rates.rate`)."""

    name: str = "cosine"
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    gamma: float = 0.1
    warmup: float = 0.0
    final: float = 0.0


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
        precision: ``float32``, ``bfloat16`` or ``float16`` (mixed).
        channels_last: memory layout of images and weights.
        compile: whether the networks are compiled.
        interpolation: of geometric augmentation, ``nearest`` or ``bilinear``.
        fill: grey level of what comes from outside the image.
        chunk: images that are augmented at once; whole batches of it.
    """

    epochs: int
    batch_size: int
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: RateSchedule = field(default_factory=RateSchedule)
    ema: float | None = None
    clip_norm: float | None = None
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    interpolation: str = "nearest"
    fill: int = 0
    chunk: int = 2048
