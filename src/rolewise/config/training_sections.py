"""The settings of a training: one class for each part, as a config holds it and as the training loop takes it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from rolewise.config.section import Fraction, Moment, Positive, Section, Times, UpToThousand
from rolewise.config.selection_sections import FreezeSettings, GroupSettings
from rolewise.errors import InputError
from rolewise.spans import fraction_of

#: The settings of a training that change its speed, and its numbers by rounding.
ARITHMETIC = ("precision", "channels_last", "compile")


class OptimizerSettings(Section):
    """The optimiser: ``sgd``, ``adam`` or ``adamw``, and its constants.

    Args:
        name: optimiser.
        learning_rate: learning rate at the schedule's highest point.
        momentum: momentum of ``sgd``.
        nesterov: whether ``sgd`` has Nesterov's momentum.
        weight_decay: weight decay.
        betas: decays of the averages of ``adam`` and ``adamw``.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: UpToThousand = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 5e-4
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)


class MomentaSettings(Section):
    """The momenta of ``sgd`` for two gradients (see `rolewise.train.momenta_apart.MomentaApart`).

    Args:
        apart: distillation's momentum is greater by this than the optimiser's, and the labels' smaller.
    """

    apart: Annotated[float, Field(gt=0, lt=0.5)] = 0.075


class RateSchedule(Section):
    """The course of the learning rate over training (see `rolewise.train.rates.rate`).

    Args:
        name: shape of the course.
        milestones: moments of ``multistep``: fractions of training, or counts such as ``"60 epochs"`` or
            ``"500 steps"``.
        gamma: factor at each milestone of ``multistep``.
        warmup: the length of the linear warm-up: a fraction of training, or a count.
        final: the last rate relative to the first.
        power: exponent of ``poly``.
    """

    name: Literal["constant", "multistep", "cosine", "linear", "poly", "onecycle"] = "cosine"
    milestones: tuple[Moment, ...] = (0.3, 0.6, 0.8)
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup: Moment = 0.0
    final: Fraction = 0.0
    power: UpToThousand = 0.9

    @field_validator("warmup")
    @classmethod
    def _shorter_than_all(cls, value: float | str) -> float | str:
        if value == 1:
            raise ValueError("must be below 1, got 1; shorten it")
        return value

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
        return self.changed(warmup=warmup, milestones=tuple(milestone for milestone in reached if milestone <= 1))


class Training(Section):
    """A whole training, as far as configs and the training loop share it.

    Args:
        epochs: passes over the images.
        batch_size: images B of each forward pass.
        optimizer: optimiser, and its constants.
        accumulate: batches whose gradients are averaged in one step of the optimiser. With terms that are means over
            examples it is the step of one batch of ``accumulate`` x B; relations between examples, batch norm included,
            see their own batch only. The last step of an epoch averages over what is left. Schedules, averages and
            checkpoints count steps of the optimiser.
        schedule: course of the learning rate.
        groups: parameters with a learning rate or weight decay of their own; the first that chooses one has it.
        freeze: parts of the students that are not trained.
        ema: decay of a moving average of the weights, which is then what is evaluated and kept; None for none.
        clip_norm: bound of the gradient's norm; None for no clipping.
        distill_gradient: the joining of distillation's gradient with that of the labels: their ``sum``, or
            ``limited``, for each tensor, to the share 1 / (1 + exp(-epoch)) of the labels' norm; or ``{apart: 0.075}``,
            each with a momentum of its own.
        precision: ``float32``, ``bfloat16`` or ``float16`` (mixed); ``auto``: the faster of the first two.
        channels_last: whether images and weights have their channels last in memory; ``auto``: what is faster.
        compile: whether the networks are compiled; ``graphs``: with their passes recorded into CUDA graphs, on a GPU
            alone; ``auto``: what is fastest, where compiling is repaid within the training.
        batches: examples of each batch: all in random order (``shuffled``); half a batch, then another example of the
            same class for each (``class_pairs``, which shows each about twice an epoch); or half a batch, then the half
            of the batch before, augmented anew (``repeated``, which shows each twice).
    """

    epochs: Times = 100
    batch_size: Times = 128
    optimizer: OptimizerSettings = OptimizerSettings()
    accumulate: Times = 1
    schedule: RateSchedule = RateSchedule()
    groups: tuple[GroupSettings, ...] = ()
    freeze: tuple[FreezeSettings, ...] = ()
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_norm: Positive | None = None
    distill_gradient: Literal["sum", "limited"] | MomentaSettings = "sum"
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    channels_last: bool | Literal["auto"] = False
    compile: bool | Literal["graphs", "auto"] = False
    batches: Literal["shuffled", "class_pairs", "repeated"] = "shuffled"

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Training:
        warmup = self.schedule.warmup
        if isinstance(warmup, str) and "epoch" in warmup and fraction_of(warmup, self.epochs, 1) >= 1:
            raise ValueError(f"schedule.warmup must be shorter than the {self.epochs} epochs, got {warmup}; shorten it")
        return self

    @model_validator(mode="after")
    def _has_two_momenta(self) -> Training:
        if isinstance(self.distill_gradient, MomentaSettings):
            optimizer, apart = self.optimizer, self.distill_gradient.apart
            if optimizer.name != "sgd" or optimizer.nesterov:
                raise ValueError("distill_gradient.apart must have optimizer: {name: sgd, nesterov: false}; write that")
            if not apart <= optimizer.momentum < 1 - apart:
                rule = f"distill_gradient.apart must leave both momenta in [0, 1), got {optimizer.momentum} -+ {apart}"
                raise ValueError(f"{rule}; lower it")
            if self.clip_norm is not None or self.precision == "float16":
                raise ValueError("distill_gradient.apart must be without clip_norm and float16; leave these out")
        return self

    @model_validator(mode="after")
    def _has_two_halves(self) -> Training:
        if self.batches != "shuffled" and self.batch_size % 2:
            raise ValueError(f'batch_size must be even for the batches "{self.batches}", got {self.batch_size}')
        return self

    @property
    def open_arithmetic(self) -> tuple[str, ...]:
        """The settings of arithmetic that are ``auto``, to be chosen by time (see `rolewise.train.arithmetic`)."""
        return tuple(name for name in ARITHMETIC if getattr(self, name) == "auto")

    def gradient_ratio(self, epoch: int) -> float | None:
        """Returns the bound of distillation's gradient relative to the labels' in an epoch; None for no bound."""
        return 1 / (1 + math.exp(-epoch)) if self.distill_gradient == "limited" else None


class TrainSection(Training):
    """The training of a network in a config: with the smoothing of its labels.

    Args:
        label_smoothing: share of a label that is spread over all classes.
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class TrainSettings(Training):
    """A whole training, as a `Trainee` takes it: with what its images are augmented by.

    Args:
        interpolation: of geometric augmentation, ``nearest`` or ``bilinear``.
        fill: grey level of what comes from outside the image.
        chunk: images that are augmented at once; whole batches, and fewer of large images. It is here for speed and
            memory, and changes no byte.
    """

    interpolation: Literal["nearest", "bilinear"] = "nearest"
    fill: Annotated[int, Field(ge=0, le=255)] = 0
    chunk: Times = 2048
