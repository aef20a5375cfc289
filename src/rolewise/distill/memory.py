"""Memories of terms: a vector for each example of a source, and a queue of the newest vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill.checks import check_limit
from rolewise.errors import InputError


class Bank(nn.Module):
    r"""A vector for each example of a source, which follows the vectors that steps give it.

    .. math:: v_i \leftarrow \frac{m \, v_i + (1 - m) \, x_i}{\lVert m \, v_i + (1 - m) \, x_i \rVert}

    The first values are drawn as a layer's initial weights are: uniform, of mean squared length 1. All are a buffer,
    ``values`` [N, D], and so travel in the state dict.

    Args:
        examples: N.
        width: D.
        momentum: m, at least 0 and below 1.

    Raises:
        InputError: a number is out of range.
    """

    values: Tensor

    def __init__(self, examples: int, width: int, momentum: float = 0.5) -> None:
        super().__init__()
        check_limit("width", width, "count")
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum < 1:
            raise InputError.at(("momentum",), f"must be at least 0 and below 1, got {momentum!r}")
        self.momentum = float(momentum)
        bound = 1 / math.sqrt(width / 3)
        self.register_buffer("values", nn.init.uniform_(torch.empty(examples, width), -bound, bound))

    def products(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """Returns the products [B, M] of vectors [B, D] with the values of rows, int64 [B, M]; no gradient to those."""
        values = self.values.to(vectors.dtype)
        # Whichever holds fewer numbers: the products with all values, or a copy of the values for each product.
        if len(values) <= values.shape[1] * rows.shape[1]:
            return (vectors @ values.T).gather(1, rows)
        return torch.einsum("bd,bmd->bm", vectors, values[rows])

    @torch.no_grad()
    def update(self, indices: Tensor, vectors: Tensor) -> None:
        """Moves the values of some examples.

        Args:
            indices: int64 [B], which; each once.
            vectors: [B, D], of unit length.
        """
        indices = indices.to(self.values.device)
        mixed = self.momentum * self.values[indices] + (1 - self.momentum) * vectors.to(self.values.dtype)
        self.values[indices] = functional.normalize(mixed, dim=1)


class Queue(nn.Module):
    """The newest vectors of a training: each step's take the place of the oldest.

    Before it is full, what has not been written yet is random directions. Buffers are the vectors, ``values`` [S, D],
    and ``written``, how many have been written ever, int64; both travel in the state dict.

    Args:
        size: S.
        width: D.

    Raises:
        InputError: a number is out of range.
    """

    values: Tensor
    written: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        check_limit("size", size, "count")
        check_limit("width", width, "count")
        drawn = functional.normalize(nn.init.normal_(torch.empty(size, width)), dim=1)
        self.register_buffer("values", drawn)
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, vectors: Tensor) -> None:
        """Writes vectors [B, D] over the oldest; of more than S the last S stay."""
        size = len(self.values)
        places = torch.arange(len(vectors), device=vectors.device)[-size:] + self.written
        self.values[places % size] = vectors[-size:].to(self.values.dtype)
        self.written += len(vectors)
