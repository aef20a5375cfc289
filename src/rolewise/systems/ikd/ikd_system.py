"""Inconsistent distillation of detectors: augmentation by box size, adversarial features, and inherited heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from rolewise.augment import BoxSizeAugmentation
from rolewise.batch import Batch
from rolewise.distill import build_methods
from rolewise.errors import InputError
from rolewise.instruments import adversarial_boxed_images, corner_noise
from rolewise.jobs.job import JobContext
from rolewise.metric_info import MetricInfo
from rolewise.seeds import generator
from rolewise.systems.ikd.boxed_pictures import CELLS, NUMBER, SPEC, Data, boxed_pictures
from rolewise.systems.ikd.detector_scores import KEPT, WHOLE, ap_by_size, band_name, rows_of_bands
from rolewise.systems.ikd.detector_students import LEVELS, Teaching, detector, train_detector
from rolewise.systems.needed_data import check_folders
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings
from rolewise.tasks import Detection
from rolewise.tasks.detection_metrics import DETECTION_METRICS

#: Average precisions, of all boxes and by their size.
AP, AP50, _, AP_SMALL, AP_MEDIUM, AP_LARGE, _ = DETECTION_METRICS
SMALL_LESS_LARGE = MetricInfo(KEPT, "share of AP kept, small boxes less large ones", "fraction")
NONE, ALL = "none", "all"
NO_SAMPLE, NO_ADVERSARIAL, NO_INHERITING = "all but augmentation", "all but adversarial", "all but inheriting"
ALWAYS, NOISE = "all, never switched off", "all, noise for adversarial"
_LABELS, _FGD, _FITNETS, _TEACHER = "labels", "fgd", "fitnets", "teacher"
#: The parts that each distillation is trained with.
_PARTS = {_LABELS: (NONE,), _FGD: (NONE, ALL), _FITNETS: (NONE, ALL)}
#: What else each of ``ablated`` is trained with, and what all parts are claimed to do beside it.
_ABLATIONS = {
    NO_SAMPLE: "augmentation by size adds to the other parts",
    NO_ADVERSARIAL: "adversarial features add to the other parts",
    NO_INHERITING: "inheriting adds to the other parts",
    ALWAYS: "augmentation is better switched off at the end than never",
    NOISE: "adversarial pictures are better than as large a noise",
}
_RADII = (0.125, 0.25)
Radius = Annotated[float, Field(gt=0, lt=1)]


class IkdSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own pictures to learn from, initial weights and orders.
        data: ``cells``, blood cells read from ROLEWISE_DATA, or ``shapes``, which are drawn.
        size: height and width of pictures in pixels.
        sides: sides in pixels of the squares between small, medium and large boxes.
        images: pictures to learn from; the others are tested on.
        epochs: epochs of a student.
        teacher_epochs: epochs of the teacher.
        batch_size: pictures of a step.
        learning_rate: of the first step, for all networks.
        neck: channels of the levels and heads of all networks.
        noisy: probability of noise in a picture whose boxes are all small.
        least: smallest side of a crop, as a part of the picture's.
        augmented: fraction of the epochs after which augmentation by size is switched off.
        radius: of the ball that adversarial pictures lie in, in grey levels.
        attack_steps: steps of the attack.
        ablated: methods over which each part is left out once.
        fgd_weight: factor of FGD's own weights.
        fitnets_weight: weight of FitNets.
        adversarial_weight: weight of the match on adversarial pictures.
        radii: parts of the highest frequency at which the teacher's test pictures are cut.
    """

    seeds: Seeds = (0, 1, 2, 3)
    data: Data = "cells"
    size: tuple[Annotated[int, Field(ge=32, le=1024)], Annotated[int, Field(ge=32, le=1024)]] = (120, 160)
    sides: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (36.0, 48.0)
    images: Annotated[int, Field(ge=2, le=10_000)] = 200
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 15
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 0.003
    neck: Annotated[int, Field(ge=1, le=1000)] = 32
    noisy: Annotated[float, Field(ge=0, le=1)] = 0.3
    least: Annotated[float, Field(gt=0, le=1)] = 0.8
    augmented: Annotated[float, Field(gt=0, lt=1)] = 2 / 3
    radius: Annotated[int, Field(ge=1, le=255)] = 8
    attack_steps: Annotated[int, Field(ge=1, le=1000)] = 5
    ablated: Annotated[tuple[Literal["fgd", "fitnets"], ...], Field(max_length=2)] = ("fgd", "fitnets")
    fgd_weight: Annotated[float, Field(gt=0)] = 8.0
    fitnets_weight: Annotated[float, Field(gt=0)] = 10.0
    adversarial_weight: Annotated[float, Field(gt=0)] = 1.0
    radii: Annotated[tuple[Radius, ...], Field(min_length=1, max_length=9)] = _RADII


def check_ikd(settings: IkdSettings) -> None:
    """Raises InputError where sizes do not fit pictures or one another, or there are no blood cells."""
    low, high = settings.sides
    if not low < high < min(settings.size):
        raise InputError(
            f"sides must be ascending and below {min(settings.size)}, the shorter side of pictures, as no box would be "
            f"large, got {list(settings.sides)}"
        )
    if settings.images >= (most := NUMBER[settings.data]):
        raise InputError(f"images must be below {most}, the pictures of {settings.data}, got {settings.images}")
    for name in ("radii", "ablated"):
        if len(set(values := getattr(settings, name))) < len(values):
            raise InputError(f"{name} must differ from one another, got {list(values)}")
    if settings.data == "cells":
        check_folders("data must be shapes", "blood cells (BCCD)", f"{CELLS}/ImageSets/Main")


