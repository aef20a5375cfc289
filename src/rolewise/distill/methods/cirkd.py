"""Cross-image relations: pixels of a batch relate to the pixels of its other images as they do in the teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from rolewise.distill.checks import check_limit, check_rows
from rolewise.distill.maps import as_map, check_places, columns, same_size
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence, unit

#: Similarities of a batch that are kept for the way back; more are computed again there, image by image.
WHOLE = 2**24


@method(
    reads="features", mixed_labels="sound", taps=("last_stage",), limits={"temperature": "temperature", "pool": "count"}
)
def cirkd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 0.1, pool: int = 1) -> Tensor:
    r"""Divergence of the similarities between the pixels of every two images, averaged over the other image.

    .. math:: \ell_b = \frac{1}{B A} \sum_{c=1}^B \sum_{a=1}^A \mathrm{KL}\big(
        \mathrm{softmax}(S^t_{bca} / T) \,\|\, \mathrm{softmax}(S^s_{bca} / T)\big), \quad
        S_{bca} = \big(\cos(f_{ba}, f_{cd})\big)_{d = 1 \ldots A}

    with A pixels of each image b, and c among all images of the batch, b itself too. The widths of the two networks
    need not agree. Time grows with (B A)^2, and memory with B A^2: tap a coarse map, or pool it.

    Source: Yang, Zhou, An, Jiang, Xu, Zhang (2022), section 3.2 (the mini-batch's part; the memory's is not here),
    https://arxiv.org/abs/2204.06709; temperature, weight and the pooling's form of the authors' code.
    Differs from source: given for each example, whose mean over the batch is the source's; larger maps are averaged
    down to the smaller; a zero feature has the cosine 0.

    Args:
        student: maps [B, D, H, W], or tokens [B, T, D], where T tokens are the places of a square.
        teacher: maps or tokens, detached.
        temperature: T > 0, dimensionless, as cosines are.
        pool: side of the windows, in places, whose means stand for their pixels; 1 for every pixel by itself.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: one of them is a vector, tokens are not the places of a square, or a number is out of range.
    """
    check_limit("temperature", temperature, "temperature")
    check_limit("pool", pool, "count")
    check_places("cirkd", student, teacher)
    check_rows(student, teacher)
    maps = same_size(as_map(student), as_map(teacher))
    window = [min(pool, side) for side in maps[0].shape[2:]]
    own, wanted = (unit(columns(functional.avg_pool2d(feature, window, ceil_mode=True))) for feature in maps)
    images, _, pixels = own.shape
    if (images * pixels) ** 2 <= WHOLE:
        return _losses(own, wanted, own, wanted, temperature)
    parts = (
        checkpoint(_losses, own[[b]], wanted[[b]], own, wanted, temperature, use_reentrant=False) for b in range(images)
    )
    return torch.cat(list(parts))


def _losses(own: Tensor, wanted: Tensor, every: Tensor, every_wanted: Tensor, temperature: float) -> Tensor:
    """Returns the loss [b] of some images, pixels [b, D, A] of unit length, beside all images [B, D, A]."""
    pairs = ((own, every), (wanted, every_wanted))
    similarities = (some.transpose(1, 2)[:, None] @ others[None] for some, others in pairs)
    predicted, target = (functional.log_softmax(each / temperature, dim=3) for each in similarities)
    return divergence(target, predicted).mean((1, 2))
