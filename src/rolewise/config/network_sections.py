"""The sections of networks: which ones, at how many bits, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from rolewise.config.section import (
    Count,
    Fraction,
    Moment,
    Name,
    NotNegative,
    Positive,
    Section,
    Side,
    Times,
    UpToThousand,
)
from rolewise.config.selection_sections import FreezeSection, GroupSection
from rolewise.spans import fraction_of


class OptimizerSection(Section):
    """The optimiser and its constants."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: UpToThousand = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 5e-4
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)


class RateSection(Section):
    """The learning rate over training."""

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


class TrainSection(Section):
    """The training of a network."""

    epochs: Times = 100
    batch_size: Times = 128
    optimizer: OptimizerSection = OptimizerSection()
    accumulate: Times = 1
    schedule: RateSection = RateSection()
    groups: tuple[GroupSection, ...] = ()
    freeze: tuple[FreezeSection, ...] = ()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_norm: Positive | None = None
    distill_gradient: Literal["sum", "limited"] = "sum"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = False
    compile: bool = False

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> TrainSection:
        warmup = self.schedule.warmup
        if isinstance(warmup, str) and "epoch" in warmup and fraction_of(warmup, self.epochs, 1) >= 1:
            raise ValueError(f"schedule.warmup must be shorter than the {self.epochs} epochs, got {warmup}; shorten it")
        return self


class ModelSection(Section):
    """A registered model, or one by import path ``package.module:callable``."""

    name: str
    arguments: dict[str, Any] = {}
    mean: tuple[Annotated[float, Field(ge=-(10**6), le=10**6)], ...] | None = None
    std: tuple[Positive, ...] | None = None
    size: tuple[Side, Side] | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> ModelSection:
        lengths = [None if values is None else len(values) for values in (self.mean, self.std)]
        if lengths[0] != lengths[1] or lengths[0] == 0:
            raise ValueError(
                "mean and std must both have one number for each channel, or neither be given, "
                f"got {' and '.join('nothing' if n is None else str(n) for n in lengths)}; give both"
            )
        return self


class MovingSection(Section):
    """A number over training."""

    start: NotNegative
    end: NotNegative | None = None
    shape: Literal["constant", "linear", "cosine", "sigmoid", "step"] = "linear"
    at: Moment | None = None
    window: tuple[Moment, Moment] | None = None

    @field_validator("at")
    @classmethod
    def _after_the_beginning(cls, at: float | str | None) -> float | str | None:
        if at == 0:
            raise ValueError("must be above 0, got 0")
        return at

    @field_validator("window")
    @classmethod
    def _in_order(cls, window: tuple[Any, Any] | None, info: ValidationInfo) -> tuple[Any, Any] | None:
        begin, end = window or (0.0, 1.0)
        if not isinstance(begin, str) and not isinstance(end, str) and not begin < end:
            raise ValueError(f"must end after it begins, got {begin:g} to {end:g}; swap them")
        at = info.data.get("at")
        if isinstance(at, float) and not isinstance(begin, str) and at <= begin:
            raise ValueError(f"must begin before at, {at:g}, got {begin:g}; move one of them")
        return window

    @property
    def ends(self) -> tuple[float, float]:
        """Its first and its last value."""
        return self.start, self.start if self.end is None else self.end


#: A number, or how it moves over training.
Moving = Annotated[float, Field(le=10**9)] | MovingSection


class MixSection(Section):
    """The mixing of a network's images while it is trained."""

    method: Literal["none", "mixup", "cutmix"] = "none"
    alpha: Moving = 1.0
    share: Moving = 1.0
    share_kind: Literal["exact", "legacy"] = "exact"
    ratio: Literal["sample", "batch"] = "sample"
    fold: bool = False
    pairs: Literal["any", "within", "across", "student_entropy", "teacher_entropy"] = "any"
    entropy_rule: Literal["pick", "unix"] = "pick"
    sharpness: Positive = 1000.0
    clean_too: bool = False

    @field_validator("alpha", "share")
    @classmethod
    def _in_range(cls, value: Moving, info: ValidationInfo) -> Moving:
        ends = value.ends if isinstance(value, MovingSection) else (value, value)
        if info.field_name == "alpha" and min(ends) <= 0:
            raise ValueError(f"must be above 0, got {min(ends):g}; set method: none to mix nothing")
        if info.field_name == "share" and not 0 <= min(ends) <= max(ends) <= 1:
            wrong = min(ends) if min(ends) < 0 else max(ends)
            raise ValueError(f"must be a share of the batch between 0 and 1, got {wrong:g}; change it")
        return value

    @model_validator(mode="after")
    def _unix_mixes_by_itself(self) -> MixSection:
        if self.pairs.endswith("entropy") and self.entropy_rule == "unix":
            if self.method == "cutmix":
                raise ValueError('method must be "mixup" for the entropy_rule "unix", got "cutmix"; change one of them')
            if self.share != 1:
                raise ValueError('share must be 1 for the entropy_rule "unix", which sets it itself; leave it out')
        return self


class TeacherSection(Section):
    """The teacher: its network, its images and its training."""

    model: ModelSection
    images: Count | None = None
    train: TrainSection = TrainSection()
    mix: MixSection = MixSection()
    weights: str | None = None


#: Bits of a value; None for floating point.
BitWidth = Annotated[int, Field(ge=1, le=8)] | None


class LayerBits(Section):
    """The bits of the layers that a pattern matches."""

    weights: BitWidth = None
    activations: BitWidth = None


class QuantiseSection(Section):
    """A network whose layers compute at few bits."""

    weights: BitWidth = 2
    activations: BitWidth = 2
    quantiser: str = "lsq"
    keep: tuple[str, ...] = ("first", "last")
    layers: dict[str, LayerBits] = {}


class StudentSection(Section):
    """A student: its network, its images and its training."""

    name: Name
    model: ModelSection
    images: Count | None = None
    train: TrainSection = TrainSection()
    mix: MixSection = MixSection()
    init: Literal["random", "teacher"] = "random"
    quantise: QuantiseSection | None = None
