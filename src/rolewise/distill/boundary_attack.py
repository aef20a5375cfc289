"""Samples across a network's boundary: the images that are moved, where to, and the attack that moves them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, at_least_float32
from rolewise.distill.running import unmoved
from rolewise.distill.term import NetworkRun
from rolewise.networks import evaluating


def base_samples(student: Tensor, teacher: Tensor, labels: Tensor, most: int) -> Tensor:
    """Returns the rows of examples that both networks have right, int64 [M], in their order.

    Args:
        student: logits [B, K].
        teacher: logits [B, K].
        labels: int64 [B].
        most: of them; those stay on whose other classes the probabilities differ most in square.
    """
    right = (student.argmax(1) == labels) & (teacher.argmax(1) == labels)
    rows = right.nonzero()[:, 0]
    if len(rows) > most:
        apart = (teacher[rows].softmax(1) - student[rows].softmax(1)).square()
        score = apart.sum(1) - apart.gather(1, labels[rows, None])[:, 0]
        rows = rows[score.argsort(descending=True, stable=True)[:most]].sort().values
    return rows


def drawn_classes(teacher: Tensor, draws: torch.Generator) -> Tensor:
    """Returns a class [M] for each example other than the teacher's first, drawn by the teacher's probabilities.

    Args:
        teacher: logits [M, K].
        draws: generator on the CPU.
    """
    first = teacher.argmax(1, keepdim=True)
    others = teacher.detach().scatter(1, first, float("-inf")).softmax(1)
    return torch.multinomial(others.cpu(), 1, generator=draws)[:, 0].to(teacher.device)


def boundary_samples(run: NetworkRun, inputs: Tensor, rows: Tensor, wanted: Tensor, step: float, steps: int) -> Tensor:
    """Moves inputs towards other classes until the network has them wrong.

    Args:
        run: of the network that is attacked, in eval mode here.
        inputs: [B, ...], floating point; their range is that of the samples.
        rows: int64 [M], the inputs to move.
        wanted: int64 [M], the class that each is moved to.
        step: length of a step by the difference of logits.
        steps: most steps.

    Returns:
        The samples, [M, ...].
    """
    low, high = inputs.min(), inputs.max()
    samples = inputs[rows]
    own: Tensor | None = None
    for _ in range(steps):
        # In evaluation there are no gradients, and the attack needs them.
        with torch.enable_grad(), evaluating(run.network), unmoved([run.network]):
            samples = samples.detach().requires_grad_()
            logits = logits_of_run(run, samples)
            first = logits.argmax(1)
            own = first if own is None else own
            ahead = logits.gather(1, wanted[:, None])[:, 0] - logits.gather(1, own[:, None])[:, 0]
            (slope,) = torch.autograd.grad(ahead.sum(), samples)
        still = (first == own).to(samples.dtype)
        samples = samples.detach()
        if not still.any():
            break
        length = still * step * (1e-4 - ahead.detach().to(samples.dtype))
        unit = functional.normalize(slope.flatten(1), dim=1).reshape(slope.shape)
        samples = (samples + length.reshape(-1, *[1] * (samples.ndim - 1)) * unit).clamp(low, high)
    return samples


def logits_of_run(run: NetworkRun, inputs: Tensor) -> Tensor:
    """Returns the logits [B, K] of a network for inputs, in at least single precision.

    Args:
        run: of the network.
        inputs: [B, ...].
    """
    found: Tensor = at_least_float32(run(Batch(inputs)).logits)
    return found
