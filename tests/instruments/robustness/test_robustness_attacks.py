"""Attacks: cases by hand, the bounds that they keep, and what they leave as it was."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import scaled
from rolewise.instruments.robustness import fgsm, nes, pgd, random_search, robust_accuracy
from rolewise.instruments.robustness.balls import project, steepest, uniform
from rolewise.networks import class_logits


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """Two classes: logits (0, w . x + b)."""

    def __init__(self, weight: Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), bias

    def forward(self, images: Tensor) -> Tensor:
        value = images.flatten(1) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(value), value], 1)


WEIGHT = torch.tensor([3.0, -4.0, 0.0, 12.0], dtype=torch.double)
MIDDLE = torch.full((2, 1, 2, 2), 0.5, dtype=torch.double)
LABELS = torch.tensor([0, 1])


def test_a_linear_network_by_hand() -> None:
    model = Linear(WEIGHT)
    # Class 0 loses as w . x grows, class 1 as it falls; the length of w is 13.
    signs = torch.tensor([[1, -1, 0, 1], [-1, 1, 0, -1]]).double()
    units = torch.tensor([[3, -4, 0, 12], [-3, 4, 0, -12]]).double() / 13
    for attack in (fgsm, partial(pgd, generator=seeded(), steps=30), partial(pgd, generator=None, steps=1)):
        moved = attack(model, MIDDLE, LABELS, epsilon=0.1)
        assert (moved.flatten(1) - 0.5)[:, [0, 1, 3]].numpy() == pytest.approx(0.1 * signs[:, [0, 1, 3]].numpy())
    for attack in (fgsm, partial(pgd, generator=None), partial(pgd, generator=None, steps=1, step_size=0.3)):
        moved = attack(model, MIDDLE, LABELS, epsilon=0.1, norm="l2")
        assert (moved.flatten(1) - 0.5).numpy() == pytest.approx(0.1 * units.numpy(), abs=1e-9)
    # The pixels' range cuts the step off.
    assert fgsm(model, MIDDLE, LABELS, epsilon=0.9).flatten(1)[0].tolist() == [1, 0, 0.5, 1]


def test_projections_and_directions_by_hand() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    assert project(vectors, 1, "l2").numpy() == pytest.approx(np.array([[0.6, 0.8], [0.3, 0.4], [0, 0]]))
    assert project(vectors, 1, "linf").numpy() == pytest.approx(np.array([[1, 1], [0.3, 0.4], [0, 0]]))
    assert steepest(vectors, "l2").numpy() == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))
    assert steepest(vectors * 1e-30, "l2").numpy() == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))
    assert steepest(torch.tensor([[torch.nan, -2.0]]), "linf").tolist() == [[0, -1]]


def test_random_points_are_uniform_in_the_ball() -> None:
    like = torch.zeros(20000, 1, 1, 3)
    lengths = uniform(like, 0.5, "l2", seeded()).flatten(1).norm(dim=1)
    # The share of a ball's volume within a length is uniform in [0, 1].
    volume = (lengths / 0.5) ** 3
    assert float(volume.max()) <= 1 + 1e-6
    assert float(volume.mean()) == pytest.approx(0.5, abs=0.01) and float(volume.var()) == pytest.approx(
        1 / 12, abs=0.003
    )
    cube = uniform(like, 0.5, "linf", seeded())
    assert float(cube.abs().max()) <= 0.5 and float(cube.var()) == pytest.approx(1 / 12, abs=0.003)


def test_an_estimated_gradient_is_numpys() -> None:
    model, width, epsilon = Linear(WEIGHT), 0.05, 0.02
    found = nes(model, MIDDLE, LABELS, epsilon=epsilon, norm="l2", steps=1, draws=7, width=width, generator=seeded(3))
    generator = seeded(3)
    start = 0.5 + uniform(MIDDLE, epsilon, "l2", generator).flatten(1).numpy()
    total = np.zeros((2, 4))
    for _ in range(7):
        direction = torch.randn(MIDDLE.shape, generator=generator, dtype=torch.double).flatten(1).numpy()
        for sign in (1, -1):
            value = (start + sign * width * direction) @ WEIGHT.numpy()
            total += sign * np.array([value[0], -value[1]])[:, None] * direction
    step = 2.5 * epsilon * total / np.linalg.norm(total, axis=1, keepdims=True)
    moved = start + step - 0.5
    moved *= np.minimum(1, epsilon / np.linalg.norm(moved, axis=1, keepdims=True))
    assert found.flatten(1).numpy() - 0.5 == pytest.approx(moved, abs=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", ["fgsm", "pgd", "nes", "random_search"])
def test_bounds_repeats_and_what_stays(network: nn.Module, unseen: tuple[Tensor, Tensor], kind: str, norm: str) -> None:
    images, labels = unseen
    images = (images * 255).round().to(torch.uint8)

    def run(seed: int) -> Tensor:
        own: dict[str, dict[str, Any]] = {"pgd": {"steps": 3, "restarts": 2}, "nes": {"steps": 3, "draws": 4}}
        attack: Any = {"fgsm": fgsm, "pgd": pgd, "nes": nes, "random_search": random_search}[kind]
        draws = {} if kind == "fgsm" else {"generator": seeded(seed)}
        return attack(network, images, labels, epsilon=0.2, norm=norm, **draws, **own.get(kind, {}))

    network.train()
    moved = run(0)
    assert network.training and all(parameter.grad is None for parameter in network.parameters())
    network.eval()
    change = (moved - images.float() / 255).flatten(1)
    length = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert float(length.max()) <= 0.2 + 1e-6 and float(length.max()) > 0.1
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    assert torch.equal(run(0), moved)
    assert kind == "fgsm" or not torch.equal(run(1), moved)


def test_restarts_keep_what_is_misclassified(network: nn.Module, unseen: tuple[Tensor, Tensor]) -> None:
    images, labels = unseen
    settings: dict[str, Any] = {"epsilon": 0.12, "steps": 2}

    def wrong(moved: Tensor) -> Tensor:
        return network(moved).argmax(1) != labels

    generator = seeded()
    single = [wrong(pgd(network, images, labels, generator=generator, **settings)) for _ in range(4)]
    together = wrong(pgd(network, images, labels, generator=seeded(), restarts=4, **settings))
    assert torch.equal(together, torch.stack(single).any(0))
    assert any(int(one.sum()) < int(together.sum()) for one in single)


def test_a_head_is_attacked_through_its_own_gradient(network: nn.Module, unseen: tuple[Tensor, Tensor]) -> None:
    images, labels = unseen

    class Standardised(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            logits = network(pixels)
            return logits / logits.std(1, keepdim=True)

    through_head = fgsm(network, images, labels, epsilon=0.1, logit_scale="standardised")
    assert torch.equal(through_head, fgsm(Standardised(), images, labels, epsilon=0.1))
    assert not torch.equal(through_head, fgsm(network, images, labels, epsilon=0.1))
    # The answer itself is the same for both logit scales.
    logits = class_logits(network(images))
    assert torch.equal(scaled(logits, "standardised").argmax(1), logits.argmax(1))


def test_normalisation_is_part_of_the_network() -> None:
    spec = InputSpec(mean=(0.2,), std=(0.5,))
    inside = pgd(Linear(WEIGHT), MIDDLE, LABELS, epsilon=0.1, norm="l2", generator=None, spec=spec)
    plain = pgd(
        Linear(WEIGHT / 0.5, -0.4 * float(WEIGHT.sum())), MIDDLE, LABELS, epsilon=0.1, norm="l2", generator=None
    )
    assert inside.numpy() == pytest.approx(plain.numpy(), abs=1e-9)


def test_a_curve_by_hand() -> None:
    # The mean of four pixels, above one half or not: one step of epsilon moves it by epsilon.
    model = Linear(torch.full((4,), 0.25, dtype=torch.double), -0.5)
    levels = torch.tensor([0.1, 0.3, 0.45, 0.55, 0.7, 0.9], dtype=torch.double)
    images, labels = levels.view(6, 1, 1, 1).expand(6, 1, 2, 2), torch.tensor([0, 0, 1, 1, 1, 1])
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    rows = robust_accuracy(model, batches, fgsm, epsilons=[0, 0.1, 0.25, 0.5])
    assert [row.clean for row in rows] == [5 / 6] * 4 and rows[0].count == 6
    assert [row.accuracy["raw"] for row in rows] == [5 / 6, 4 / 6, 2 / 6, 0] == [row.worst for row in rows]

    # An attack that breaks other images through each logit scale: only what both leave is robust.
    def blacken(
        model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, spec: Any, logit_scale: Any
    ) -> Tensor:
        chosen = labels == (0 if logit_scale == "raw" else 1)
        return torch.where(chosen.view(-1, 1, 1, 1), 1 - images, images)

    (row,) = robust_accuracy(model, batches, blacken, epsilons=[1], logit_scales=("raw", "standardised"))
    assert row.accuracy == {"raw": 3 / 6, "standardised": 2 / 6} and row.worst == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -1}, "epsilon must be at least 0"),
        ({"epsilon": 8}, r"epsilon must be at most 1 under linf, got 8; .*: 8 / 255"),
        ({"norm": "l1"}, "norm must be a known one"),
        ({"steps": 0}, "steps and step_size must be"),
        ({"step_size": 0.0}, "steps and step_size must be"),
        ({"restarts": 2}, "restarts must be 1 without a generator"),
        ({"objective": "hinge"}, "objective must be a known one"),
        ({"logit_scale": "rescaled"}, "logit_scale must be a known one"),
        ({"images": MIDDLE * 3}, r"images must be in \[0, 1\], got 1.5 to 1.5; leave the network's normalisation"),
        ({"images": MIDDLE.long()}, "images must be uint8 or floating"),
        ({"images": MIDDLE.numpy()}, "images must be a tensor .*, got ndarray"),
        ({"labels": LABELS.float()}, r"labels must be a tensor of classes int64 \[B\], of 2 images, got torch.float32"),
        ({"labels": LABELS.tolist()}, "labels must be a tensor of classes .*, got list"),
        ({"labels": LABELS[:1]}, r"labels must be a tensor of classes .*, got torch.int64 \[1\]"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments = {"images": MIDDLE, "labels": LABELS, "epsilon": 0.1, "generator": None, **change}
    with pytest.raises(InputError, match=message):
        pgd(Linear(WEIGHT), arguments.pop("images"), arguments.pop("labels"), **arguments)


def test_more_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="at least one image"):
        robust_accuracy(Linear(WEIGHT), [], fgsm, epsilons=[0.1])
    with pytest.raises(InputError, match="epsilons and logit_scales must hold"):
        robust_accuracy(Linear(WEIGHT), [], fgsm, epsilons=[])
    with pytest.raises(InputError, match="draws must be"):
        random_search(Linear(WEIGHT), MIDDLE, LABELS, epsilon=0.1, draws=0, generator=seeded())
    with pytest.raises(InputError, match="draws and width must be"):
        nes(Linear(WEIGHT), MIDDLE, LABELS, epsilon=0.1, width=0, generator=seeded())


def test_answers_that_are_not_finite_are_refused_and_not_taken_for_the_first_class() -> None:
    for bias in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"logits must be finite, got .* for image 0"):
            robust_accuracy(
                Linear(WEIGHT, bias), [(MIDDLE, LABELS)], fgsm, epsilons=[0.1], logit_scales=("standardised",)
            )

    class Broken(Linear):
        """Answers as it should, but for the images that an attack has moved far."""

        def forward(self, images: Tensor) -> Tensor:
            logits = super().forward(images)
            return logits.masked_fill((images.flatten(1) > 0.8).any(1, keepdim=True), torch.nan)

    assert robust_accuracy(Broken(WEIGHT), [(MIDDLE, LABELS)], fgsm, epsilons=[0.1])[0].count == 2
    with pytest.raises(InputError, match="logits must be finite"):
        robust_accuracy(Broken(WEIGHT), [(MIDDLE, LABELS)], fgsm, epsilons=[0.1, 0.4])
