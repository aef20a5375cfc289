"""A reconstruction of different learning styles: what four links between a teacher and two students should carry."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.systems.digit_bench import MeanOf
from rolewise.systems.learning_styles.style_bench import (
    IMAGES,
    MASKS,
    StyleBench,
    digits_bench_of_styles,
    nuclei_bench,
)
from rolewise.systems.learning_styles.style_links import Channel, Links, link_methods, trained_pair
from rolewise.systems.needed_data import check_folders
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

FIRST_ACCURACY = MetricInfo("first_accuracy", "accuracy of the first", "fraction")
SECOND_ACCURACY = MetricInfo("second_accuracy", "accuracy of the second", "fraction")
IOU = MetricInfo("mean_iou", "mean IoU", "fraction")
Data = Literal["digits", "nuclei"]

_BOTH: tuple[Channel, ...] = ("prediction", "feature")
PREDICTIONS, FEATURES, NOTHING = (", ".join([one] * 2) for one in ("prediction", "feature", "nothing"))
#: What the paper proposes: the first student has predictions of the teacher and features of the other student, and the
#: second has features of the teacher and predictions of the other student.
HETEROGENEOUS = {"from_teacher": "prediction, feature", "between_peers": "feature, prediction"}
#: Cells in which both students have the same of the teacher, and the same of one another.
HOMOGENEOUS = {"from_teacher": (PREDICTIONS, FEATURES), "between_peers": (PREDICTIONS, FEATURES)}
_ALONE = {"from_teacher": PREDICTIONS, "between_peers": NOTHING}
_UNTAUGHT = {"from_teacher": NOTHING, "between_peers": NOTHING}


class StylesSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images and weights.
        data: sets of images; ``nuclei`` is read from ROLEWISE_DATA.
        nuclei_seeds: number of the seeds, the first ones, that nuclei have.
        images: labelled digits of the students.
        epochs: epochs of the students on digits.
        teacher_epochs: epochs of the teacher on digits.
        nuclei_images: labelled microscope images of the students.
        nuclei_side: height and width of the microscope images.
        nuclei_epochs: epochs of the students on nuclei.
        nuclei_teacher_epochs: epochs of the teacher on nuclei.
        teacher_weight: weight of what the teacher gives, beside labels of weight 1.
        peer_weight: weight of what the students give one another.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    data: Annotated[tuple[Data, ...], Field(min_length=1)] = ("digits",)
    nuclei_seeds: Annotated[int, Field(ge=1, le=100)] = 3
    images: Annotated[int, Field(ge=20, le=900)] = 200
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 120
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    nuclei_images: Annotated[int, Field(ge=8, le=200)] = 60
    nuclei_side: Annotated[int, Field(ge=16, le=256)] = 48
    nuclei_epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    nuclei_teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 12
    teacher_weight: Annotated[float, Field(gt=0)] = 1.0
    peer_weight: Annotated[float, Field(gt=0)] = 1.0


def check_styles(settings: StylesSettings) -> None:
    """Raises InputError where data are named twice, or nuclei are wanted and are not there."""
    if len(set(settings.data)) < len(settings.data):
        raise InputError(f"data must differ from one another, got {list(settings.data)}")
    if "nuclei" in settings.data:
        check_folders('data must be ["digits"]', "nuclei (Data Science Bowl of 2018)", IMAGES, MASKS)


def styles_pieces(settings: StylesSettings) -> list[Piece]:
    """Returns a piece for each set and seed."""
    seeds = {"digits": settings.seeds, "nuclei": settings.seeds[: settings.nuclei_seeds]}
    return [Piece(seed, {"data": data}) for data in settings.data for seed in seeds[data]]


def cells_of(data: str) -> list[Links]:
    """Returns the links of each pair of students: the whole grid for digits, the compared ones for nuclei."""
    pairs = list(product(_BOTH, _BOTH))
    grid = [Links(teacher, peers) for teacher in pairs for peers in pairs]
    controls = [Links(_channels(one["from_teacher"]), _channels(one["between_peers"])) for one in (_ALONE, _UNTAUGHT)]
    if data == "nuclei":
        grid = [one for one in grid if len(set(one.teacher)) == len(set(one.peers)) == 1 or _is_proposed(one)]
    return grid + controls


def styles_rows(piece: Piece, settings: StylesSettings, context: JobContext) -> list[Row]:
    """Trains a teacher, and two students for each combination of links."""
    data = piece.levels["data"]
    if data == "digits":
        bench = digits_bench_of_styles(piece.seed, settings.images, settings.teacher_epochs)
        epochs, rate = settings.epochs, 0.02
    else:
        bench = nuclei_bench(piece.seed, settings.nuclei_images, settings.nuclei_side, settings.nuclei_teacher_epochs)
        epochs, rate = settings.nuclei_epochs, 0.01
    teacher = bench.teacher(context)
    found = []
    for links in cells_of(data):
        levels = {"from_teacher": ", ".join(links.teacher), "between_peers": ", ".join(links.peers)}
        context.report("; ".join(levels.values()))
        methods = link_methods(
            links,
            temperature=bench.temperature,
            tap=bench.tap,
            teacher_weight=settings.teacher_weight,
            peer_weight=settings.peer_weight,
        )
        pair = trained_pair(bench, teacher, methods, epochs, rate, piece.seed, context)
        found.append({**levels, **_scores(bench, pair)})
    return found


def _scores(bench: StyleBench, pair: tuple[nn.Module, nn.Module]) -> Row:
    """Returns the accuracy of the mean of both students' logits, and of each; of pixels in a segmentation."""
    both, first, second = (bench.scores(network) for network in (MeanOf(list(pair)), *pair))
    key = ACCURACY.key if ACCURACY.key in both else "pixel_accuracy"
    row = {ACCURACY.key: both[key], FIRST_ACCURACY.key: first[key], SECOND_ACCURACY.key: second[key]}
    return {**row, **({IOU.key: both[IOU.key]} if IOU.key in both else {})}


