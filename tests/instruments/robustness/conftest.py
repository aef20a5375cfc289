"""A small classifier of the embedded digits, and images that it has not seen."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    """Images [N, 1, 8, 8] in [0, 1] and their labels."""
    data = load_digits()
    return torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(data.target)


@pytest.fixture(scope="session")
def network(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """A network of two layers, right on 90% and more."""
    images, labels = digits
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(8):
        for batch in torch.randperm(1200, generator=generator).split(50):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    for parameter in model.parameters():
        parameter.grad = None
    return model.eval()


@pytest.fixture(scope="session")
def unseen(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A hundred images and labels that the network has not seen."""
    return digits[0][1300:1400], digits[1][1300:1400]
