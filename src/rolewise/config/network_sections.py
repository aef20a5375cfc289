"""The sections of networks: which ones, at how many bits, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from rolewise.config.section import (
    Count,
    Name,
    Positive,
    Section,
    Side,
)
from rolewise.config.training_sections import TrainSection
from rolewise.errors import InputError
from rolewise.moving_weight import Weight


def _with_tuples(value: Any) -> Any:
    """Returns a section's values with their lists as tuples: behind a validator, JSON has none any more."""
    if not isinstance(value, dict):
        return value
    return {key: tuple(inner) if isinstance(inner, list) else inner for key, inner in value.items()}


class ModelSection(Section):
    """A registered model, one of another library such as ``timm:resnet18``, or ``package.module:callable``."""

    name: str
    arguments: dict[str, Any] = {}
    mean: tuple[Annotated[float, Field(ge=-(10**6), le=10**6)], ...] | None = None
    std: tuple[Positive, ...] | None = None
    size: tuple[Side, Side] | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) and ":" in value else _with_tuples(value)

    @model_validator(mode="after")
    def _both_or_none(self) -> ModelSection:
        lengths = [None if values is None else len(values) for values in (self.mean, self.std)]
        if lengths[0] != lengths[1] or lengths[0] == 0:
            raise ValueError(
                "mean and std must both have one number for each channel, or neither be given, "
                f"got {' and '.join('nothing' if n is None else str(n) for n in lengths)}; give both"
            )
        return self


#: A number, or how it moves over training.
Moving = Annotated[float, Field(le=10**9)] | Weight


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
        ends = (value.start, value.end) if isinstance(value, Weight) else (value, value)
        if info.field_name == "alpha" and min(ends) <= 0:
            raise ValueError(f"must be above 0, got {min(ends):g}; set method: none to mix nothing")
        if info.field_name == "alpha" and isinstance(value, Weight) and value.window != (0.0, 1.0):
            raise InputError.at(("window",), "must be left out: alpha holds during all of training; give share one")
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


class WeightsSection(Section):
    """A file of weights, and what of it goes where in the network."""

    model_config = ConfigDict(populate_by_name=True)

    file: str
    rename: dict[str, str] = {}
    # A word of Python's own: in a config it is `except`.
    leave_out: tuple[str, ...] = Field(default=(), alias="except")
    key: str | None = None

    @model_serializer(mode="wrap")
    def _as_in_a_config(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"except" if name == "leave_out" else name: value for name, value in values(self).items()}


def _form(value: object) -> str:
    return "section" if isinstance(value, (dict, WeightsSection)) else "path"


#: A file of weights, or one with what of it goes where. By its form alone, so that a fault is of one of them.
Weights = Annotated[Annotated[str, Tag("path")] | Annotated[WeightsSection, Tag("section")], Discriminator(_form)]


#: The number of a class among a network's outputs.
ClassNumber = Annotated[int, Field(ge=0, le=10**7)]


class LabelMapSection(Section):
    """The classes of a teacher that stand for the data's: their numbers, or a JSON file of them.

    ``to`` is a list in the order of the data's classes, or a mapping from their names.
    """

    to: tuple[ClassNumber, ...] | dict[str, ClassNumber] | str
    classes: Annotated[int, Field(ge=2, le=10**7)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_classes_alone(cls, value: Any) -> Any:
        whole = isinstance(value, LabelMapSection) or (isinstance(value, dict) and "to" in value)
        return _with_tuples(value if whole else {"to": value})


class TeacherSection(Section):
    """The teacher: its network, its images and its training."""

    model: ModelSection
    images: Count | None = None
    train: TrainSection = TrainSection()
    mix: MixSection = MixSection()
    weights: Weights | None = None
    label_map: LabelMapSection | None = None


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
    init: Weights = "random"
    quantise: QuantiseSection | None = None
