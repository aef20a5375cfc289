"""Real samples for generators: a ring of Gaussians and small pictures, and the space in which they are compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.data import read
from rolewise.instruments.features import features_in
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.seeds import derive_seed, generator
from rolewise.systems.digit_bench import trained

#: Real samples that are learned from, and that generated ones are compared with.
_LEARNED, _COMPARED = 4000, 1000
_EPOCHS_OF_CLASSIFIER = 2


@dataclass(frozen=True)
class SampleData:
    """Real samples, and the space in which generated ones are compared with them.

    Args:
        real: [N, D], to learn from.
        held_out: [M, D], to compare with.
        features: samples [B, D] -> features [B, F], in which distances are measured.
        mode_of: samples [B, D] -> int64 [B], the mode that a sample belongs to.
        modes: number of modes.
    """

    real: Tensor
    held_out: Tensor
    features: Callable[[Tensor], Tensor]
    mode_of: Callable[[Tensor], Tensor]
    modes: int


def ring_of_gaussians(modes: int, radius: float, spread: float, seed: int) -> SampleData:
    """Returns a mixture of equal Gaussians in the plane, whose centres stand on a circle.

    Args:
        modes: number of Gaussians.
        radius: of the circle.
        spread: standard deviation of each Gaussian in both directions.
        seed: of the samples.
    """
    angles = torch.arange(modes) * (2 * math.pi / modes)
    centres = radius * torch.stack([angles.cos(), angles.sin()], dim=1)

    def drawn(name: str, count: int) -> Tensor:
        draws = generator(seed, "ring", name)
        noise = torch.randn(count, 2, generator=draws)
        return centres[torch.arange(count) % modes] + spread * noise

    def nearest(samples: Tensor) -> Tensor:
        return torch.cdist(samples, centres).argmin(dim=1)

    return SampleData(drawn("real", _LEARNED), drawn("held out", _COMPARED), lambda samples: samples, nearest, modes)


def fashion_pictures(seed: int, context: JobContext) -> SampleData:
    """Returns pictures of Fashion-MNIST as vectors in [-1, 1], compared in the features of a small classifier.

    Args:
        seed: of the pictures and of the classifier.
        context: the surroundings of the classifier's training.

    Raises:
        InputError: the data are not there.
    """
    data = read("fashion_mnist").train
    rows = torch.randperm(len(data), generator=generator(seed, "pictures"))[: _LEARNED + _COMPARED]
    images, labels = data.batch(rows).float() / 255, data.labels[rows]
    weights = derive_seed(seed, "pictures", "classifier")
    classifier = build("cnn28", num_classes=10, channels=1, size=(28, 28), seed=weights, widths=[8, 16, 32])
    known = images[:_LEARNED], labels[:_LEARNED]
    trained(classifier, known, _EPOCHS_OF_CLASSIFIER, context, seed=seed, learning_rate=0.005)

    def pixels(samples: Tensor) -> Tensor:
        return (samples.reshape(-1, 1, 28, 28) + 1) / 2

    def features(samples: Tensor) -> Tensor:
        return features_in(classifier, pixels(samples), ["penultimate"])["penultimate"]

    @torch.no_grad()
    def mode_of(samples: Tensor) -> Tensor:
        found: Tensor = classifier(pixels(samples)).argmax(dim=1)
        return found

    vectors = images.flatten(1) * 2 - 1
    return SampleData(vectors[:_LEARNED], vectors[_LEARNED:], features, mode_of, 10)
