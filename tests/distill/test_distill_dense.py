"""Methods that read masks, boxes or maps, in value, gradient and what is degenerate; and all others on segmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from distill_cases import CLASSES, Located, batch_for, labels_of, loss_of, networks, pair, small, targets_for
from distill_oracles_dense import ORACLES, cells, fgd, generated
from distill_oracles_terms import slope
from torch import Tensor

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import METHODS, Distiller, Shapes, Term, configure
from rolewise.distill.dense_targets import box_fractions, class_masks, covered_cells, smallest_box_weights
from rolewise.distill.methods import cirkd
from rolewise.distill.methods.fgd import FGD
from rolewise.distill.methods.mgd import MGD
from rolewise.distill.task_checks import task_fault
from rolewise.errors import InputError
from rolewise.models import build

Arrays = dict[str, np.ndarray]
#: Boxes of three images of 40 x 60 pixels (height, width): overlapping, none, and one without an area.
BOXES = [[[0.0, 0.0, 30.0, 20.0], [12.0, 8.0, 21.0, 39.0]], [], [[33.0, 11.0, 33.0, 11.0]]]


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def detections(boxes: Any = BOXES) -> Batch:
    targets = [{"boxes": torch.tensor(some).reshape(-1, 4), "labels": torch.zeros(len(some))} for some in boxes]
    return Batch(torch.zeros(len(boxes), 3, 40, 60), targets)


def fractions(boxes: Any = BOXES) -> Any:
    return [[[x1 / 60, y1 / 40, x2 / 60, y2 / 40] for x1, y1, x2, y2 in some] for some in boxes]


def weights_of(term: Term) -> Arrays:
    return {key: value.detach().numpy().copy() for key, value in term.state_dict().items()}


def made(kind: Callable[..., Term], *pairs: Any, **settings: Any) -> tuple[Term, list[Tensor], list[Tensor]]:
    """A term with weights of its own in double precision, and features of the shapes (student's, teacher's)."""
    term = kind(Shapes(*([torch.Size((2, *pair[side])) for pair in pairs] for side in (0, 1))), **settings).double()
    for index, value in enumerate(term.state_dict().values()):
        value.copy_(0.4 * drawn(*value.shape, seed=40 + index))
    paths = [str(index) for index in range(len(pairs))]
    term.name, term.pairs = kind.__name__.lower(), tuple(zip(paths, paths, strict=True))
    students = [drawn(3, *one[0], seed=index).requires_grad_() for index, one in enumerate(pairs)]
    return term, students, [drawn(3, *one[1], seed=20 + index) for index, one in enumerate(pairs)]


def called(term: Term, students: list[Tensor], teachers: list[Tensor], batch: Batch, **context: Any) -> Tensor:
    given = (
        Outputs({}, {path: some[index] for index, (path, _) in enumerate(term.pairs)}) for some in (students, teachers)
    )
    loss = term(*given, batch, Context(**context))
    assert isinstance(loss, Tensor)
    return loss


def check_slopes(loss: Tensor, leaves: dict[str, Tensor], oracle: Callable[[Arrays], np.ndarray]) -> None:
    """The gradients are the oracle's, along some directions."""
    gradients = torch.autograd.grad(loss.mean(), list(leaves.values()))
    at = {key: leaf.detach().numpy().copy() for key, leaf in leaves.items()}
    for seed in range(2):
        towards = {key: drawn(*leaf.shape, seed=7 * seed + i).numpy() for i, (key, leaf) in enumerate(leaves.items())}
        found = sum(float((one.numpy() * towards[key]).sum()) for key, one in zip(leaves, gradients, strict=True))
        assert found == pytest.approx(slope(oracle, at, towards), rel=2e-6, abs=1e-9)


