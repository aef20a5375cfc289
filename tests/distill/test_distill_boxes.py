"""Methods between two detectors: localisation distillation against numpy, and all others on the detector's taps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from distill_oracles_dense import ld, valuable
from distill_oracles_terms import slope
from torch import Tensor

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes
from rolewise.distill.box_regions import valuable_locations
from rolewise.distill.checks import BOUNDS
from rolewise.distill.methods.ld import LD
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.tasks.box_assignment import assigned_boxes

#: Boxes of images of 64 x 96 pixels: two, none, and one that is larger than any reach.
BOXES = [[[5.0, 9.0, 38.0, 30.0], [40.0, 20.0, 50.0, 29.0]], [], [[1.0, 1.0, 95.0, 63.0]]]
LEVELS = ["level1", "level2"]


def locations_of(height: int = 64, width: int = 96, levels: Sequence[int] = (8, 16)) -> tuple[Tensor, Tensor]:
    places = [
        (x + stride / 2, y + stride / 2, stride)
        for stride in levels
        for y in range(0, height, stride)
        for x in range(0, width, stride)
    ]
    table = torch.tensor(places, dtype=torch.float64)
    return table[:, :2], table[:, 2]


def targets_of(boxes: Any = BOXES) -> list[dict[str, Tensor]]:
    return [
        {"boxes": torch.tensor(some).reshape(-1, 4), "labels": torch.zeros(len(some), dtype=torch.int64)}
        for some in boxes
    ]


def outputs_of(seed: int, images: int = 3, bins: int = 5) -> Outputs:
    locations, strides = locations_of()
    stream = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, len(strides), 2, generator=stream, dtype=torch.float64)
    spread = 3 * torch.randn(images, len(strides), 4, bins, generator=stream, dtype=torch.float64)
    return Outputs({"logits": logits, "distribution": spread, "locations": locations, "strides": strides})


def term_of(**settings: Any) -> LD:
    term = LD(Shapes(), **settings)
    term.name, term.task = "ld", rw.Detection()
    return term


def called(term: LD, student: Outputs, teacher: Outputs, boxes: Any = BOXES) -> Tensor:
    return term(student, teacher, Batch(torch.zeros(len(boxes), 3, 64, 96), targets_of(boxes)), Context())


@pytest.mark.parametrize("boxes", [BOXES[0], BOXES[2], [[0.0, 0.0, 3.0, 2.0], [90.0, 1.0, 96.0, 60.0]], []])
@pytest.mark.parametrize("levels", [(8, 16), (32,), (64,)])
def test_valuable_locations_are_those_of_an_independent_computation(boxes: Any, levels: tuple[int, ...]) -> None:
    locations, strides = locations_of(levels=levels)
    given = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    found = valuable_locations(locations, strides, given)
    np.testing.assert_allclose(found.numpy(), valuable(locations.numpy(), strides.numpy(), given.numpy()), rtol=1e-9)
    if len(levels) == 2:
        assert found.any() == bool(boxes) and found.max() < 1


@pytest.mark.parametrize("settings", [{}, {"temperature": 2.0, "valuable": 1.5}])
def test_localisation_agrees_with_an_independent_computation(settings: dict[str, float]) -> None:
    student, teacher = outputs_of(1), outputs_of(2)
    locations, strides = locations_of()
    learns = torch.stack(
        [assigned_boxes(locations, strides, target["boxes"].double(), 1.5) >= 0 for target in targets_of()]
    ).numpy()
    around = np.array(
        [valuable(locations.numpy(), strides.numpy(), target["boxes"].numpy()) for target in targets_of()]
    )
    assert learns.any(1).tolist() == [True, False, True] and (around * ~learns).any(1).tolist() == [True, False, True]
    temperature, share = settings.get("temperature", 10.0), settings.get("valuable", 0.25)
    leaf = student.values["distribution"].clone().requires_grad_()
    logits = student.logits.clone().requires_grad_()
    loss = called(term_of(**settings), Outputs({**student.values, "distribution": leaf, "logits": logits}), teacher)

    def oracle(at: dict[str, np.ndarray]) -> np.ndarray:
        wanted = teacher.values["distribution"].numpy()
        return ld(at["s"], wanted, student.logits.numpy(), learns, around, temperature, share)

    np.testing.assert_allclose(loss.detach().numpy(), oracle({"s": leaf.detach().numpy()}), rtol=1e-9)
    assert loss[1] == 0
    loss.mean().backward()
    assert leaf.grad is not None and not leaf.grad[1].any() and logits.grad is None
    for seed in (0, 1):
        towards = np.random.default_rng(seed).normal(size=leaf.shape)
        found = float((leaf.grad.numpy() * towards).sum())
        assert found == pytest.approx(slope(oracle, {"s": leaf.detach().numpy()}, {"s": towards}), rel=2e-6)


def test_localisation_has_the_value_worked_by_hand() -> None:
    """At T = 2 the teacher is at one of two distances with 3/4 on every side, the student at both alike."""
    values = {**outputs_of(1, 1, 2).values}
    values["distribution"] = torch.zeros_like(values["distribution"])
    wanted = torch.zeros_like(values["distribution"])
    wanted[..., 0] = 2 * math.log(3)
    loss = called(
        term_of(temperature=2.0, valuable=0.5), Outputs(values), Outputs({**values, "distribution": wanted}), BOXES[:1]
    )
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert loss.tolist() == pytest.approx([1.5 * 4 * divergence / 2])
    assert called(term_of(), Outputs(values), Outputs(values), BOXES[:1]).item() == 0


@pytest.mark.parametrize("temperature", BOUNDS["temperature"])
def test_temperatures_at_their_bounds_give_finite_losses_and_gradients(temperature: float) -> None:
    student, teacher = (
        Outputs({name: value.float() for name, value in outputs_of(seed).values.items()}) for seed in (1, 2)
    )
    leaf = student.values["distribution"].clone().requires_grad_()
    loss = called(term_of(temperature=temperature), Outputs({**student.values, "distribution": leaf}), teacher)
    loss.sum().backward()
    assert loss.isfinite().all() and leaf.grad is not None and leaf.grad.isfinite().all()


def test_images_without_boxes_and_crowds_cost_nothing() -> None:
    student, teacher = outputs_of(1, 2), outputs_of(2, 2)
    assert called(term_of(), student, teacher, [[], []]).tolist() == [0.0, 0.0]
    crowded = [{**target, "iscrowd": torch.ones(len(target["boxes"]), dtype=torch.bool)} for target in targets_of()[:2]]
    assert term_of()(student, teacher, Batch(torch.zeros(2, 3, 64, 96), crowded), Context()).tolist() == [0.0, 0.0]


def detectors(**more: Any) -> list[torch.nn.Module]:
    """Teacher and student of other widths, with names of their levels."""
    arguments: dict[str, Any] = {"num_classes": 3, "depth": 1, "bins": 6, **more}
    widths = [4, 6, 8, 10], [3, 4, 5, 6]
    return [build("fcos_small", widths=one, seed=seed, **arguments) for seed, one in enumerate(widths)]


def images_of(boxes: Any = BOXES) -> Batch:
    images = torch.rand(len(boxes), 3, 64, 96, generator=torch.Generator().manual_seed(0))
    return Batch(images, targets_of(boxes), torch.arange(len(boxes)))


#: With taps where a method has none of a detector's by default.
BETWEEN_DETECTORS = [
    rw.kd(), rw.reverse_kd(), rw.soft_cross_entropy(), rw.output_match(), rw.ld(), rw.fgd(), rw.defeat(),
    *(method(student_taps=LEVELS, teacher_taps=LEVELS)
      for method in (rw.pearson_kd, rw.fitnets, rw.mgd, rw.attention, rw.cwd, rw.match, rw.vid, rw.nst)),
    rw.similarity(), rw.pairwise(), rw.cirkd(), rw.review_kd(student_taps=LEVELS, teacher_taps=LEVELS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "boxes"),
    [
        (method, BOXES)
        if method.name in ("ld", "fgd", "defeat")
        else pytest.param(method, BOXES, marks=pytest.mark.slow)
        for method in BETWEEN_DETECTORS
    ]
    + [(method, [[], []]) for method in (rw.kd(), rw.ld(), rw.fgd(), rw.defeat(), rw.mgd())],
    ids=lambda value: getattr(value, "name", None),
)
def test_methods_work_between_detectors(method: Any, boxes: Any) -> None:
    teacher, student = detectors()
    batch = images_of(boxes)
    distiller = Distiller(teacher, student, [method], example=batch.inputs[:2], task=rw.Detection())
    terms = distiller(batch)
    assert terms.not_finite() is None
    terms[method.name].backward()
    gradients = [weight.grad for weight in student.parameters() if weight.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    # Without boxes nothing is matched; the features of the background are.
    found = any(gradient.abs().sum() > 0 for gradient in gradients)
    assert found == (boxes is BOXES or method.info.reads != "logits")


def test_kd_between_detectors_compares_the_locations_that_learn_a_box() -> None:
    teacher, student = detectors()
    batch = images_of()
    distiller = Distiller(teacher, student, [rw.kd(temperature=2.0)], task=rw.Detection()).eval()
    terms = distiller(batch)
    outputs = {role: terms.outputs[role].values for role in ("student", "teacher")}
    expected = []
    for image, target in enumerate(batch.targets):
        values = outputs["student"]
        learns = assigned_boxes(values["locations"], values["strides"], target["boxes"], 1.5) >= 0
        p, q = (outputs[role]["logits"][image][learns].div(2).sigmoid() for role in ("teacher", "student"))
        each = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
        expected.append(4 * each.mean() if learns.any() else each.sum())
    torch.testing.assert_close(terms["kd"], torch.stack(expected).mean())


def test_hints_on_levels_end_the_teacher_s_pass_there() -> None:
    totals = []
    for stops in (False, True):
        method = rw.fitnets(student_taps=LEVELS, teacher_taps=LEVELS)
        teacher, student = detectors()
        batch = images_of()
        seen: list[Any] = []
        teacher.get_submodule("classifier").register_forward_hook(lambda *given, seen=seen: seen.append(given))
        given: dict[str, Any] = {"example": batch.inputs, "task": rw.Detection(), "stop_teacher": stops}
        distiller = Distiller(teacher, student, [method], **given).eval()
        distiller(batch)
        before = len(seen)
        totals.append(distiller(batch).total.item())
        assert (len(seen) == before) == stops
    assert totals[0] == totals[1]


def test_what_a_detector_lacks_is_named() -> None:
    student, teacher = outputs_of(1), outputs_of(2, bins=6)
    with pytest.raises(
        InputError, match=r'distributions of the same shape for "ld", got .* give both the same strides'
    ):
        called(term_of(), student, teacher)
    bare = Outputs({name: value for name, value in student.values.items() if name != "distribution"})
    with pytest.raises(InputError, match=r'must return a distribution \[B, A, 4, R\] for "ld", got the outputs logits'):
        called(term_of(), bare, student)
    networks = [build("small_cnn", num_classes=3, size=(16, 16), widths=(4, 6), seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError, match='"ld" must have boxes of objects, which the task classification has not'):
        Distiller(*networks, [rw.ld()], example=torch.rand(2, 3, 16, 16))
    with pytest.raises(InputError, match='"dkd" must compare at least 3 classes, and the task detection has rows of 2'):
        Distiller(*detectors(), [rw.dkd()], task=rw.Detection())
