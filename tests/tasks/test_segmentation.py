"""The segmentation task against numpy in double precision, scikit-learn and hand-worked cases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.tasks import Segmentation, build_task
from rolewise.tasks.pixel_logits import nearest_mask

B, K, H, W = 3, 4, 8, 10


def draws(seed: int = 0, height: int = H, width: int = W) -> tuple[Tensor, Tensor, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, K, height, width, generator=stream, dtype=torch.double)
    teacher = torch.randn(B, K, height // 2, width // 2, generator=stream, dtype=torch.double)
    masks = torch.randint(0, K, (B, H, W), generator=stream)
    masks[torch.rand(B, H, W, generator=stream) < 0.2] = 255
    return logits, teacher, masks


def batch_of(masks: Tensor) -> Batch:
    return Batch(torch.zeros(len(masks), 3, *masks.shape[1:]), masks)


def log_softmax(z: np.ndarray, axis: int) -> np.ndarray:
    z = z - z.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def upsampled(z: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, corners not aligned, edges repeated: the two nearest samples of each axis by their distance."""
    for axis, side in ((2, height), (3, width)):
        there = z.shape[axis]
        at = np.clip((np.arange(side) + 0.5) * there / side - 0.5, 0, None)
        low = np.minimum(np.floor(at).astype(int), there - 1)
        high = np.minimum(low + 1, there - 1)
        shape = [1] * 4
        shape[axis] = side
        part = (at - low).reshape(shape)
        z = z.take(low, axis) * (1 - part) + z.take(high, axis) * part
    return z


def expected_loss(z: np.ndarray, masks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    each = -log_softmax(upsampled(z, H, W), 1)
    losses = []
    for image in range(len(z)):
        total = weight = 0.0
        for y in range(H):
            for x in range(W):
                if (label := masks[image, y, x]) != 255:
                    total += weights[label] * each[image, label, y, x]
                    weight += weights[label]
        losses.append(total / weight if weight else 0.0)
    return np.array(losses)


@pytest.mark.parametrize("size", [(H, W), (4, 5)])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5, 3.0]])
def test_the_loss_is_the_mean_cross_entropy_of_the_pixels_that_count(size: tuple[int, int], weights: list[float]):
    logits, _, masks = draws(1, *size)
    masks[2] = 255  # nothing of this image counts
    found = Segmentation(class_weights=weights).losses(Outputs({"logits": logits}), batch_of(masks))["labels"]
    wanted = expected_loss(logits.numpy(), masks.numpy(), np.asarray(weights or [1.0] * K))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    assert found[2] == 0


def test_auxiliary_heads_are_in_the_loss_with_their_weight():
    logits, aux, masks = draws(2)
    task, batch = Segmentation(auxiliary=0.25), batch_of(masks)
    alone, other = (task.losses(Outputs({"logits": part}), batch)["labels"] for part in (logits, aux))
    both = task.losses(Outputs({"logits": logits, "aux": aux}), batch)["labels"]
    torch.testing.assert_close(both, alone + 0.25 * other)


def test_rows_are_pixels_at_the_students_resolution_and_ignored_ones_weigh_nothing():
    logits, teacher, masks = draws(3, 4, 5)
    student, wanted = Segmentation().rows(
        Outputs({"logits": logits}), Outputs({"logits": teacher[:, :, :1, :2]}), batch_of(masks)
    )
    assert student.logits.shape == wanted.logits.shape == (B * 4 * 5, K)
    row = 2 * 20 + 3 * 5 + 1  # image 2, pixel (3, 1)
    assert torch.equal(student.logits[row], logits[2, :, 3, 1])
    smooth = upsampled(teacher[:, :, :1, :2].numpy(), 4, 5)
    np.testing.assert_allclose(wanted.logits[row].numpy(), smooth[2, :, 3, 1], rtol=1e-12)
    small = nearest_mask(masks, 4, 5)
    assert torch.equal(small, masks[:, 1::2, 1::2])  # the centre of a block of 2 x 2 falls into its last pixel
    assert student.owner is not None and student.weight is not None and student.labels is not None
    assert int(student.owner[row]) == 2
    assert torch.equal(student.weight.view(B, 4, 5) > 0, small != 255)
    assert int(student.labels.max()) < K


