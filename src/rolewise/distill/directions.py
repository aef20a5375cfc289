"""The direction in channel space that most of an image's features lie along, with a gradient that stays finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rolewise.distill.checks import check_rows
from rolewise.distill.maps import columns
from rolewise.errors import InputError

#: Sum of squares at or below which features count as zero: they have no direction.
NOTHING = 1e-24


def leading_direction(features: Tensor) -> Tensor:
    r"""Returns the first right singular vector of each image's features, without a gradient.

    .. math:: F_b = U \Sigma V^\top, \quad F_b \in \mathbb{R}^{HW \times D}, \quad v_b = V_{\cdot 1}

    A singular vector's sign is free; here its entries sum to at least zero, which is what those of features behind a
    ReLU do by themselves.

    Args:
        features: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D]; float32 or float64.

    Returns:
        [B, D], of unit length, or zero where the features are; NaN where they are not finite.

    Raises:
        InputError: they are none of these.
    """
    with torch.no_grad():
        _, vectors, _, found = _spectrum(_columns(features))
        first = vectors[:, :, 0]
        first = torch.where(first.sum(1, keepdim=True) < 0, -first, first)
        return first * found


def aligned_direction(features: Tensor, target: Tensor, *, candidates: int = 4) -> Tensor:
    r"""Returns the one of each image's first right singular vectors that lies closest to a target's line.

    .. math:: j = \arg\max_{i \le k} |v_i \cdot t|, \quad \hat v = \mathrm{sign}(v_j \cdot t) \, v_j

    The gradient is that of a simple eigenvector of the Gram matrix, and differs from it only where another eigenvalue
    comes as near as the square root of the precision, relative to their sum:

    .. math:: \frac{1}{\lambda_j - \lambda_i} \to \frac{\lambda_j - \lambda_i}{(\lambda_j - \lambda_i)^2 + \epsilon}

    So it is bounded where singular values meet, where the vector itself is arbitrary within their plane.

    Args:
        features: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D]; float32 or float64.
        target: [B, D], detached.
        candidates: k, how many singular vectors are looked at; those of singular value zero are not.

    Returns:
        [B, D], of unit length, or zero where the features are; NaN where they are not finite.

    Raises:
        InputError: the shapes do not fit.
    """
    columns = _columns(features)
    check_rows(features, target)
    if target.shape != columns.shape[:2]:
        raise InputError(f"target must be directions [B, D] of the same width, got {list(target.shape)}")
    direction: Tensor = _Aligned.apply(columns, target, candidates)  # type: ignore[no-untyped-call]
    return direction


class _Aligned(torch.autograd.Function):
    """`aligned_direction` of columns [B, D, N]."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, target: Tensor, candidates: int) -> Tensor:
        """Takes the eigenvectors of the Gram matrix, and keeps them for the way back."""
        values, vectors, total, found = _spectrum(columns)
        near = values[:, :candidates]
        cosines = torch.einsum("bdk,bd->bk", vectors[:, :, :candidates], target)
        # Vectors of singular value zero are whatever the solver liked; the first is taken even then.
        real = near > near.shape[1] * torch.finfo(near.dtype).eps * near[:, :1]
        index = torch.where(real, cosines.abs(), -1.0).argmax(1, keepdim=True)
        sign = torch.where(cosines.gather(1, index) < 0, -1.0, 1.0).to(columns.dtype) * found
        chosen = vectors.gather(2, index.unsqueeze(1).expand(-1, vectors.shape[1], -1)).squeeze(2)
        ctx.save_for_backward(columns, values, vectors, index, chosen, sign, total)
        return chosen * sign

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Goes through the resolvent (lambda_j - G)^+ of the normalised Gram matrix G, then through G itself."""
        columns, values, vectors, index, chosen, sign, total = ctx.saved_tensors
        gradient = gradient * sign
        own = values.gather(1, index)
        soft = torch.finfo(values.dtype).eps
        gaps = own - values
        inverse = gaps / (gaps.square() + soft)
        # Directions that no vector stands for have eigenvalue zero; the chosen one's own is left out.
        rest = own / (own.square() + soft)
        shares = torch.einsum("bdk,bd->bk", vectors, gradient)
        shares = shares * (inverse.scatter(1, index, 0.0) - rest)
        moved = rest * gradient + torch.einsum("bdk,bk->bd", vectors, shares)
        moved = torch.where(total > NOTHING, moved / total.clamp_min(NOTHING), 0.0)
        one, other = torch.stack([chosen, moved], 2), torch.stack([moved, chosen], 2)
        return torch.bmm(other, torch.bmm(one.mT, columns)), None, None


def _spectrum(columns: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns eigenvalues [B, m], falling and of sum 1, eigenvectors [B, D, m], and two columns [B, 1].

    The smaller of the two Gram matrices is taken, m = min(D, N). The columns are the sum of squares, and 1 where there
    is a direction, 0 where not, NaN where the features are not finite: those must not reach the solver, which raises
    on them, while the training's own check names the step and the term.
    """
    wide = columns.shape[1] > columns.shape[2]
    gram = torch.bmm(columns.mT, columns) if wide else torch.bmm(columns, columns.mT)
    total = gram.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
    usable = (total > NOTHING) & total.isfinite()
    found = torch.where(usable, 1.0, total * 0.0)
    gram = torch.where(usable.unsqueeze(2), gram / torch.where(usable, total, 1.0).unsqueeze(2), 0.0)
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(1).clamp_min(0.0), vectors.flip(2)
    if wide:
        vectors = torch.bmm(torch.where(usable.unsqueeze(2), columns, 0.0), vectors)
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        # What is no longer than rounding is no direction; zeros put it among those that no vector stands for.
        shortest = torch.finfo(lengths.dtype).eps ** 0.5 * total.clamp_min(NOTHING).sqrt().unsqueeze(2)
        vectors = torch.where(lengths > shortest, vectors / lengths.clamp_min(1e-30), 0.0)
    return values, vectors, total, found


def _columns(features: Tensor) -> Tensor:
    if features.ndim not in (2, 3, 4):
        raise InputError(
            f"features must be maps [B, D, H, W], tokens [B, T, D] or vectors [B, D] to have a direction, got "
            f"{list(features.shape)}; choose other taps"
        )
    return columns(features)
