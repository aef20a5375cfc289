"""The typed shape of an experiment: every key of a config file, with its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from rolewise.config.cache_section import CacheSection
from rolewise.config.network_sections import StudentSection, TeacherSection
from rolewise.config.search_sections import SearchSection
from rolewise.config.section import (
    Count,
    Device,
    Fraction,
    Name,
    NotNegative,
    Section,
    Seed,
    SplitSize,
    Threads,
    UpToThousand,
    Workers,
)
from rolewise.image_limits import ImageLimits

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
    """The images, and their division.

    Args:
        name: data set, or ``package.module:function`` that returns images.
        root: folder of data; None for the one that ``ROLEWISE_DATA`` names, else a cache folder.
        download: whether missing files are fetched.
        arguments: settings of the data set's reader, or of the function.
        validation: images that score a search's members and give validation curves: a number, or a fraction of the
            training images. Not read where the data set brings validation images of its own.
        test: images that are tested on, as a number or a fraction: held out where a set has no test part of its own,
            else so many of it; None for all of it.
        split_seed: seed of the division into training and test images, and of limits.
        limit: number of training and validation images together that are used, by class; or a mapping of a number for
            each part. None for all.
        memory_budget_mb: megabytes of pixels above which image files and ``.npy`` arrays stay on disk.
    """

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
    """The distillation loss: methods with their settings and weights, beside the labels' own term.

    Args:
        methods: distillation methods, each a mapping of its ``name``, its settings and its ``weight``.
        label_weight: weight of the loss on labels; 0 for none.
        view: images of the teacher while it teaches: ``shared``, the student's; ``clean``, without augmentation;
            ``own``, under its own augmentation.
        mixed_targets: teacher's target for a mixed image: its output for it (``image``), the mixture of its outputs for
            both images (``outputs``), or the former, brought to the nearest probabilities in which the two labels stand
            above all others (``isotonic``).
        teacher_mode: statistics of the teacher's norms while it teaches: their running ones (``eval``), or each batch's
            own (``batch_statistics``).
        stop_teacher: whether the teacher's pass ends at its last tap, where no method reads its outputs.
        strong: augmentation of a second view of each image, which ``crld`` and ``mlkd`` read; None for no such view.
        cache: teacher's outputs are kept in files and read again; None runs the teacher for every batch.
    """

    methods: tuple[dict[str, Any], ...] = ({"name": "kd", "temperature": 4.0, "weight": 0.9},)
    label_weight: NotNegative = 0.1
    view: Literal["shared", "clean", "own"] = "shared"
    mixed_targets: Literal["image", "outputs", "isotonic"] = "image"
    teacher_mode: Literal["eval", "batch_statistics"] = "eval"
    stop_teacher: bool = False
    strong: AugmentationSpec | None = None
    cache: CacheSection | None = None


class AugmentSection(Section):
    """The drawing of learned policies and the application of every operation.

    Args:
        ops: operations that searches and presets may use, built in or ``package.module:function``; None for all
            built-in ones.
        copies: slots of each operation in a learned policy.
        counts: probabilities of 0, 1, 2, ... operations of a learned policy on an image; they sum to 1.
        magnitude: strength of a learned policy's operation: the policy's own (``fixed``), or drawn between 0 and it
            (``uniform``).
        scale: meaning of strengths: 0 is the identity (``rolewise``), or the levels of Population Based Augmentation
            (``pba``).
        ranges: operations' values at strength 1, by operation, in place of their own.
        base: operations or transforms behind every augmentation but ``none``, such as ``crop`` and ``flip``.
        interpolation: pixels between pixels, in geometric operations.
        fill: grey level of what comes from outside the image.
    """

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
    """The comparison: teacher's augmentation x student's augmentation x with or without distillation.

    Args:
        teacher: augmentations of the teacher: ``own`` searches for one; or presets, by name or as a mapping of ``name``
            and settings, or schedule files.
        student: augmentations of each student: likewise, or ``teacher`` (its schedule), ``own_shuffled``, or another
            search.
        distill: whether students learn from the teacher (``true``), from labels alone (``false``), or both in turn.
        control: augmentation with which the others are compared, all else equal.
    """

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
    """A whole experiment.

    Args:
        name: name of the experiment.
        seeds: seeds; everything is repeated with each.
        device: device of networks and images: ``cpu``, ``cuda``, ``mps`` or ``xpu``, possibly with a number; ``auto``
            for the fastest that is there.
        workers: processes that train side by side; 0 for as many as the machine takes.
        threads: torch's threads of each process.
        decoders: processes of each worker that decode packed images which are streamed; 0 decodes in the worker
            itself, None takes the cores that torch leaves.
        checkpoint_seconds: least seconds between two checkpoints of a training, which a kill can cost.
        retrain_on_validation: whether final trainings of roles without a limit of images use the validation images too.
        track: trackers that are fed from the record: names, mappings of ``name`` and settings, or
            ``package.module:name``.
        task: kind of prediction: a name, a mapping of ``name`` and settings, or ``package.module:class``.
        metrics: metrics beside the task's own, or in another order: names, mappings of ``name`` and settings, or
            ``package.module:name``.
        primary: key of the metric by which searches choose and arms are compared; None for the first of ``metrics``, or
            the task's own first where it lists none.
        data: images, and their division.
        teacher: network that teaches, its images and its training.
        students: networks that learn, at least one.
        distill: loss under which students learn from the teacher.
        augment: drawing and application of augmentation.
        search: search of augmentation schedules.
        arms: augmentations that are compared, with and without distillation.
    """

    name: Name = "experiment"
    seeds: tuple[Seed, ...] = (0, 1, 2)
    device: Device = "auto"
    workers: Workers = 0
    threads: Threads = 1
    decoders: Workers | None = None
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

    @property
    def task_name(self) -> str:
        """The name of the task, or the path of one's own."""
        return str(self.task if isinstance(self.task, str) else self.task.get("name"))

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