def test_a_distillers_kd_term_is_the_mean_over_pixels_in_value_and_gradient():
    logits, teacher, masks = draws(4)

    class Answer(nn.Module):
        def __init__(self, values: Tensor) -> None:
            super().__init__()
            self.values = nn.Parameter(values)

        def forward(self, images: Tensor) -> Tensor:
            return self.values

    student = Answer(logits)
    distiller = rw.Distiller(Answer(teacher), student, [rw.kd(temperature=2.0, weight=1.0)], task=Segmentation())
    terms = distiller(torch.zeros(B, 3, H, W), masks)
    t = log_softmax(upsampled(teacher.numpy(), H, W) / 2, 1)
    s = log_softmax(logits.numpy() / 2, 1)
    each = 4 * (np.exp(t) * (t - s)).sum(1)
    counts = masks.numpy() != 255
    wanted = np.mean([each[b][counts[b]].mean() for b in range(B)])
    assert float(terms["kd"].detach()) == pytest.approx(wanted, rel=1e-12)
    terms["kd"].backward()
    assert student.values.grad is not None
    gradient = 2 * (np.exp(s) - np.exp(t)) * counts[:, None] / counts.sum((1, 2))[:, None, None, None] / B
    np.testing.assert_allclose(student.values.grad.numpy(), gradient, atol=1e-14)


@pytest.mark.parametrize("name", ["dkd", "dist", "reverse_kd", "soft_cross_entropy", "logit_standardisation", "mixstd"])
def test_every_method_on_logits_runs_on_pixels_and_no_ignored_pixel_moves_it(name: str):
    logits, teacher, masks = draws(5)
    terms = []
    for spoiled in (False, True):
        given = logits.clone()
        if spoiled:
            given[(masks == 255)[:, None].expand_as(given)] = 1e3
        student = nn.Conv2d(K, K, 1).double()
        nn.init.dirac_(student.weight), nn.init.zeros_(student.bias)
        fixed = nn.Upsample(size=(H, W), mode="bilinear")
        distiller = rw.Distiller(
            nn.Sequential(_Fixed(teacher), fixed), nn.Sequential(_Fixed(given), student),
            [rw.configure(name)], task=Segmentation(),
        )  # fmt: skip
        terms.append(float(distiller(torch.zeros(B, 3, H, W), masks)[name].detach()))
    assert np.isfinite(terms).all()
    assert terms[0] == pytest.approx(terms[1], rel=1e-9)


class _Fixed(nn.Module):
    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, images: Tensor) -> Tensor:
        return self.values  # type: ignore[return-value]


