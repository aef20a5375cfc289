"""The typed shape of an experiment: every key of a config file, with its default."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from rolewise.config.network_sections import StudentSection, TeacherSection
from rolewise.config.search_sections import SearchSection
from rolewise.config.section import (
    Count,
    Fraction,
    Name,
    NotNegative,
    Section,
    Seed,
    Threads,
    UpToThousand,
    Workers,
)
from rolewise.image_limits import ImageLimits


def _split_size(value: int | float) -> int | float:
    if value < 2 if isinstance(value, int) else not 0 < value < 1:
        raise ValueError(f"must be a number of images from 2 up or a fraction between 0 and 1, got {value!r}")
    if value > 10**9:
        raise ValueError(f"must be at most 1,000,000,000 images, got {value!r}")
    return value


#: So many of the images, or such a fraction of them.
SplitSize = Annotated[int | float, AfterValidator(_split_size)]


def _device(name: str) -> str:
    if not re.fullmatch("auto|(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", name):
        raise ValueError(f"must be auto, cpu, cuda, mps or xpu, with a number behind it such as cuda:1, got {name!r}")
    return name


Device = Annotated[str, AfterValidator(_device)]
#: A preset's name, a schedule file, or a mapping with a ``name`` and the preset's arguments.
AugmentationSpec = str | dict[str, Any]

#: A task's name, or a mapping with a ``name`` and the task's settings.
TaskSpec = str | dict[str, Any]
#: The name of a metric, or a mapping with a ``name`` and the metric's settings.
MetricSpec = str | dict[str, Any]

#: The name of a tracker, or a mapping with a ``name`` and the tracker's settings.
TrackerSpec = str | dict[str, Any]

#: Searches of a student's schedule, by the name of the arm that trains under what they find.
SEARCHES = ("own", "random_search", "grid_search", "screen", "screened_search")
#: What the experiment itself makes for a student to be trained under; every other name is a preset.
LEARNED = (*SEARCHES, "own_shuffled", "teacher")


def _form(value: object) -> str:
    return "parts" if isinstance(value, (dict, ImageLimits)) else "number"


#: A number of images, or a number for each part. By its form alone, so that a fault is of one of them.
Limit = Annotated[Annotated[Count, Tag("number")] | Annotated[ImageLimits, Tag("parts")], Discriminator(_form)]


class DataSection(Section):
    """The images, and their division."""

    name: str = "digits"
    root: str | None = None
    download: bool = False
    arguments: dict[str, Any] = {}
    validation: SplitSize = 300
    test: SplitSize | None = None
    split_seed: Seed = 0
    limit: Limit | None = None
    memory_budget_mb: Annotated[float, Field(gt=0, le=1e9)] = 2048.0


class DistillSection(Section):
    """The distillation loss: methods with their settings and weights, beside the labels' own term."""

    methods: tuple[dict[str, Any], ...] = ({"name": "kd", "temperature": 4.0, "weight": 0.9},)
    label_weight: NotNegative = 0.1
    view: Literal["shared", "clean", "own"] = "shared"
    mixed_targets: Literal["image", "outputs", "isotonic"] = "image"
    teacher_mode: Literal["eval", "batch_statistics"] = "eval"
    stop_teacher: bool = False


class AugmentSection(Section):
    """The drawing of learned policies and the application of every operation."""

    ops: tuple[str, ...] | None = None
    copies: Annotated[int, Field(ge=1, le=100)] = 2
    counts: tuple[Fraction, ...] = (0.2, 0.3, 0.5)
    magnitude: Literal["fixed", "uniform"] = "fixed"
    scale: Literal["rolewise", "pba"] = "rolewise"
    ranges: dict[str, UpToThousand] = {}
    base: tuple[str, ...] = ()
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    fill: Annotated[int, Field(ge=0, le=255)] = 0

    @field_validator("counts")
    @classmethod
    def _sums_to_one(cls, counts: tuple[float, ...]) -> tuple[float, ...]:
        if abs(sum(counts) - 1) > 1e-6:
            raise ValueError(f"must sum to 1, got {sum(counts):g}; change one of them")
        return counts


class ArmsSection(Section):
    """The comparison: teacher's augmentation x student's augmentation x with or without distillation."""

    teacher: tuple[AugmentationSpec, ...] = ("own",)
    student: tuple[AugmentationSpec, ...] = (
        "none",
        "standard",
        "teacher",
        "own",
        "own_shuffled",
        "randaugment",
        "trivialaugment",
    )
    distill: tuple[bool, ...] = (True, False)
    control: AugmentationSpec = "none"

    @field_validator("teacher", "student", "distill")
    @classmethod
    def _some(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values:
            raise ValueError("must name at least one, got none; leave it out for the default")
        return values


class ExperimentConfig(Section):
    """A whole experiment."""

    name: Name = "experiment"
    seeds: tuple[Seed, ...] = (0, 1, 2)
    device: Device = "auto"
    workers: Workers = 0
    threads: Threads = 1
    checkpoint_seconds: NotNegative = 15.0
    retrain_on_validation: bool = False
    track: tuple[TrackerSpec, ...] = ()
    task: TaskSpec = "classification"
    metrics: tuple[MetricSpec, ...] = ()
    primary: str | None = None
    data: DataSection = DataSection()
    teacher: TeacherSection
    students: tuple[StudentSection, ...]
    distill: DistillSection = DistillSection()
    augment: AugmentSection = AugmentSection()
    search: SearchSection = SearchSection()
    arms: ArmsSection = ArmsSection()

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(f"must hold at least one seed, each once, got {list(seeds)}; change the list")
        return seeds

    @field_validator("students")
    @classmethod
    def _distinct_students(cls, students: tuple[StudentSection, ...]) -> tuple[StudentSection, ...]:
        names = [student.name for student in students]
        if not names:
            raise ValueError("must hold at least one student, got none; add one with a name and a model")
        if len(set(names)) != len(names) or "teacher" in names:
            raise ValueError(f"must have distinct names other than 'teacher', got {names}; rename one")
        return students
