"""Logits: found in what a network gives, and divided by their own standard deviation as some losses train on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rolewise.errors import InputError


def logits_in(output: Any) -> Tensor:
    """Returns the logits in the output of a network.

    A tensor is the logits. A mapping or an object (a Hugging Face ``ModelOutput``, Inception's named tuple) has them
    under ``logits``. Of another tuple or list they are the only tensor of two dimensions; where no tensor has two, the
    only tensor of more.

    Args:
        output: of one call of the network.

    Raises:
        InputError: there are no such logits, or a tuple has several tensors that may be them.
    """
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    if isinstance(output, (tuple, list)):
        return _logits_of_sequence(output)
    got = type(output).__name__
    if isinstance(output, Mapping):
        got = f"a mapping with {', '.join(map(repr, output)) or 'nothing'}"
    raise InputError(
        f"a network must return logits [B, K], or a mapping or an object that has logits, got {got}{_WRAP}"
    )


#: The remedy where the logits cannot be told: a module around the network that picks them.
_WRAP = "; wrap it in a module whose forward returns the logits alone, as in return self.network(images)[0]"


def _logits_of_sequence(output: Sequence[Any]) -> Tensor:
    tensors = [part for part in output if isinstance(part, Tensor)]
    candidates = [part for part in tensors if part.ndim == 2] or [part for part in tensors if part.ndim > 2]
    if len(candidates) == 1:
        return candidates[0]
    shapes = ", ".join(str(list(part.shape)) if isinstance(part, Tensor) else type(part).__name__ for part in output)
    kind = f"a {type(output).__name__} of {shapes or 'nothing'}"
    raise InputError(
        f"a network must return logits [B, K], or a tuple with one tensor that can be them, got {kind}{_WRAP}"
    )


def are_probabilities(logits: Tensor) -> bool:
    """Returns whether rows are at least 0 and sum to 1, which logits do by a rare chance alone.

    Args:
        logits: [B, K].
    """
    rows = logits.detach().double()
    near_one = (rows.sum(1) - 1).abs() <= 1e-4
    return rows.shape[1] > 1 and bool((rows >= 0).all() and near_one.all())


def standardised(logits: Tensor, *, multiplier: float = 1.0, centred: bool = False) -> Tensor:
    r"""Returns each example's logits divided by their standard deviation over the classes.

    .. math:: m \, \frac{z}{s}, \quad s^2 = \frac{1}{K - 1} \sum_c (z_c - \bar z)^2

    A student that was trained on such logits (see `rolewise.distill.logit_scale_of`) has learned no scale of its own:
    its probabilities, and so its calibration, are ``softmax(standardised(z))``, or those of a temperature that is
    fitted to ``z`` on images of their own afterwards. Its accuracy is the same either way.

    Source: the loss MIXSTD in the code of Choi et al. (2023), https://arxiv.org/abs/2211.03946.
    Differs from source: logits that are constant up to rounding are divided by 1, where the source divides by 0; their
    softmax is uniform. That is where the largest distance from the mean is at most 8 machine epsilons of the largest
    logit, or the root of the least number (1e-19 in single precision).

    Args:
        logits: floating point [..., K], K at least 2; half precision is made single.
        multiplier: m, what is multiplied afterwards. With m = 1 no class gets more probability than
            exp(sqrt K) / (exp(sqrt K) + K - 1): 0.724 at K = 10, 0.9955 at K = 100.
        centred: whether the mean is taken off first, which no softmax sees.

    Returns:
        [..., K], at least single precision.

    Raises:
        InputError: there are fewer than two classes.
    """
    if not logits.ndim or logits.shape[-1] < 2:
        raise InputError(f"logits must be [..., K] of at least 2 classes, got {list(logits.shape)}")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    distance = logits - logits.mean(-1, keepdim=True)
    largest = distance.detach().abs().amax(-1, keepdim=True)
    limits = torch.finfo(logits.dtype)
    rounding = (8 * limits.eps * logits.detach().abs().amax(-1, keepdim=True)).clamp_min(limits.tiny**0.5)
    varied = largest > rounding
    # Squared in units of the largest distance, so that neither tiny nor huge logits leave the range of numbers.
    unit = torch.where(varied, largest, 1.0)
    variance = (distance / unit).square().sum(-1, keepdim=True) / (logits.shape[-1] - 1)
    deviation = torch.where(varied, variance, 1.0).sqrt() * unit
    return (distance if centred else logits) * multiplier / deviation
