"""The attention from one stage of a network to the next, over the images of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Of each pair of stages, in the code that role-wise distillation released; the paper's own code has 8.
HEADS = 4


class Projection(nn.Module):
    """A linear map, standardised over the batch that it is given, whatever network that came from.

    There are no running statistics: training and evaluation compute the same, and one example alone gives zeros.

    Args:
        width: of what comes in.
        out: of what goes out.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)  # the mean is taken off again
        self.gain = nn.Parameter(torch.ones(out))
        self.shift = nn.Parameter(torch.zeros(out))

    def forward(self, vectors: Tensor, *, frozen: bool = False) -> Tensor:
        """Returns [B, out] of vectors [B, width]; nothing goes back to the weights where they are ``frozen``."""
        weights = self.linear.weight, self.gain, self.shift
        # In the vectors' precision, which is at least single, also where the weights have been made half.
        weight, gain, shift = ((value.detach() if frozen else value).to(vectors.dtype) for value in weights)
        mapped = functional.linear(vectors, weight)
        centred = mapped - mapped.mean(0)
        return centred * (centred.square().mean(0) + 1e-5).rsqrt() * gain + shift


class Link(nn.Module):
    """The attention from one stage to the next, and the estimate of the later vectors out of the earlier.

    Args:
        before: D of the earlier stage.
        after: D' of the later one.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.width = (before + after) // 2
        self.sender = Projection(after, HEADS * self.width)
        self.receiver = Projection(before, HEADS * self.width)
        self.value = Projection(before, self.width)
        self.out = nn.Linear(self.width, HEADS * after)

    def graph(self, before: Tensor, after: Tensor, *, frozen: bool) -> Tensor:
        """Returns the attention of each image's later vector to each earlier one: [heads, B, B], before any softmax."""
        sent, received = self.sender(after, frozen=frozen), self.receiver(before, frozen=frozen)
        shape = len(after), HEADS, self.width
        return torch.bmm(sent.view(shape).movedim(1, 0), received.view(shape).permute(1, 2, 0))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Returns for each image 1 - cos of its later vector and the estimate, the mean over heads: [B]."""
        attention = self.graph(before, after, frozen=False).softmax(2)
        gathered = attention @ self.value(before).relu()
        weight = self.out.weight.to(after.dtype).view(HEADS, after.shape[1], self.width)
        bias = self.out.bias.to(after.dtype).view(HEADS, 1, after.shape[1])
        estimates = torch.baddbmm(bias, gathered, weight.mT)
        return (1 - functional.cosine_similarity(estimates, after.unsqueeze(0), dim=2)).mean(0)