def ikd_rows(piece: Piece, settings: IkdSettings, context: JobContext) -> list[Row]:
    """Trains a teacher, measures it on pictures of some frequencies, and trains a student of each kind."""
    seed, task = piece.seed, Detection(areas=settings.sides)
    learned, tested = boxed_pictures(settings.data, settings.size, settings.images, seed)
    classes = len(learned.classes)
    common: dict[str, Any] = {
        "task": task,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "seed": seed,
    }
    context.report("teacher")
    teacher = detector("teacher", classes, settings.neck, settings.size, seed)
    train_detector(teacher, None, learned, Teaching(), context, epochs=settings.teacher_epochs, **common)
    found = [{"taught": _TEACHER, "parts": NONE, **row} for row in rows_of_bands(teacher, tested, task, settings.radii)]
    attack, drawn = (generator(seed, "ikd", name) for name in ("attack", "control of the attack"))

    def teachers_loss(batch: Batch) -> Tensor:
        return task.losses(task.run(teacher, batch.inputs), batch)["labels"]

    adversarial = adversarial_boxed_images(
        teacher, learned, teachers_loss, SPEC, radius=settings.radius, steps=settings.attack_steps, generator=attack
    )
    noise = corner_noise(learned.images, settings.radius, drawn)
    for taught, kinds in _PARTS.items():
        for parts in (*kinds, *(_ABLATIONS if taught in settings.ablated else ())):
            context.report(f"{taught}, parts: {parts}")
            student = detector("student", classes, settings.neck, settings.size, seed)
            teaching = teaching_of(taught, parts, settings)
            if teaching.beside_weight:
                teaching = replace(teaching, beside=noise if parts == NOISE else adversarial)
            teaches = None if taught == _LABELS else teacher
            train_detector(student, teaches, learned, teaching, context, epochs=settings.epochs, **common)
            row = {"taught": taught, "parts": parts, "pictures": WHOLE}
            found.append({**row, **ap_by_size(student, tested, task)})
    return found


def teaching_of(taught: str, parts: str, settings: IkdSettings) -> Teaching:
    """Returns a student's teaching, without the pictures beside its own.

    Args:
        taught: ``labels``, ``fgd`` or ``fitnets``.
        parts: the name of a choice of the system's parts.
        settings: of the system.
    """
    methods = []
    if taught != _LABELS:
        weight = settings.fgd_weight if taught == _FGD else settings.fitnets_weight
        methods = [{"name": taught, "student_taps": list(LEVELS), "teacher_taps": list(LEVELS), "weight": weight}]
    augmentation = None
    if parts not in (NONE, NO_SAMPLE):
        until = 1.0 if parts == ALWAYS else settings.augmented
        augmentation = BoxSizeAugmentation(settings.sides[0], settings.noisy, settings.least, until)
    return Teaching(
        methods=tuple(build_methods(methods)),
        beside_weight=0.0 if parts in (NONE, NO_ADVERSARIAL) else settings.adversarial_weight,
        augmentation=augmentation,
        inherits=parts not in (NONE, NO_INHERITING),
    )


def _claim(text: str, of: tuple[str, str], against: tuple[str, str], metric: MetricInfo = AP) -> Claim:
    first, second = ({"taught": taught, "parts": parts, "pictures": WHOLE} for taught, parts in (of, against))
    return Claim(text, first, second, metric.key)


def _kept(text: str, *, low: bool) -> Claim:
    sides = [{"taught": _TEACHER, "parts": NONE, "pictures": one} for one in (_bands(low), WHOLE)]
    return Claim(text, sides[0], sides[1], SMALL_LESS_LARGE.key, "lower" if low else "higher")


def _bands(low: bool) -> list[str]:
    return [band_name(radius, low=low) for radius in _RADII]


IKD = System(
    name="ikd",
    title="Inconsistent distillation of detectors (IKD)",
    source="Liang et al., Exploring Inconsistent Knowledge Distillation for Object Detection with Data Augmentation, "
    "ACM MM 2023",
    origin="code",
    settings=IkdSettings,
    axes=("taught", "parts", "pictures"),
    metrics=(AP, AP50, AP_SMALL, AP_MEDIUM, AP_LARGE, SMALL_LESS_LARGE),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=ikd_rows,
    claims=(
        _claim("FGD is better than labels", (_FGD, NONE), (_LABELS, NONE)),
        _claim("FitNets is better than labels", (_FITNETS, NONE), (_LABELS, NONE)),
        _claim("Over FGD, all parts together are better than none", (_FGD, ALL), (_FGD, NONE)),
        _claim("Over FitNets, all parts together are better than none", (_FITNETS, ALL), (_FITNETS, NONE)),
        *(
            _claim(f"Over {title}, {text}", (taught, ALL), (taught, parts))
            for taught, title in ((_FGD, "FGD"), (_FITNETS, "FitNets"))
            for parts, text in _ABLATIONS.items()
        ),
        _claim("Over FGD, all parts together help small boxes", (_FGD, ALL), (_FGD, NONE), AP_SMALL),
        _claim("Over FGD, all parts together help large boxes", (_FGD, ALL), (_FGD, NONE), AP_LARGE),
        _kept("Without high frequencies the teacher loses more of small boxes than of large ones", low=True),
        _kept("Without low frequencies the teacher loses less of small boxes than of large ones", low=False),
    ),
    controls="Every student of a seed has the same teacher, initial encoder, pictures, their order and mirroring, and "
    "number of steps; in the control of the attack each grey value moves as far, in a direction that is drawn.",
    check=check_ikd,
)