def _channels(text: str) -> tuple[Channel, Channel]:
    first, second = text.split(", ")
    return first, second  # type: ignore[return-value]


def _is_proposed(links: Links) -> bool:
    return {"from_teacher": ", ".join(links.teacher), "between_peers": ", ".join(links.peers)} == HETEROGENEOUS


def _claim(text: str, against: Mapping[str, Any], data: str, metric: MetricInfo = ACCURACY) -> Claim:
    return Claim(text, {**HETEROGENEOUS, "data": data}, {**against, "data": data}, metric.key)


LEARNING_STYLES = System(
    name="learning_styles",
    title="Different learning styles: a teacher and two students that teach one another",
    source="Niyaz, Sambyal and Bathula, Leveraging Different Learning Styles for Improved Knowledge Distillation in "
    "Biomedical Imaging, arXiv:2212.02931",
    origin="reconstruction",
    settings=StylesSettings,
    axes=("data", "from_teacher", "between_peers"),
    metrics=(ACCURACY, FIRST_ACCURACY, SECOND_ACCURACY, IOU),
    pieces=styles_pieces,
    train=styles_rows,
    claims=(
        _claim("Different styles are better than the four pairs of like styles", HOMOGENEOUS, "digits"),
        *(
            _claim(
                f"They are better than {one}s of the teacher and {other}s of one another",
                {"from_teacher": f"{one}, {one}", "between_peers": f"{other}, {other}"},
                "digits",
            )
            for one in _BOTH
            for other in _BOTH
        ),
        _claim("They are better than predictions of the teacher alone, without a link between peers", _ALONE, "digits"),
        _claim("In nuclei, different styles are better than the four pairs of like styles", HOMOGENEOUS, "nuclei", IOU),
        _claim(
            "In nuclei, they are better than predictions of the teacher and of one another",
            {"from_teacher": PREDICTIONS, "between_peers": PREDICTIONS},
            "nuclei",
            IOU,
        ),
    ),
    controls="Both students of every pair begin with the same weights, see the same images in one order, and learn the "
    "labels beside; a pair without links between peers and one on labels alone cost as much. What is compared is the "
    "mean of both students' logits. For nuclei the accuracy is that of pixels.",
    check=check_styles,
)
