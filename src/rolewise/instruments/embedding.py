"""Features in few dimensions: principal components and t-SNE, both through scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.errors import InputError


@dataclass(frozen=True)
class Components:
    """Principal components of features.

    Args:
        points: [N, d], float64, features minus their mean, on the components.
        axes: [d, D], orthonormal.
        explained: [d], share of the variance that each component holds.
    """

    points: Tensor
    axes: Tensor
    explained: Tensor


def pca(features: Tensor, components: int = 2) -> Components:
    """Returns the directions in which features vary most; each points where its largest coordinate is positive.

    Source: Pearson (1901), https://doi.org/10.1080/14786440109462720, in scikit-learn's implementation, exact.
    Differs from source: none.

    Args:
        features: [N, ...], N at least 2.
        components: d, at least 1, at most N and D.

    Raises:
        InputError: there are too few features for so many components.
    """
    from sklearn.decomposition import PCA

    flat = _flat(features)
    if not 1 <= components <= min(flat.shape):
        raise InputError(f"components must be 1 to {min(flat.shape)} for features {list(flat.shape)}, got {components}")
    found = PCA(components, svd_solver="full")
    points = torch.from_numpy(found.fit_transform(flat.numpy()))
    axes = torch.from_numpy(found.components_)
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return Components(points * signs.T, axes * signs, torch.from_numpy(found.explained_variance_ratio_))


@dataclass(frozen=True)
class Neighbours:
    """Features as t-SNE lays them out: near ones near, with no meaning in lengths between groups.

    Args:
        points: [N, d], float32.
        divergence: Kullback-Leibler divergence that is left, in nats.
    """

    points: Tensor
    divergence: float


def tsne(
    features: Tensor, *, generator: torch.Generator, perplexity: float = 30.0, components: int = 2, steps: int = 1000
) -> Neighbours:
    """Lays features out so that near ones stay near, beginning with their principal components.

    Source: van der Maaten, Hinton (2008), https://www.jmlr.org/papers/v9/vandermaaten08a.html, in scikit-learn's
    implementation.
    Differs from source: the start, principal components instead of random points, which keeps more of the whole.

    Args:
        features: [N, ...].
        generator: gives the seed of what scikit-learn draws.
        perplexity: about how many neighbours count, positive and below N.
        components: d, 1 to 3.
        steps: of the descent, at least 250.

    Raises:
        InputError: an argument is out of its range.
    """
    from sklearn.manifold import TSNE

    flat = _flat(features)
    if not 0 < perplexity < len(flat):
        raise InputError(f"perplexity must be positive and below the {len(flat)} features, got {perplexity}")
    if components not in (1, 2, 3) or components > min(flat.shape) or steps < 250:
        raise InputError(f"components and steps must be 1 to 3 and at least 250, got {components} and {steps}")
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    found = TSNE(components, perplexity=perplexity, init="pca", random_state=seed, max_iter=steps)
    points = found.fit_transform(flat.float().numpy())
    return Neighbours(torch.from_numpy(points), float(found.kl_divergence_))


def _flat(features: Tensor) -> Tensor:
    if features.ndim < 2 or len(features) < 2 or not bool(features.isfinite().all()):
        raise InputError(f"features must be finite [N, ...] with N at least 2, got {list(features.shape)}")
    return features.detach().flatten(1).cpu().double()
