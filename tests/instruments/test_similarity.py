"""Centred kernel alignment: against numpy, what it does not see, and unbiased over all small batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.kernel_alignment import cka, cka_matrix, gram, hsic


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


FIRST, SECOND = normal(20, 3, 4, seed=1), normal(20, 5, seed=2) + normal(20, 3, 4, seed=1).flatten(1)[:, :5]


def numpy_gram(features: Tensor, kernel: str, width: float) -> np.ndarray:
    flat = features.double().flatten(1).numpy()
    if kernel == "linear":
        return flat @ flat.T
    distances = pdist(flat)
    return np.exp(-(squareform(distances) ** 2) / (2 * (width * np.median(distances)) ** 2))


def numpy_hsic(first: np.ndarray, second: np.ndarray, unbiased: bool) -> float:
    n = len(first)
    if not unbiased:
        h = np.eye(n) - 1 / n
        return float(np.trace(first @ h @ second @ h)) / (n - 1) ** 2
    first, second, one = first - np.diag(np.diag(first)), second - np.diag(np.diag(second)), np.ones(n)
    parts = np.trace(first @ second) + (one @ first @ one) * (one @ second @ one) / (n - 1) / (n - 2)
    return float(parts - 2 / (n - 2) * (one @ first @ second @ one)) / (n * (n - 3))


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize(("kernel", "width"), [("linear", 0.5), ("rbf", 0.5), ("rbf", 1.3)])
def test_numpy_agrees(kernel: Any, width: float, unbiased: bool) -> None:
    grams = [numpy_gram(features, kernel, width) for features in (FIRST, SECOND)]
    cross, own, other = (numpy_hsic(grams[i], grams[j], unbiased) for i, j in ((0, 1), (0, 0), (1, 1)))
    ours = hsic(gram(FIRST, kernel, width), gram(SECOND, kernel, width), unbiased=unbiased)
    assert float(ours) == pytest.approx(cross, rel=1e-9)
    found = cka(FIRST, SECOND, kernel=kernel, width=width, unbiased=unbiased)
    assert found == pytest.approx(cross / np.sqrt(own * other), rel=1e-9)
    if kernel == "linear" and not unbiased:
        # Kornblith's form for features: no kernel at all.
        x, y = (features.double().flatten(1).numpy() for features in (FIRST, SECOND))
        x, y = x - x.mean(0), y - y.mean(0)
        form = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
        assert found == pytest.approx(form, rel=1e-9)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_what_it_does_not_see(kernel: Any, unbiased: bool) -> None:
    flat = FIRST.flatten(1).double()
    rotation = torch.linalg.qr(normal(12, 12, seed=5).double())[0]
    moved = 7 * flat @ rotation + normal(12, seed=6)
    for same in (flat, moved):
        assert cka(flat, same, kernel=kernel, unbiased=unbiased) == pytest.approx(1, abs=1e-9)
    expected = cka(flat, SECOND, kernel=kernel, unbiased=unbiased)
    assert cka(moved, SECOND, kernel=kernel, unbiased=unbiased) == pytest.approx(expected, rel=1e-7)
    assert cka(SECOND, flat, kernel=kernel, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert cka(flat[order], SECOND[order], kernel=kernel, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)
    assert cka(flat[order], SECOND, kernel=kernel, unbiased=unbiased) < expected - 0.02
    # It does see dimensions that are scaled each by its own.
    stretched = flat * torch.logspace(-1, 1, 12)
    assert cka(stretched, SECOND, kernel=kernel, unbiased=unbiased) != pytest.approx(expected, rel=1e-2)
    assert np.isnan(cka(torch.ones(20, 3), SECOND, kernel=kernel, unbiased=unbiased))


def test_the_mean_over_all_small_batches_is_the_whole() -> None:
    # An unbiased estimate of a sum over four different images: exactly so over all batches, without simulation.
    first, second = gram(FIRST[:8]), gram(SECOND[:8])
    for size in (4, 5):
        batches = [torch.tensor(chosen) for chosen in itertools.combinations(range(8), size)]
        means = {
            unbiased: np.mean([float(hsic(first[b][:, b], second[b][:, b], unbiased=unbiased)) for b in batches])
            for unbiased in (True, False)
        }
        assert means[True] == pytest.approx(float(hsic(first, second)), rel=1e-9)
        assert means[False] != pytest.approx(float(hsic(first, second, unbiased=False)), rel=1e-2)


def test_independent_features_give_nothing_on_average() -> None:
    found = {True: [], False: []}
    for seed in range(300):
        grams = gram(normal(8, 20, seed=2 * seed)), gram(normal(8, 20, seed=2 * seed + 1))
        for unbiased, values in found.items():
            values.append(float(hsic(*grams, unbiased=unbiased)))
    error = np.std(found[True]) / np.sqrt(300)
    assert abs(np.mean(found[True])) < 3 * error
    assert np.mean(found[False]) > 20 * error
    # Eight images in twenty dimensions look alike to the biased measure, whatever they are.
    assert cka(normal(8, 20, seed=1), normal(8, 20, seed=2)) > 0.6
    assert abs(cka(normal(8, 20, seed=1), normal(8, 20, seed=2), unbiased=True)) < 0.4


class Net(nn.Module):
    def __init__(self, seed: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(width * 4, 3)
        for index, parameter in enumerate(self.parameters()):
            parameter.data = normal(*parameter.shape, seed=seed + index)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.dropout(self.body(images).flatten(1)))
        return logits


def test_a_matrix_over_taps() -> None:
    first, second = Net(0, 4), Net(50, 6)
    images = torch.rand(36, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    batches = [(part, torch.zeros(len(part)).long()) for part in images.split(12)]
    spec = InputSpec(mean=(0.5,), std=(0.2,))
    found = cka_matrix(first, second, batches, first_taps=["body.0", "body", "fc"], second_spec=spec)
    assert found.first == ("body.0", "body", "fc") and found.second == ("penultimate", "logits")
    assert first.training and found.values.shape == (3, 2)
    first.eval()
    second.eval()
    for row, left in enumerate((first.body[0], first.body, first)):
        for column in range(2):
            cross, own, other = 0.0, 0.0, 0.0
            for part in images.split(12):
                seen = second.body((part - 0.5) / 0.2).flatten(1)
                right = seen if column == 0 else second.fc(seen)
                k, l = (numpy_gram(one.detach(), "linear", 1) for one in (left(part), right))  # noqa: E741
                cross += numpy_hsic(k, l, True)
                own += numpy_hsic(k, k, True)
                other += numpy_hsic(l, l, True)
            assert float(found.values[row, column]) == pytest.approx(cross / np.sqrt(own * other), abs=1e-5)
    # One batch of everything, biased, is the plain measure; a network is like itself.
    whole = [(images, torch.zeros(36).long())]
    plain = cka_matrix(first, first, whole, first_taps=["body", "fc"], second_taps=["body", "fc"], unbiased=False)
    assert plain.values.diagonal().tolist() == pytest.approx([1, 1])
    assert float(plain.values[0, 1]) == pytest.approx(float(plain.values[1, 0]), rel=1e-12)  # summed in another order
    assert plain.values[0, 1] == pytest.approx(cka(first.body(images), first(images)), abs=1e-6)


def test_rows_and_columns_keep_the_order_asked_for_whichever_layer_runs_first() -> None:
    first, second = Net(0, 4), Net(50, 6)
    images = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    batches = [(part, torch.zeros(len(part)).long()) for part in images.split(12)]
    places = ["body.0", "body", "fc"]
    forward = cka_matrix(first, second, batches, first_taps=places, second_taps=places)
    turned = cka_matrix(first, second, batches, first_taps=places[::-1], second_taps=["body", "fc", "body.0"])
    assert turned.first == ("fc", "body", "body.0") and turned.second == ("body", "fc", "body.0")
    torch.testing.assert_close(turned.values, forward.values.flip(0)[:, [1, 2, 0]])
    assert not torch.allclose(forward.values, forward.values.flip(0), atol=0.05)


def test_wrong_arguments_are_named() -> None:
    model, images = Net(0, 4), torch.rand(9, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    batches = [(part, torch.zeros(len(part)).long()) for part in images.split(6)]
    with pytest.raises(InputError, match="at least 4 images each, got 3; drop the last one"):
        cka_matrix(model, model, batches)
    with pytest.raises(InputError, match="at least one image"):
        cka_matrix(model, model, [])
    with pytest.raises(InputError, match="second_taps must name at least one"):
        cka_matrix(model, nn.Identity(), batches)
    with pytest.raises(InputError, match="must be of the same images"):
        cka(FIRST, SECOND[:4])
    with pytest.raises(InputError, match="kernel must be a known one"):
        gram(FIRST, "cosine")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="width positive"):
        gram(FIRST, "rbf", 0)
    with pytest.raises(InputError, match="n at least 4"):
        hsic(torch.eye(3), torch.eye(3))