@pytest.mark.parametrize("name", list(ORACLES))
def test_the_gradient_is_that_of_the_independent_computation(name: str) -> None:
    student, teacher = pair(name, 3)
    student = (student + 0.1 * drawn(*student.shape, seed=1).abs()).requires_grad_()
    (targets,) = labels_of(name, 3)
    arrays = {key: value.numpy() for key, value in targets_for(name, targets).items()}
    loss = loss_of(name, teacher, targets)(student, teacher)
    check_slopes(loss, {"s": student}, lambda at: ORACLES[name](at["s"], teacher.numpy(), **arrays))


@pytest.mark.parametrize("drop_from", ["places", "channels"])
def test_masked_generation_agrees_with_an_independent_computation(drop_from: Any) -> None:
    for widths in ((4, 5), (5, 5)):
        term, students, teachers = made(MGD, ((widths[0], 4, 6), (widths[1], 4, 6)), drop=0.4, drop_from=drop_from)
        loss = called(term, students, teachers, Batch(None), step=3, seed=2)
        stream = Context(step=3, seed=2).generator("mgd")
        kept = (torch.rand((3, 1, 4, 6) if drop_from == "places" else (3, 5, 1, 1), generator=stream) >= 0.4).numpy()
        leaves = {"s": students[0], **dict(term.named_parameters())}

        def oracle(at: Arrays, teacher: Tensor = teachers[0], kept: np.ndarray = kept) -> np.ndarray:
            return generated(at["s"], teacher.numpy(), at, kept)

        at = {key: leaf.detach().numpy() for key, leaf in leaves.items()}
        np.testing.assert_allclose(loss.detach().numpy(), oracle(at), rtol=1e-9)
        check_slopes(loss, leaves, oracle)
        other = called(term, students, teachers, Batch(None), step=4, seed=2)
        assert not torch.equal(loss, other)
        assert torch.equal(loss, called(term, students, teachers, Batch(None), step=3, seed=2))


def test_masked_generation_of_several_levels_is_their_sum_and_drops_what_it_says() -> None:
    shapes = (((4, 4, 6), (5, 4, 6)), ((3, 2, 3), (6, 4, 6)))
    term, students, teachers = made(MGD, *shapes, drop=0.0)
    total = called(term, students, teachers, Batch(None))
    weights, expected = weights_of(term), np.zeros(3)
    # The teacher's second level is averaged down.
    coarse = teachers[1].reshape(3, 6, 2, 2, 3, 2).mean((3, 5))
    for index, (s, t) in enumerate(zip(students, (teachers[0], coarse), strict=True)):
        expected += generated(s.detach().numpy(), t.numpy(), weights, np.ones((1, 1, 1, 1)), f"generators.{index}.")
    np.testing.assert_allclose(total.detach().numpy(), expected, rtol=1e-9)
    # With everything dropped the student gets no gradient.
    term, students, teachers = made(MGD, shapes[0], drop=1.0)
    called(term, students, teachers, Batch(None)).sum().backward()
    assert students[0].grad is not None and not students[0].grad.any()
    mask = MGD(Shapes([torch.Size((2, 4, 4, 4))] * 1, [torch.Size((2, 4, 4, 4))]), drop=0.25).drawn(
        torch.zeros(50, 4, 10, 10), Context(), torch.Generator().manual_seed(0)
    )
    assert mask.shape == (50, 1, 10, 10) and mask.float().mean().item() == pytest.approx(0.75, abs=0.02)


def test_values_of_terms_worked_by_hand() -> None:
    """Generators and contexts of zeros: what is left is the teacher's square, and plain differences."""
    shapes = Shapes([torch.Size((1, 2, 2, 2))], [torch.Size((1, 2, 2, 2))])
    mgd = MGD(shapes)
    mgd.name, mgd.pairs = "mgd", (("0", "0"),)
    for weight in mgd.parameters():
        torch.nn.init.zeros_(weight)
    assert called(mgd, [torch.ones(1, 2, 2, 2)], [3 * torch.ones(1, 2, 2, 2)], Batch(None)).tolist() == [8 * 9]
    # Constant maps attend to all alike. The box covers the left half: 2 places and 2 channels at 1/2, and as many
    # outside at 1/2; the contexts add nothing.
    term = FGD(shapes, foreground=5.0, background=3.0, attention=7.0, relation=0.25)
    term.name, term.pairs = "fgd", (("0", "0"),)
    given = [torch.ones(1, 2, 2, 2)], [3 * torch.ones(1, 2, 2, 2)]
    loss = called(term, *given, detections([[[0.0, 0.0, 30.0, 40.0]]]))
    assert loss.tolist() == pytest.approx([5 * 2 * 4 + 3 * 2 * 4 + 0.25 * 8 * 4])


