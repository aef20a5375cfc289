"""Data of which each class has two views, either of which is enough for it; some examples lack one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.seeds import generator


@dataclass(frozen=True)
class ViewData:
    """Examples of the multi-view model.

    Args:
        patches: [N, P, D], float64.
        labels: [N], int64.
    """

    patches: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ViewModel:
    r"""The distribution of examples, each of which consists of patches.

    Every class has two features, all orthonormal in D dimensions. A patch is a weighted feature and noise. An example
    with both views has both features of its class, each with weight in [1, 1.5]; with one view it lacks one of them.
    Features of other classes have weight in [0.2, 0.4] where both views are there, each with probability
    :math:`s / 2k`, and in [0, faint] where one is missing.

    Source: Allen-Zhu and Li (2023), Definition 3.1, https://arxiv.org/abs/2012.09816, as summaries of it have
    it: a reconstruction. Sizes and weights are smaller, for a CPU.

    Args:
        features: [K, 2, D], orthonormal.
        patches: P.
        others: s, the expected number of features of other classes.
        faint: largest weight of other classes' features in examples with one view.
        noise: standard deviation of the noise.
    """

    features: Tensor
    patches: int
    others: float
    faint: float
    noise: float

    def examples(self, count: int, single: float, draws: torch.Generator) -> ViewData:
        """Draws examples.

        Args:
            count: N.
            single: share of the examples that lack a view, the first of them.
            draws: generator of all draws.
        """
        classes, _, width = self.features.shape
        labels = torch.randint(classes, (count,), generator=draws)
        lacks = torch.arange(count) < round(single * count)
        own = 1 + 0.5 * _uniform(draws, count, 2)
        missing = torch.randint(2, (count,), generator=draws)
        own[lacks, missing[lacks]] = 0
        weights = torch.where(
            lacks[:, None, None],
            self.faint * _uniform(draws, count, classes, 2),
            0.2 + 0.2 * _uniform(draws, count, classes, 2),
        )
        weights *= _uniform(draws, count, classes, 2) < self.others / (2 * classes)
        weights[torch.arange(count), labels] = own
        # Each feature stands in a patch of its own; the two of the example's class never share one.
        order = _uniform(draws, count, self.patches).argsort(dim=1)
        places = order[:, torch.arange(2 * classes) % self.patches].reshape(count, classes, 2)
        first, second = order[:, 0], order[:, 1]
        places[torch.arange(count), labels] = torch.stack([first, second], dim=1)
        patches = self.noise * torch.randn(count, self.patches, width, generator=draws, dtype=torch.float64)
        parts = weights[..., None] * self.features
        patches.scatter_add_(
            1,
            places.reshape(count, -1, 1).expand(-1, -1, width),
            parts.reshape(count, -1, width),
        )
        return ViewData(patches, labels)


def view_model(
    classes: int, width: int, patches: int, others: float, faint: float, noise: float, seed: int
) -> ViewModel:
    """Returns a model whose features are drawn at random.

    Args:
        classes: K.
        width: D, at least 2 K.
        patches: P, at least 2.
        others: expected number of features of other classes in an example with both views.
        faint: largest weight of those in an example with one view.
        noise: standard deviation of the noise.
        seed: of the features.
    """
    draws = generator(seed, "multi view", "features")
    rows, _ = torch.linalg.qr(torch.randn(width, 2 * classes, generator=draws, dtype=torch.float64))
    return ViewModel(rows.T.reshape(classes, 2, width).contiguous(), patches, others, faint, noise)


def _uniform(draws: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=draws, dtype=torch.float64)
