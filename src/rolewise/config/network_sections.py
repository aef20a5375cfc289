"""The sections of networks: which ones, at how many bits, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from rolewise.config.data_free_section import DataFreeSection
from rolewise.config.phase_sections import Phase
from rolewise.config.section import (
    Count,
    Name,
    Positive,
    Section,
    Side,
)
from rolewise.config.training_sections import TrainSection
from rolewise.config.weight_sections import LabelMapSection, Weights, with_tuples
from rolewise.errors import InputError
from rolewise.moving_weight import Weight


class ModelSection(Section):
    """A registered model, one of another library such as ``timm:resnet18``, or ``package.module:callable``.

    Args:
        name: model, ``timm:NAME``, ``torchvision:NAME`` or ``hf:NAME``, or ``package.module:callable``; it may stand
            alone in place of the section.
        arguments: settings of the model, such as widths.
        mean: mean of each channel that the network's input is normalised by, in [0, 1]; None for the model's own, else
            that of the training images.
        std: standard deviation of each channel, likewise.
        size: height and width in pixels to which images are resized for this network; None for the model's own, else as
            they are.
        interpolation: filter of that resizing; None for the model's own, else bilinear.
    """

    name: str
    arguments: dict[str, Any] = {}
    mean: tuple[Annotated[float, Field(ge=-(10**6), le=10**6)], ...] | None = None
    std: tuple[Positive, ...] | None = None
    size: tuple[Side, Side] | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) and ":" in value else with_tuples(value)

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
    """The mixing of a network's images while it is trained.

    Args:
        method: mixing of two images into one.
        alpha: parameter of the mixing ratio's distribution Beta(alpha, alpha): a number, or a course over training.
        share: fraction of each batch's images that are mixed: a number, or a course over training.
        share_kind: number of mixed images: the rounded share of the batch (``exact``), or drawn as in the released code
            (``legacy``).
        ratio: a ratio for each image (``sample``), or one for the batch.
        fold: whether a ratio r counts as max(r, 1 - r), so that an image is mostly itself.
        pairs: partners: of any class, of the same one (``within``), of another (``across``), or by the entropy of the
            student's or the teacher's outputs.
        entropy_rule: use of a network's entropy: of two draws of each batch the mixed images of highest entropy are
            kept (``pick``), or it decides which images are mixed (``unix``).
        sharpness: w of ``unix``: the larger, the sharper the division by entropy.
        clean_too: whether each batch is its clean images followed by the mixed ones.
    """

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


class TeacherSection(Section):
    """The teacher: its network, its images and its training.

    Args:
        model: network.
        images: labelled images that it is trained on, by class; None for all.
        train: training.
        mix: mixing of its images while it is trained.
        weights: file of a trained teacher, or a section with what of it goes where; None to train one.
        init: initial weights of a teacher that is trained here: ``random``, a file, or a section with what of it goes
            where.
        label_map: teacher's classes that stand for the data's; None where they are the same.
    """

    model: ModelSection
    images: Count | None = None
    train: TrainSection = TrainSection()
    mix: MixSection = MixSection()
    weights: Weights | None = None
    init: Weights = "random"
    label_map: LabelMapSection | None = None


#: Bits of a value; None for floating point.
BitWidth = Annotated[int, Field(ge=1, le=8)] | None


class LayerBits(Section):
    """The bits of the layers that a pattern matches.

    Args:
        weights: bits of the weights; None for floating point.
        activations: bits of the activations, likewise.
    """

    weights: BitWidth = None
    activations: BitWidth = None


class QuantiseSection(Section):
    """A network whose layers compute at few bits.

    Args:
        weights: bits of the weights; None for floating point.
        activations: bits of the activations, likewise.
        quantiser: quantiser, or ``package.module:class``.
        keep: layers that stay in floating point: ``first``, ``last``, paths or patterns.
        layers: bits of single layers, by path or pattern.
    """

    weights: BitWidth = 2
    activations: BitWidth = 2
    quantiser: str = "lsq"
    keep: tuple[str, ...] = ("first", "last")
    layers: dict[str, LayerBits] = {}


class PeerSection(Section):
    """A network that is trained beside a student, and left behind when that is trained.

    Args:
        name: role of the network, which methods name; the student's own is ``student`` then.
        model: network.
        init: initial weights: ``random``, or those of the student's first ``teacher``.
    """

    name: Name
    model: ModelSection
    init: Literal["random", "teacher"] = "random"

    @field_validator("name")
    @classmethod
    def _names_a_role(cls, name: str) -> str:
        if not name.isidentifier() or name in ("student", "teacher", "averages", "terms", "task", "labels", "total"):
            raise ValueError(
                f'must be a word of letters, digits and "_" that names no other role, got {name!r}; rename it'
            )
        return name


class StudentSection(Section):
    """A student: its network, its images and its training.

    Args:
        name: name of the student, which is part of the names of its stages.
        model: network.
        images: labelled images that it is trained on, by class; None for all.
        train: training.
        mix: mixing of its images while it is trained.
        init: initial weights: ``random``, the ``teacher``'s, a file, or a section with what of it goes where.
        quantise: bits that it computes with; None for floating point.
        teachers: the networks that teach it: ``teacher``, or students that stand before it, as they are when they have
            finished the same arm. The first one also gives its weights where ``init`` is ``teacher``; of several, each
            method names one.
        phases: parts of its training under distillation, one after another; none listed for one of all epochs. Where
            nothing is distilled, it trains on labels all along.
        peers: networks that are trained beside it under distillation, and may teach it and learn from it: each method
            names a ``student`` and a ``teacher`` of ``student``, the peers and the teachers.
        data_free: making of the images that it sees under distillation, where it is to learn without data; None where
            it sees its own.
    """

    name: Name
    model: ModelSection
    images: Count | None = None
    train: TrainSection = TrainSection()
    mix: MixSection = MixSection()
    init: Weights = "random"
    quantise: QuantiseSection | None = None
    teachers: tuple[Name, ...] = ("teacher",)
    phases: tuple[Phase, ...] = ()
    peers: tuple[PeerSection, ...] = ()
    data_free: DataFreeSection | None = None

    @model_validator(mode="after")
    def _one_role_each(self) -> StudentSection:
        roles = [*(peer.name for peer in self.peers), *(self.teachers if self.peers else ())]
        if len(set(roles)) < len(roles) or (self.peers and "student" in self.teachers):
            raise ValueError(f"peers and teachers must have a name each, other than student, got {roles}; rename one")
        return self

    @field_validator("teachers")
    @classmethod
    def _each_once(cls, teachers: tuple[str, ...]) -> tuple[str, ...]:
        if not teachers or len(set(teachers)) < len(teachers):
            raise ValueError(f"must name at least one network, each once, got {list(teachers)}; change the list")
        return teachers
