"""Attacks against those of the adversarial robustness toolbox, and AutoAttack through it."""

from __future__ import annotations

import importlib
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments.robustness import auto_attack, fgsm, pgd

evasion = pytest.importorskip("art.attacks.evasion")
SPEC = InputSpec(mean=(0.3,), std=(0.8,))


def estimator(network: nn.Module) -> Any:
    class Normalised(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = network(prepare(images, SPEC))
            return logits

    kinds = importlib.import_module("art.estimators.classification")
    settings = {"input_shape": (1, 8, 8), "nb_classes": 10, "clip_values": (0.0, 1.0), "device_type": "cpu"}
    return kinds.PyTorchClassifier(model=Normalised().eval(), loss=nn.CrossEntropyLoss(reduction="sum"), **settings)


@pytest.mark.parametrize(("norm", "order", "epsilon"), [("linf", np.inf, 0.1), ("l2", 2, 1.5)])
def test_arts_images(
    network: nn.Module, unseen: tuple[Tensor, Tensor], norm: Any, order: float, epsilon: float
) -> None:
    images, labels = unseen
    target = estimator(network)
    single = evasion.FastGradientMethod(target, norm=order, eps=epsilon, batch_size=200)
    theirs = single.generate(images.numpy(), labels.numpy())
    ours = fgsm(network, images, labels, epsilon=epsilon, norm=norm, spec=SPEC)
    assert ours.numpy() == pytest.approx(theirs, abs=1e-5)

    iterated = evasion.ProjectedGradientDescent(
        target, norm=order, eps=epsilon, eps_step=epsilon / 4, max_iter=7, batch_size=200, verbose=False
    )
    theirs = iterated.generate(images.numpy(), labels.numpy())
    ours = pgd(
        network, images, labels, epsilon=epsilon, norm=norm, spec=SPEC, generator=None, steps=7, step_size=epsilon / 4
    )
    assert ours.numpy() == pytest.approx(theirs, abs=1e-5)
    assert float((ours - images).abs().max()) > 0.05
    for parameter in network.parameters():
        parameter.grad = None


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.6)])
def test_auto_attack(network: nn.Module, unseen: tuple[Tensor, Tensor], norm: Any, epsilon: float) -> None:
    images, labels = unseen[0][:40], unseen[1][:40]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]

    def run(seed: int) -> Tensor:
        return auto_attack(
            network,
            images,
            labels,
            epsilon=epsilon,
            norm=norm,
            generator=torch.Generator().manual_seed(seed),
            steps=10,
            restarts=1,
            queries=30,
        )

    moved = run(0)
    change = (moved - images).flatten(1)
    length = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert float(length.max()) <= epsilon * 1.0002 and float(moved.min()) >= 0 and float(moved.max()) <= 1

    def right(pixels: Tensor) -> int:
        return int((network(pixels).argmax(1) == labels).sum())

    one_step = fgsm(network, images, labels, epsilon=epsilon, norm=norm)
    assert right(moved) <= right(one_step) < right(images)
    # The streams that the toolbox shares with everybody are as they were, and yet the draws are the generator's.
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[2])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]
    assert all(bool((parameter.grad == 1).all()) for parameter in network.parameters())
    assert torch.equal(run(0), moved)
    for parameter in network.parameters():
        parameter.grad = None


def test_auto_attack_says_what_it_lacks(
    network: nn.Module, unseen: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    two = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(InputError, match="at least 3 classes"):
        auto_attack(two, *unseen, epsilon=0.1, generator=generator)
    with pytest.raises(InputError, match="epsilon must be positive"):
        auto_attack(network, *unseen, epsilon=0, generator=generator)
    assert len(auto_attack(network, unseen[0][:0], unseen[1][:0], epsilon=0.1, generator=generator)) == 0

    def missing(name: str) -> Any:
        raise ImportError(f"no module {name}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(InputError, match='pip install "rolewise'):
        auto_attack(network, *unseen, epsilon=0.1, generator=generator)
