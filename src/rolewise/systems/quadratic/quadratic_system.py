"""A reconstruction of the comparison of features, logits and gradients as what a teacher gives, in two uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from rolewise.distill import build_methods
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.systems.digit_bench import TEACHER_WIDTHS, accuracy_of, digit_bench, small_network, trained
from rolewise.systems.quadratic.more_classes import class_steps, with_more_classes
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

OLD = MetricInfo("old_accuracy", "accuracy on the old classes", "fraction")
WEIGHT = MetricInfo("weight", "weight chosen")
#: The two uses: a small student of a large teacher, and a network that gets classes which its former self had not.
SMALLER, GROWING = "smaller student", "more classes"
#: What is compared, and the matrices that weigh it.
_TAUGHT: dict[str, tuple[str, ...]] = {
    "logits": ("identity", "diagonal", "fisher"),
    "features": ("identity", "diagonal", "fisher", "head"),
}


class QuadraticSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images, initial weights and order of classes.
        weights: weights of distillation, of which each student takes the one that is best on the teacher's images.
        temperature: temperature of the teacher's probabilities in the matrices.
        unit_trace: whether a matrix is divided by its trace.
        images: labelled images of the small student.
        epochs: epochs of the small student.
        teacher_epochs: epochs of its teacher, and of the network that knows the old classes alone.
        old_classes: classes that are learned first; the other ones of ten come afterwards.
        kept: images of each old class that are kept for the second step.
        growing_epochs: epochs of the second step.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    weights: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=10)] = (0.3, 3.0, 30.0)
    temperature: Annotated[float, Field(gt=0)] = 4.0
    unit_trace: bool = True
    images: Annotated[int, Field(ge=20, le=900)] = 200
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 150
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    old_classes: int = 5
    kept: Annotated[int, Field(ge=0, le=50)] = 5
    growing_epochs: Annotated[int, Field(ge=1, le=10_000)] = 30


def check_quadratic(settings: QuadraticSettings) -> None:
    """Raises InputError where no class is left to be learned later, or the matrices of a certain teacher vanish."""
    if not 2 <= settings.old_classes <= 9:
        raise InputError(
            f"old_classes must be from 2 to 9, so that some of the ten are learned later, got {settings.old_classes}"
        )
    if settings.temperature <= 1 and not settings.unit_trace:
        raise InputError(
            f"temperature must be above 1 for matrices that are not divided by their trace, got "
            f"{settings.temperature}: those of a certain teacher vanish; set unit_trace=true, or a higher one"
        )


def quadratic_rows(piece: Piece, settings: QuadraticSettings, context: JobContext) -> list[Row]:
    """Trains the teacher of one use, and a student by labels and by each matrix."""
    use = {SMALLER: _smaller, GROWING: _growing}[piece.levels["use"]]
    return list(use(piece.seed, settings, context))


def _smaller(seed: int, settings: QuadraticSettings, context: JobContext) -> Iterator[Row]:
    bench = digit_bench(seed, settings.images)
    teacher = small_network(seed, "teacher", widths=TEACHER_WIDTHS)
    trained(teacher, bench.pool, settings.teacher_epochs, context, seed=seed, learning_rate=0.01)

    def student(taught: dict[str, Any]) -> nn.Module:
        network = small_network(seed, "student")
        return trained(network, bench.few, settings.epochs, context, seed=seed, **taught)

    for row, network in _students(teacher, student, bench.pool, {}, settings, context):
        yield {**row, ACCURACY.key: accuracy_of(network, bench.test)}
    yield {"taught": "teacher", ACCURACY.key: accuracy_of(teacher, bench.test)}


def _growing(seed: int, settings: QuadraticSettings, context: JobContext) -> Iterator[Row]:
    steps = class_steps(digit_bench(seed), seed, settings.old_classes, settings.kept)
    former = small_network(seed, "former", classes=settings.old_classes)
    trained(former, steps.first, settings.teacher_epochs, context, seed=seed)

    def student(taught: dict[str, Any]) -> nn.Module:
        network = with_more_classes(former, small_network(seed, "later"))
        return trained(network, steps.second, settings.growing_epochs, context, seed=seed, **taught)

    for row, network in _students(former, student, steps.pool, {"more_classes": True}, settings, context):
        yield {**row, ACCURACY.key: accuracy_of(network, steps.test), OLD.key: accuracy_of(network, steps.old_test)}
    yield {"taught": "teacher", OLD.key: accuracy_of(former, steps.old_test)}


def _students(
    teacher: nn.Module,
    student: Callable[[dict[str, Any]], nn.Module],
    chosen_on: tuple[Tensor, Tensor],
    own: dict[str, Any],
    settings: QuadraticSettings,
    context: JobContext,
) -> Iterator[tuple[Row, nn.Module]]:
    """Gives a student on labels alone, and of each matrix the student of the weight that is best on some images."""
    context.report("labels")
    yield {"taught": "labels"}, student({"label_weight": 1.0})
    for source, matrices in _TAUGHT.items():
        for matrix in matrices:
            context.report(f"{source}, {matrix}")
            given = {"temperature": settings.temperature, "unit_trace": settings.unit_trace, **own}
            method = {"name": "quadratic_kd", "source": source, "matrix": matrix, **given}
            tried = {
                weight: student(
                    {
                        "teacher": teacher,
                        "methods": build_methods([{**method, "weight": weight}]),
                        "label_weight": 1.0,
                    }
                )
                for weight in settings.weights
            }
            best = max(tried, key=lambda weight: accuracy_of(tried[weight], chosen_on))
            yield {"taught": f"{source}, {matrix}", WEIGHT.key: best}, tried[best]


def _claims() -> Iterator[Claim]:
    sentences = (
        ("logits are better than features that gradients weigh", "logits, identity", "features, fisher"),
        ("features that gradients weigh are better than plain ones", "features, fisher", "features, identity"),
        ("logits are better than plain features", "logits, identity", "features, identity"),
        ("logits are better than labels alone", "logits, identity", "labels"),
    )
    for use, begin in ((SMALLER, "For a smaller student"), (GROWING, "For a network that gets more classes")):
        for text, of, against in sentences:
            yield _claim(f"{begin}, {text}", use, of, against)
    for text, of, against in (
        ("on logits, the Fisher matrix is better than the identity", "logits, fisher", "logits, identity"),
        ("features behind the teacher's classifier are better than plain ones", "features, head", "features, identity"),
    ):
        yield _claim(f"For a smaller student, {text}", SMALLER, of, against)


def _claim(text: str, use: str, of: str, against: str) -> Claim:
    return Claim(text, {"use": use, "taught": of}, {"use": use, "taught": against}, ACCURACY.key)


QUADRATIC = System(
    name="quadratic",
    title="Features, logits and gradients: one quadratic loss",
    source="Hsu et al., A Closer Look at Knowledge Distillation with Features, Logits, and Gradients, 2022",
    origin="reconstruction",
    settings=QuadraticSettings,
    axes=("use", "taught"),
    metrics=(ACCURACY, OLD, WEIGHT),
    pieces=lambda settings: [Piece(seed, {"use": use}) for use in (SMALLER, GROWING) for seed in settings.seeds],
    train=quadratic_rows,
    claims=tuple(_claims()),
    controls="Every student of a seed and use has the same teacher, images, initial weights, order and number of "
    "steps; each matrix has the same weights to choose from, by the accuracy on images that the teacher learned, and "
    "never on the test images.",
    check=check_quadratic,
)