@pytest.mark.parametrize("weighted", [False, True])
def test_every_metric_is_scikit_learns(weighted: bool):
    stream = torch.Generator().manual_seed(6)
    logits, _, masks = draws(6)
    weights = torch.randint(1, 4, (B,), generator=stream) if weighted else None
    metric = Segmentation().metric()
    for part in (slice(0, 2), slice(2, B)):
        metric.add(Outputs({"logits": logits[part]}), batch_of(masks[part]))
    values = metric.compute(weights)
    counts = (masks != 255).numpy()
    y, answers = masks.numpy()[counts], logits.argmax(1).numpy()[counts]
    share = np.ones(B) if weights is None else weights.numpy()
    pixel = np.broadcast_to(share[:, None, None], masks.shape)[counts]
    given = {"sample_weight": pixel}
    assert values["mean_iou"] == pytest.approx(sk.jaccard_score(y, answers, average="macro", **given), rel=1e-9)
    assert values["pixel_accuracy"] == pytest.approx(sk.accuracy_score(y, answers, **given), rel=1e-9)
    assert values["class_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, answers, **given), rel=1e-9)
    each = expected_loss(logits.float().double().numpy(), masks.numpy(), np.ones(K))
    assert values["loss"] == pytest.approx(np.average(each, weights=share), rel=1e-5)
    assert list(values) == [info.key for info in Segmentation.metrics]
    np.testing.assert_allclose(metric.by_class(weights), sk.jaccard_score(y, answers, average=None, **given), rtol=1e-9)
    if weights is None:
        assert np.array_equal(metric.confusion.numpy(), sk.confusion_matrix(y, answers))
    assert metric.per_example() is None


def test_a_hand_worked_case_with_a_class_that_is_nowhere():
    # Labels 0 0 1 -, predicted 0 1 1 1: IoU 1/2 and 1/2, class 2 is nowhere; the ignored pixel is in no union.
    masks = torch.tensor([[[0, 0], [1, 255]]])
    logits = functional.one_hot(torch.tensor([[[0, 1], [1, 1]]]), 3).movedim(-1, 1).double()
    metric = Segmentation().metric()
    metric.add(Outputs({"logits": logits}), batch_of(masks))
    values = metric.compute()
    assert values["mean_iou"] == pytest.approx(1 / 2)
    assert values["pixel_accuracy"] == pytest.approx(2 / 3)
    assert values["class_accuracy"] == pytest.approx(3 / 4)
    assert metric.by_class().isnan().tolist() == [False, False, True]


def test_images_of_which_nothing_counts_change_no_number():
    logits, _, masks = draws(7)
    task = Segmentation()
    metric, other = task.metric(), task.metric()
    metric.add(Outputs({"logits": logits}), batch_of(masks))
    for part in (masks, torch.full_like(masks, 255)):
        other.add(Outputs({"logits": logits}), batch_of(part))
    assert metric.compute() == pytest.approx(other.compute())
    empty = task.metric()
    empty.add(Outputs({"logits": logits}), batch_of(torch.full_like(masks, 255)))
    assert all(np.isnan(value) for value in empty.compute().values())


def test_outputs_of_every_form_lead_to_the_same_logits():
    logits, aux, _ = draws(8)
    task = Segmentation()
    forms = [
        {"out": logits, "aux": aux},
        (logits, aux),
        SimpleNamespace(logits=logits, aux=aux, loss=None),
        Both(aux, logits),
    ]
    for form in forms:
        values = task.run(_Returns(form), torch.zeros(B, 3, H, W)).values
        assert next(iter(values)) == "logits" and values["logits"] is logits
        assert [value for name, value in values.items() if name != "logits"] == [aux]
    assert task.run(_Returns(logits), torch.zeros(1)).values == {"logits": logits}


class Both(NamedTuple):
    aux: Tensor
    logits: Tensor


class _Returns(nn.Module):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> object:
        return self.value


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (torch.zeros(B, 1, H, W, dtype=torch.int64), "masks.squeeze\\(1\\)"),
        (torch.zeros(B, H, W), "masks.long\\(\\)"),
        (torch.zeros(B, H, W // 2, dtype=torch.int64), "of their images' size, \\[8, 10\\], got \\[8, 5\\]"),
        (torch.zeros(B + 1, H, W, dtype=torch.int64), "one row for each of 3 inputs"),
        (torch.full((B, H, W), 9), "from 0 to 3, .* got 9 \\(255 is ignored\\); set the task's ignore"),
        ([[0]], "make them with torch.as_tensor"),
    ],
)
def test_wrong_masks_are_refused_with_a_remedy(masks: object, words: str):
    distiller = rw.Distiller(None, nn.Conv2d(3, K, 1), task=Segmentation())
    with pytest.raises(InputError, match=words):
        distiller(torch.zeros(B, 3, H, W), masks)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ignore": 1.5}, "ignore must be a whole number"),
        ({"auxiliary": -1}, "auxiliary must be a number of at least 0"),
        ({"class_weights": [1, 0]}, "class_weights must be positive"),
        ({"ignored": 3}, "no such setting"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        build_task({"name": "segmentation", **settings})


def test_a_network_that_classifies_images_is_told_from_a_segmenter():
    with pytest.raises(InputError, match="got \\[3, 4\\]; a network that classifies whole images"):
        Segmentation().run(_Returns(torch.zeros(B, K)), torch.zeros(B, 3, H, W))
    with pytest.raises(InputError, match="under logits or out, got SimpleNamespace with 'masks'"):
        Segmentation().run(_Returns(SimpleNamespace(masks=1)), torch.zeros(B, 3, H, W))