@pytest.mark.parametrize("widths", [(3, 4), (4, 4)])
def test_focal_and_global_distillation_agrees_with_an_independent_computation(widths: tuple[int, int]) -> None:
    term, students, teachers = made(
        FGD, ((widths[0], 4, 6), (widths[1], 4, 6)), foreground=1.5, background=0.7, attention=0.3, relation=0.2,
        temperature=0.8,
    )  # fmt: skip
    loss = called(term, students, teachers, detections())
    leaves = {"s": students[0], **dict(term.named_parameters())}

    def oracle(at: Arrays) -> np.ndarray:
        return fgd(at["s"], teachers[0].numpy(), fractions(), at, (1.5, 0.7, 0.3, 0.2), 0.8)

    np.testing.assert_allclose(
        loss.detach().numpy(), oracle({key: leaf.detach().numpy() for key, leaf in leaves.items()}), rtol=1e-9
    )
    check_slopes(loss, leaves, oracle)


def test_levels_of_a_pyramid_are_added_and_boxes_follow_their_size() -> None:
    shapes = (((3, 8, 12), (4, 8, 12)), ((3, 2, 3), (4, 2, 3)))
    term, students, teachers = made(FGD, *shapes)
    weights = weights_of(term)
    expected = sum(
        fgd(s.detach().numpy(), t.numpy(), fractions(), weights, level=level)
        for level, (s, t) in enumerate(zip(students, teachers, strict=True))
    )
    np.testing.assert_allclose(called(term, students, teachers, detections()).detach().numpy(), expected, rtol=1e-9)


def test_equal_features_cost_nothing_but_their_contexts() -> None:
    term, _, teachers = made(FGD, ((4, 4, 6), (4, 4, 6)), relation=0.0)
    leaf = teachers[0].clone().requires_grad_()
    loss = called(term, [leaf], teachers, detections())
    loss.sum().backward()
    assert loss.tolist() == [0.0] * 3 and leaf.grad is not None and not leaf.grad.any()


