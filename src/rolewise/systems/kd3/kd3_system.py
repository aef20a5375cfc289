"""A reconstruction of KD3: distillation on pictures of the web, which teacher and student choose in each epoch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from pydantic import Field

from rolewise.data.confident_choice import joint_confidence
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.systems.digit_bench import TEACHER_WIDTHS, accuracy_of, digit_bench, eval_logits, small_network, trained
from rolewise.systems.kd3.web_pool import Irrelevant, check_every_class, check_web_classes, web_pool
from rolewise.systems.kd3.web_student import PLAIN, WebRecipe, train_on_web, web_network
from rolewise.systems.system import Piece, Row, Seeds, System, SystemSettings, claim_between

RELEVANT = MetricInfo("relevant_share", "digits among the chosen pictures", "fraction")
_CLASSES = 10
_WHOLE = WebRecipe()
_RANDOM, _TEACHER, _BOTH, _FREE = "at random", "by the teacher", "by both", "by both, no quota"
#: What the student's training consists of, and who chooses its pictures.
_RECIPES: dict[tuple[str, str], WebRecipe] = {
    ("kd", _RANDOM): replace(PLAIN, pictures="random"),
    ("kd", _TEACHER): replace(PLAIN, pictures="teacher"),
    ("kd", _BOTH): PLAIN,
    ("kd3", _RANDOM): replace(_WHOLE, pictures="random"),
    ("kd3", _TEACHER): replace(_WHOLE, pictures="teacher"),
    ("kd3", _FREE): replace(_WHOLE, quota=False),
    ("kd3", _BOTH): _WHOLE,
    ("kd3, own classifier", _BOTH): replace(_WHOLE, head="projector"),
    ("kd3, equal weights", _BOTH): replace(_WHOLE, weighted=False),
    ("kd3, no features", _BOTH): replace(_WHOLE, features=False),
    ("kd3, unmixed", _BOTH): replace(_WHOLE, mixed=False),
}


class Kd3Settings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own digits, pictures and weights.
        shifted: digits of the web, which the teacher has not seen.
        shift: distance of their style from that of the teacher's digits, as a share of the greatest.
        irrelevant: source of the web's other pictures: ``fashion_mnist``, or ``photographs`` that come with
            scikit-learn.
        others: number of those.
        chosen: pictures of an epoch.
        epochs: epochs of the student.
        batch_size: pictures of a batch.
        teacher_epochs: epochs of the teacher.
        learning_rate: of Adam, for the student.
        temperature: temperature of distillation.
        feature_weight: weight of the distance between features.
        contrast_weight: weight of the contrast with the teacher's features.
        contrast_temperature: temperature of the contrast.
        mix_alpha: statistics are mixed in a ratio of Beta(mix_alpha, mix_alpha).
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    shifted: Annotated[int, Field(ge=1, le=600)] = 400
    shift: Annotated[float, Field(ge=0, le=1)] = 0.35
    irrelevant: Irrelevant = "fashion_mnist"
    others: Annotated[int, Field(ge=1, le=10_000)] = 800
    chosen: Annotated[int, Field(ge=_CLASSES, le=10_000)] = 200
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 150
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 50
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    temperature: Annotated[float, Field(gt=0)] = 4.0
    feature_weight: Annotated[float, Field(ge=0)] = 1.0
    contrast_weight: Annotated[float, Field(ge=0)] = 1.0
    contrast_temperature: Annotated[float, Field(gt=0)] = 0.1
    mix_alpha: Annotated[float, Field(gt=0)] = 0.5


def check_web(settings: Kd3Settings) -> None:
    """Raises InputError where a class would have no web picture, or pictures are too few."""
    total = settings.shifted + settings.others
    if settings.chosen > total:
        raise InputError(f"chosen must be at most {total}, the pictures of the web, got {settings.chosen}")
    if settings.chosen % settings.batch_size == 1:
        raise InputError(
            f"chosen must not leave a batch of one picture, got {settings.chosen} in batches of {settings.batch_size}"
        )
    for seed in settings.seeds:
        check_web_classes(digit_bench(seed, settings.shifted).few[1], seed)


def web_rows(piece: Piece, settings: Kd3Settings, context: JobContext) -> list[Row]:
    """Trains a teacher on its own digits, and a student of each recipe on the web's pictures."""
    seed = piece.seed
    bench = digit_bench(seed, settings.shifted)
    pool, relevant = web_pool(bench.few, settings.shift, settings.irrelevant, settings.others, seed)
    teacher = small_network(seed, "web teacher", widths=TEACHER_WIDTHS)
    trained(teacher, bench.rest, settings.teacher_epochs, context, seed=seed, learning_rate=settings.learning_rate / 2)
    check_every_class(joint_confidence(eval_logits(teacher, pool), None, 0.0), _CLASSES)
    found: list[Row] = []
    for (student, pictures), recipe in _RECIPES.items():
        context.report(f"{student}, {pictures}")
        network = web_network(teacher, recipe, seed)
        times = train_on_web(network, teacher, pool, recipe, settings, seed, context)
        row = {"student": student, "pictures": pictures, ACCURACY.key: accuracy_of(network, bench.test)}
        found.append(row | {RELEVANT.key: int(times[relevant].sum()) / int(times.sum())})
    own = {"student": "teacher", "pictures": "its own digits", ACCURACY.key: accuracy_of(teacher, bench.test)}
    return [*found, own]


_claim = partial(claim_between, ("student", "pictures"))
_KD3 = ("kd3", _BOTH)
KD3 = System(
    name="kd3",
    title="Distillation on webly collected images (KD3)",
    source="Tang et al., Distribution Shift Matters for Knowledge Distillation with Webly Collected Images, ICCV 2023",
    origin="reconstruction",
    settings=Kd3Settings,
    axes=("pictures", "student"),
    metrics=(ACCURACY, RELEVANT),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=web_rows,
    claims=(
        _claim("Pictures chosen by both are better than as many at random", _KD3, ("kd3", _RANDOM)),
        _claim("They are so for plain distillation too", ("kd", _BOTH), ("kd", _RANDOM)),
        _claim("Pictures chosen by both are better than those chosen by the teacher", _KD3, ("kd3", _TEACHER)),
        _claim("A number for each class is better than none", _KD3, ("kd3", _FREE)),
        _claim(
            "The teacher's classifier is better than one of the student's own", _KD3, ("kd3, own classifier", _BOTH)
        ),
        _claim("Features that count by confidence are better than equal ones", _KD3, ("kd3, equal weights", _BOTH)),
        _claim("Features beside outputs are better than outputs", _KD3, ("kd3, no features", _BOTH)),
        _claim("Mixed statistics are better than none", _KD3, ("kd3, unmixed", _BOTH)),
        _claim("The whole is better than plain distillation on the same choice", _KD3, ("kd", _BOTH)),
    ),
    controls="Every student of a seed has the same teacher, web pictures and number of steps, and as many pictures in "
    "an epoch; pictures at random are drawn anew in each epoch. Nobody who learns knows which pictures are digits.",
    check=check_web,
)
