"""The similarity of two networks' features: centred kernel alignment between layers, over a set or small batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, near, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.features import features_in
from rolewise.instruments.prediction import batches_on
from rolewise.networks import device_of
from rolewise.taps import taps_of

Kernel = Literal["linear", "rbf"]


def gram(features: Tensor, kernel: Kernel = "linear", width: float = 0.5) -> Tensor:
    r"""Returns the kernel's value for each two features.

    .. math:: \text{linear: } x_i \cdot x_j, \quad
        \text{rbf: } \exp \Big( -\frac{\lVert x_i - x_j \rVert^2}{2 \sigma^2} \Big), \quad
        \sigma = \text{width} \cdot \mathrm{median}_{i < j} \lVert x_i - x_j \rVert

    Source: Kornblith et al. (2019), section 3, https://arxiv.org/abs/1905.00414.
    Differs from source: the median leaves out each feature's distance to itself.

    Args:
        features: [N, ...].
        kernel: ``linear`` or ``rbf``.
        width: of ``rbf``, positive, in median distances.

    Returns:
        [N, N], float64.

    Raises:
        InputError: the kernel is not known, the width is not positive, or the features have another form.
    """
    if kernel not in get_args(Kernel):
        raise InputError(f"kernel must be a known one, got {kernel!r}{near(kernel, get_args(Kernel))}")
    if features.ndim < 2 or len(features) < 2 or not width > 0:
        raise InputError(
            f"features must be [N, ...] with N at least 2 and width positive, got {list(features.shape)} and {width}"
        )
    flat = features.detach().flatten(1).double()
    # Both kernels see differences alone (the linear one after centring), and without the mean less is rounded off.
    flat = flat - flat.mean(0)
    products = flat @ flat.T
    if kernel == "linear":
        return products
    squares = products.diagonal()
    distances = (squares.unsqueeze(0) + squares.unsqueeze(1) - 2 * products).clamp(min=0)
    rows, columns = torch.triu_indices(len(flat), len(flat), 1, device=flat.device)
    apart = distances[rows, columns].sqrt()
    # torch.quantile has a limit; torch.median takes the lower one of the two in the middle.
    median = apart.quantile(0.5) if len(apart) <= 2**23 else apart.median()
    if not median > 0:
        return torch.ones_like(distances)
    return torch.exp(-distances / (2 * (width * median) ** 2)).fill_diagonal_(1)


def hsic(first: Tensor, second: Tensor, *, unbiased: bool = True) -> Tensor:
    r"""Returns the Hilbert-Schmidt independence criterion of two kernels' values.

    .. math:: \mathrm{HSIC}_1 = \frac{1}{n (n - 3)} \Big( \mathrm{tr}(\tilde K \tilde L)
        + \frac{1^\top \tilde K 1 \cdot 1^\top \tilde L 1}{(n - 1)(n - 2)}
        - \frac{2}{n - 2} 1^\top \tilde K \tilde L 1 \Big)

    K~ and L~ have zeros on the diagonal. Not ``unbiased``: tr(K H L H) / (n - 1)^2, H the centring matrix.

    Source: Song et al. (2012), equation 5, https://www.jmlr.org/papers/v13/song12a.html; Gretton et al. (2005) for the
    other.
    Differs from source: none.

    Args:
        first: [n, n], symmetric.
        second: [n, n], symmetric.
        unbiased: needs n of at least 4.

    Returns:
        A number, float64; the unbiased one may be negative.

    Raises:
        InputError: the shapes differ, or n is too small.
    """
    count = len(first)
    if first.shape != second.shape or first.shape != (count, count) or count < (4 if unbiased else 2):
        raise InputError(
            f"first and second must both be [n, n] with n at least {4 if unbiased else 2}, got {list(first.shape)} and "
            f"{list(second.shape)}"
        )
    first, second = first.double(), second.double()
    if not unbiased:
        centred = first - first.mean(0, keepdim=True) - first.mean(1, keepdim=True) + first.mean()
        return (centred * second).sum() / (count - 1) ** 2
    first, second = (kernel - kernel.diagonal().diag() for kernel in (first, second))
    rows, columns = first.sum(1), second.sum(1)
    total = (
        (first * second).sum()
        + rows.sum() * columns.sum() / ((count - 1) * (count - 2))
        - 2 / (count - 2) * (rows * columns).sum()
    )
    return total / (count * (count - 3))


def cka(
    first: Tensor, second: Tensor, *, kernel: Kernel = "linear", width: float = 0.5, unbiased: bool = False
) -> float:
    r"""Returns the centred kernel alignment of two layers' features of the same images.

    .. math:: \mathrm{CKA} = \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K) \, \mathrm{HSIC}(L, L)}}

    It does not change when features are rotated, moved or scaled alike in all dimensions.

    Source: Kornblith et al. (2019), section 3, https://arxiv.org/abs/1905.00414.
    Differs from source: none.

    Args:
        first: [N, ...].
        second: [N, ...], of the same images.
        kernel: see `gram`.
        width: see `gram`.
        unbiased: whether the unbiased estimate of HSIC is used. The biased one tends to 1 where there are more
            dimensions than images.

    Returns:
        In [0, 1], the unbiased one may be a little below 0; NaN where the features do not vary.

    Raises:
        InputError: the features are not as many, or too few.
    """
    if len(first) != len(second):
        raise InputError(f"first and second must be of the same images, got {len(first)} and {len(second)}")
    grams = [gram(features, kernel, width) for features in (first, second.to(first.device))]
    cross, own, other = (hsic(grams[i], grams[j], unbiased=unbiased).view(1, 1) for i, j in ((0, 1), (0, 0), (1, 1)))
    return float(_ratio(cross, own[0], other[0]))


@dataclass(frozen=True)
class Similarity:
    """CKA between every tap of one network and every tap of another.

    Args:
        values: [A, B], float64; NaN where a layer's features do not vary.
        first: A taps of the first network.
        second: B taps of the second.
    """

    values: Tensor
    first: tuple[str, ...]
    second: tuple[str, ...]


def cka_matrix(
    first: nn.Module,
    second: nn.Module,
    batches: Iterable[Any],
    *,
    first_taps: Sequence[str] | None = None,
    second_taps: Sequence[str] | None = None,
    kernel: Kernel = "linear",
    width: float = 0.5,
    unbiased: bool = True,
    first_spec: InputSpec | None = None,
    second_spec: InputSpec | None = None,
    device: torch.device | str | None = None,
) -> Similarity:
    r"""Compares the layers of two networks, a batch at a time.

    .. math:: \mathrm{CKA} = \frac{\sum_b \mathrm{HSIC}(K_b, L_b)}
        {\sqrt{\sum_b \mathrm{HSIC}(K_b, K_b)} \sqrt{\sum_b \mathrm{HSIC}(L_b, L_b)}}

    With the unbiased HSIC and the linear kernel the three sums are right on average whatever the size of the batches.

    Source: Nguyen, Raghu, Kornblith (2021), section 2.2, https://arxiv.org/abs/2010.15327.
    Differs from source: none; ``unbiased=False`` and one batch of everything give `cka`.

    Args:
        first: any network. Neither is moved; both run in eval mode.
        second: any network; may be the first.
        batches: of (images, labels), of one size, at least 4 images each; read once.
        first_taps: names or module paths, see `rolewise.taps.resolve`; None for all
            that are named.
        second_taps: names or module paths in the second network.
        kernel: see `gram`. The median distance of ``rbf`` is each batch's own.
        width: see `gram`.
        unbiased: whether the unbiased estimate of HSIC is used.
        first_spec: the first network's input; None to feed it the images as they are, uint8 ones in [0, 1].
        second_spec: the second network's input.
        device: the images' device; None for the first network's own.

    Raises:
        InputError: a network has no taps, there is no image, or a batch is too small.
    """
    rows, columns = _names(first, first_taps, "first"), _names(second, second_taps, "second")
    where = torch.device(device) if device is not None else device_of(first)
    cross = torch.zeros(len(rows), len(columns), dtype=torch.double)
    own, other = torch.zeros(len(rows), dtype=torch.double), torch.zeros(len(columns), dtype=torch.double)
    least = 4 if unbiased else 2
    seen = 0
    for images, _ in batches_on(batches, where):
        if len(images) < least:
            raise InputError(f"batches must have at least {least} images each, got {len(images)}; drop the last one")
        seen += len(images)
        left = [gram(values, kernel, width) for values in features_in(first, images, rows, first_spec).values()]
        right = [gram(values, kernel, width) for values in features_in(second, images, columns, second_spec).values()]
        own += torch.stack([hsic(one, one, unbiased=unbiased) for one in left]).cpu()
        other += torch.stack([hsic(one, one, unbiased=unbiased) for one in right]).cpu()
        pairs = [hsic(one, two, unbiased=unbiased) for one in left for two in right]
        cross += torch.stack(pairs).cpu().view_as(cross)
    if not seen:
        raise InputError("batches must give at least one image, got none")
    return Similarity(_ratio(cross, own, other), rows, columns)


def _ratio(cross: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Returns [A, B] of cross [A, B] and both networks' own [A] and [B]; NaN where one is not positive."""
    scale = torch.where(own > 0, own, torch.nan).sqrt().unsqueeze(1) * torch.where(other > 0, other, torch.nan).sqrt()
    return cross / scale


def _names(model: nn.Module, taps: Sequence[str] | None, which: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(taps_of(model) if taps is None else values_of(taps, f"{which}_taps")))
    if not names:
        raise InputError(f"{which}_taps must name at least one layer, got none; give module paths")
    return names