def test_cells_of_boxes_are_those_that_they_touch() -> None:
    batch = detections()
    for grid in ((4, 6), (8, 12), (1, 1), (5, 7)):
        for boxes, plain in zip(box_fractions(batch, "fgd"), fractions(), strict=True):
            covered = covered_cells(boxes, grid)
            assert covered.shape == (len(plain), *grid)
            for one, box in zip(covered, plain, strict=True):
                if box[0] < box[2]:
                    assert [tuple(cell) for cell in one.nonzero().tolist()] == cells(box, *grid)
                else:
                    assert one.sum() == 1, "a box without an area has a place too"
            assert (smallest_box_weights(boxes, grid) > 0).equal(covered.any(0))
    # Borders of cells in single precision, and boxes that reach over the image.
    edges = torch.tensor([[0.3, 0.1, 0.7, 0.3], [-0.5, 0.95, 1.5, 1.0], [1.0, 1.0, 1.0, 1.0]])
    one, two, three = covered_cells(edges, (10, 10))
    assert one.nonzero().tolist() == [[i, j] for i in (1, 2) for j in (3, 4, 5, 6)]
    assert two.nonzero().tolist() == [[9, j] for j in range(10)] and three.nonzero().tolist() == [[9, 9]]
    weights = smallest_box_weights(torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5]]), (2, 2))
    assert weights.tolist() == [[1.0, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("boxes", [[[]], [[[0.0, 0.0, 60.0, 40.0]]], [[[5.0, 5.0, 5.0, 5.0]]]])
@pytest.mark.parametrize("side", [1, 4])
def test_an_image_without_boxes_or_full_of_one_gives_finite_losses(boxes: Any, side: int) -> None:
    student, teacher = drawn(1, 4, side, side, seed=1).requires_grad_(), drawn(1, 4, side, side, seed=2)
    given = box_fractions(detections(boxes), "defeat")
    loss = METHODS["defeat"].loss(student, teacher, boxes=given)
    share = 12.0 if not boxes[0] else 3.0 if side == 1 or boxes[0][0][2] == 60 else None
    if share:
        assert loss.item() == pytest.approx(share / 2 * (student - teacher).square().sum(1).mean().item())
    term, _, _ = made(FGD, ((4, 4, 6), (4, 4, 6)))
    loss = loss + called(term, [student], [teacher], detections(boxes))
    loss.sum().backward()
    assert loss.isfinite().all() and student.grad is not None and student.grad.isfinite().all()


def test_pixels_that_do_not_count_and_single_ones_cost_nothing() -> None:
    student, teacher = drawn(4, 3, 2, 2, seed=1).requires_grad_(), drawn(4, 5, 2, 2, seed=2)
    masks = torch.full((4, 2, 2), -1)
    masks[1, 0, 0] = 2  # a single pixel is its own centre
    masks[2] = torch.tensor([[0, 1], [2, 3]])
    masks[3, 0] = 1
    loss = METHODS["ifvd"].loss(student, teacher, masks=masks)
    loss.sum().backward()
    torch.testing.assert_close(loss[:3], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-30)
    assert loss[3] > 0 and student.grad is not None and student.grad[3, :, 0].any()
    assert not student.grad[3, :, 1].any() and not student.grad[0].any()
    whole = METHODS["ifvd"].loss(student, teacher, masks=torch.full((4, 2, 2), -1))
    assert whole.tolist() == [0.0] * 4
    # The masks' own label of what does not count, in the task's words.
    task = rw.Segmentation(ignore=7)
    assert class_masks(Batch(None, torch.tensor([[[7, 0], [3, 255]]])), task).tolist() == [[[-1, 0], [3, 255]]]


def test_a_batch_of_one_image_relates_its_own_pixels() -> None:
    student, teacher = drawn(1, 3, 2, 3, seed=1), drawn(1, 4, 4, 6, seed=2)
    small_teacher = teacher.reshape(1, 4, 2, 2, 3, 2).mean((3, 5))
    loss = METHODS["cirkd"].loss(student, teacher)
    np.testing.assert_allclose(loss.numpy(), ORACLES["cirkd"](student.numpy(), small_teacher.numpy()), rtol=1e-9)
    assert METHODS["cirkd"].loss(student[:, :, :1, :1], teacher[:, :, :1, :1]).tolist() == [0.0]


def test_large_batches_are_related_image_by_image_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = drawn(3, 3, 2, 3, seed=1), drawn(3, 4, 2, 3, seed=2)
    found = []
    for whole in (cirkd.WHOLE, 10):
        monkeypatch.setattr(cirkd, "WHOLE", whole)
        leaf = student.clone().requires_grad_()
        loss = cirkd.cirkd_loss(leaf, teacher, temperature=0.5)
        (loss * torch.arange(1.0, 4.0)).sum().backward()
        found.append((loss.detach(), leaf.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_channels_that_do_not_vary_and_single_values() -> None:
    student, teacher = drawn(2, 3, 2, 2, seed=1), drawn(2, 3, 2, 2, seed=2)
    flat = student.clone()
    flat[:, 1] = 4.0
    leaf = flat.clone().requires_grad_()
    loss = METHODS["pearson_kd"].loss(leaf, teacher)
    loss.sum().backward()
    # Against one of variance 1 a channel of zeros costs half of 7/8.
    varied = METHODS["pearson_kd"].loss(student[:, [0, 2]], teacher[:, [0, 2]]).mean().item()
    assert loss.mean().item() == pytest.approx((2 * varied + 7 / 16) / 3)
    assert leaf.grad is not None and leaf.grad.isfinite().all()
    correlation = np.mean([np.corrcoef(student[:, d].ravel(), teacher[:, d].ravel())[0, 1] for d in range(3)])
    found = METHODS["pearson_kd"].loss(student, teacher).mean().item()
    assert found == pytest.approx(7 / 8 * (1 - correlation))
    with pytest.raises(InputError, match="pearson_kd must have two values of each channel in a batch, got one"):
        METHODS["pearson_kd"].loss(student[:1, :, :1, :1], teacher[:1, :, :1, :1])


def test_what_is_missing_is_refused_with_the_remedy() -> None:
    teacher, student = networks()
    images = torch.rand(2, 1, 8, 8)
    for name, kind in (("ifvd", "a class for each pixel"), ("fgd", "boxes of objects"), ("defeat", "boxes of objects")):
        with pytest.raises(InputError, match=f'"{name}" must have {kind}, which the task classification has not'):
            Distiller(teacher, student, [configure(name)], example=images)
    distiller = Distiller(teacher, student, [small("fgd")], example=images, task=Located(), label_weight=0.0)
    with pytest.raises(InputError, match='labels must be given, as "fgd" reads them, got none'):
        distiller(images)
    with pytest.raises(InputError, match=r'targets must be a list of mappings with boxes for "defeat", .* got Tensor'):
        box_fractions(Batch(images, torch.zeros(2, 3)), "defeat")
    with pytest.raises(InputError, match=r'images must be one tensor \[B, C, H, W\] for "fgd", .* got list; pad'):
        box_fractions(Batch(list(images), detections().targets), "fgd")
    crowded = Batch(images, [{"boxes": torch.eye(4)[:3], "iscrowd": torch.tensor([0, 1, 0])}, {"boxes": torch.eye(4)}])
    assert [len(boxes) for boxes in box_fractions(crowded, "fgd")] == [2, 4]
    with pytest.raises(InputError, match=r"masks must be \[3, H, W\], one for each map, got \[2, 4, 4\]"):
        loss_of("ifvd", drawn(3, 4, 2, 2, seed=1), torch.zeros(2, 4, 4, dtype=torch.int64))(
            drawn(3, 4, 2, 2, seed=1), drawn(3, 4, 2, 2, seed=2)
        )
    vectors = Shapes([torch.Size((2, 4))], [torch.Size((2, 4, 3, 3))])
    for term in (MGD, FGD):
        with pytest.raises(InputError, match=rf"{term.__name__.lower()} must tap maps .*, got \[2, 4\]"):
            term(vectors)
    with pytest.raises(InputError, match=r"defeat must tap maps \[B, D, H, W\], got \[2, 4\] and \[2, 4, 3, 3\]"):
        METHODS["defeat"].adapter(*vectors.student, *vectors.teacher)  # type: ignore[misc]
    with pytest.raises(InputError, match=r'"mgd": drop must be at most 1, got 1\.5'):
        rw.mgd(drop=1.5)


#: Methods that are tried on segmentation every time; all others are with the slow tests.
OFTEN = ("cwd", "ifvd", "cirkd", "mgd", "similarity", "kd")
#: Methods that read a class of the whole image, or the map whose mean it is made of: no segmenter has these.
OF_IMAGES = [
    name
    for name, info in ((name, METHODS[name]) for name in METHODS)
    if info.targets != "boxes" and (task_fault(info, rw.Segmentation()) or info.taps == ("last_map",))
]


def test_methods_of_whole_images_are_refused_for_segmentation() -> None:
    arguments: dict[str, Any] = {"num_classes": 4, "size": (16, 16)}
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for name in (
        "bss",
        "ca_mkd",
        "crld",
        "cs_kd",
        "dlb",
        "fcfd",
        "kdcl",
        "mlkd",
        "ofa",
        "ps_kd",
        "quadratic_kd",
        "sdd",
        "simkd",
        "srrl",
        "tf_kd",
        "uskd",
    ):
        assert name in OF_IMAGES
        networks = (build("unet", widths=[4, 6], seed=seed, **arguments) for seed in (0, 1))
        rule = f'"{name}" must (have one class for each example, which the task segm|read taps of .* last_map)'
        with pytest.raises(InputError, match=rule):
            Distiller(*networks, [small(name)], example=images, task=rw.Segmentation())


@pytest.mark.parametrize(
    "name",
    [
        name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow)
        for name in METHODS
        if METHODS[name].targets != "boxes" and name not in OF_IMAGES
    ],
)
def test_methods_work_for_segmentation_whatever_the_networks_resolution(name: str) -> None:
    """Maps of another size and width in the student than in the teacher, pixels that do not count, odd sizes."""
    arguments = {"num_classes": 4, "size": (24, 40)}
    teacher = build("unet", widths=[4, 6, 8], **arguments)
    student = build("unet", widths=[3, 4, 5], stride=2, **arguments)
    images = torch.rand(3, 3, 22, 38, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 4, (3, 22, 38), generator=torch.Generator().manual_seed(1))
    masks[0, :9], masks[1] = 255, 255
    batch = Batch(images, masks, torch.arange(3))
    given: dict[str, Any] = {"example": images[:2], "labels": CLASSES, "task": rw.Segmentation()}
    distiller = Distiller(teacher, student, [small(name)], **given)
    terms = distiller(batch)
    assert terms.not_finite() is None
    terms[name].backward()
    reached = [weight.grad for weight in student.parameters() if weight.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in reached) and all(one.isfinite().all() for one in reached)


def test_levels_are_matched_where_the_teacher_stops_at_its_last_tap() -> None:
    """Hints on levels read no outputs: the teacher's pass may end at the last level, and all else is the same."""
    arguments: dict[str, Any] = {"num_classes": 4, "size": (16, 16)}
    images, masks = torch.rand(2, 3, 16, 16), torch.randint(0, 4, (2, 16, 16))
    totals = []
    for stops in (False, True):
        networks = [build("unet", widths=widths, seed=seed, **arguments) for seed, widths in ((1, [6, 8]), (2, [3, 4]))]
        levels = ["stage1", "stage2"]
        method = rw.fitnets(student_taps=levels, teacher_taps=levels)
        distiller = Distiller(*networks, [method], example=images, task=rw.Segmentation(), stop_teacher=stops).eval()
        distiller(images, masks)
        terms = distiller(images, masks)
        assert (terms.teacher_logits is None) == stops
        totals.append(terms.total.item())
    assert totals[0] == totals[1]


def test_boxes_reach_a_method_through_a_distiller() -> None:
    teacher, student = networks()
    batch = batch_for("fgd", 3)
    distiller = Distiller(
        teacher, student, [small("fgd"), small("defeat")], example=batch.inputs, task=Located()
    ).eval()
    terms = distiller(batch)
    features = {role: terms.outputs[role].features for role in ("student", "teacher")}
    (path, other) = distiller.terms["defeat"].pairs[0]  # type: ignore[index,union-attr]
    mapped = distiller.get_submodule("terms.defeat.maps.0")(features["student"][path])
    boxes = [target["boxes"].double() / 8 for target in batch.targets]
    expected = ORACLES["defeat"](
        mapped.detach().double().numpy(),
        features["teacher"][other].double().numpy(),
        np.array([b.numpy() for b in boxes]),
    )
    assert terms["defeat"].item() == pytest.approx(expected.mean(), rel=1e-5)
    term: Any = distiller.terms["fgd"]
    expected = fgd(
        features["student"][path].detach().double().numpy(), features["teacher"][other].double().numpy(),
        [b.tolist() for b in boxes], {key: value.double().numpy() for key, value in term.state_dict().items()},
    )  # fmt: skip
    assert terms["fgd"].item() == pytest.approx(expected.mean(), rel=1e-5)
