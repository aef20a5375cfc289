"""Networks between and around given ones: mixed weights, directions, and batch-norm statistics to go with them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments.prediction import LogitScale, batches_on, predict
from rolewise.instruments.scores import accuracy, negative_log_likelihood
from rolewise.networks import device_of, evaluating

State = Mapping[str, Tensor]
Evaluation = Callable[[Sequence[State], Sequence[float]], tuple[float, float]]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns a network's parameters by name, each once, without gradients."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def weights_and_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Returns parameters and floating point buffers, such as the statistics of batch norms."""
    buffers = {name: buffer for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    return weights_of(model) | buffers


def check_alike(models: Sequence[nn.Module]) -> None:
    """Checks that networks have the same parameters and buffers.

    Raises:
        InputError: they have not; the first difference is named.
    """
    shapes = [{name: tuple(tensor.shape) for name, tensor in weights_and_buffers(model).items()} for model in models]
    for other in shapes[1:]:
        differing = [name for name in shapes[0] | other if shapes[0].get(name) != other.get(name)]
        if differing:
            name = differing[0]
            raise InputError(
                f"networks must be of one architecture, got {shapes[0].get(name)} and {other.get(name)} for {name!r}"
            )


@torch.no_grad()
def put_combination(model: nn.Module, states: Sequence[State], shares: Sequence[float]) -> None:
    """Gives a network the sum of states, each times its share; names that only some states have take those.

    A share of 0 adds nothing and one of 1 rounds nothing, so that a network comes back bit by bit. The variances of
    batch norms, which a sum may push below 0, stop there.

    Args:
        model: is changed in place.
        states: names to tensors, such as `weights_and_buffers` gives.
        shares: one for each state.
    """
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    for name in states[0]:
        total: Tensor | None = None
        for state, share in zip(states, shares, strict=True):
            if share != 0 and name in state:
                part = state[name].to(own[name]) * share
                total = part if total is None else total + part
        own[name].copy_(torch.zeros_like(own[name]) if total is None else total)
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_var is not None:
            module.running_var.clamp_(min=0)


def filter_normalised_direction(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    r"""Draws a direction in weight space whose every filter is as long as the network's own.

    .. math:: d_{ij} \leftarrow \frac{d_{ij}}{\|d_{ij}\|} \, \|\theta_{ij}\|, \quad d \sim N(0, I)

    Biases, the weights of norms and other tensors of one dimension stay where they are.

    Source: Li et al. (2018), Visualizing the loss landscape of neural nets, section 4,
    https://arxiv.org/abs/1712.09913.
    Differs from source: none; leaving out biases and norms is an option of the authors' code.

    Args:
        model: any network. A filter is what the first dimension of a weight counts.
        generator: on the CPU.

    Returns:
        Parameter's name -> tensor of its shape.
    """
    found = {}
    for name, weight in weights_of(model).items():
        drawn = torch.zeros_like(weight)
        if weight.ndim > 1:
            random = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
            rows, lengths = random.flatten(1), torch.linalg.vector_norm(weight.flatten(1), dim=1, keepdim=True)
            drawn = (rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True) * lengths).view_as(weight)
        found[name] = drawn
    return found


@torch.no_grad()
def recompute_batch_norm(
    model: nn.Module, batches: Iterable[Any], *, spec: InputSpec | None = None, device: torch.device | str | None = None
) -> None:
    """Gives a network's batch norms the mean statistics of given training images, in place.

    Between two networks the statistics of either are wrong, and a barrier may come of them alone. Nothing but the batch
    norms leaves eval mode, and their momentum is as before afterwards. A network without them stays as it is.

    Source: Izmailov et al. (2018), Averaging weights leads to wider optima, section 3.2,
    https://arxiv.org/abs/1803.05407.
    Differs from source: dropout is off.

    Args:
        model: is changed.
        batches: of (images, labels) of the *training* data, each with the same weight.
        spec: see `predict`.
        device: the images' device; None for the network's own.

    Raises:
        InputError: there is no image. The statistics are then as before, as after any other error.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]
    if not norms:
        return
    where, images = torch.device(device) if device is not None else device_of(model), None
    with evaluating(model), _cumulative(norms):
        for images, _ in batches_on(batches, where):
            # Whatever it returns: only what the norms see matters.
            model(prepare(images, spec) if spec is not None else images)
        if images is None:
            raise InputError("train_batches must give at least one image, got none")


@contextmanager
def _cumulative(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    momenta = [norm.momentum for norm in norms]
    held = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the mean over all batches
        norm.train()
    try:
        yield
    except BaseException:
        for buffer, content in held:
            buffer.copy_(content)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def evaluation_of(
    model: nn.Module,
    batches: Iterable[Any],
    train_batches: Iterable[Any] | None,
    spec: InputSpec | None,
    logit_scale: LogitScale,
    device: torch.device | str | None,
) -> Evaluation:
    """Returns a function that evaluates combinations of states, see `put_combination`, in a copy of a network.

    Args:
        model: is left as it is.
        batches: of (images, labels); read into memory once.
        train_batches: see `recompute_batch_norm`, which runs before every evaluation; None to leave it out.
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Returns:
        From states and shares to the mean cross-entropy in nats and the accuracy; NaN where the logits are not finite.
    """
    carrier, held = copy.deepcopy(model).requires_grad_(False), list(batches)
    training = list(train_batches) if train_batches is not None else None

    def evaluation(states: Sequence[State], shares: Sequence[float]) -> tuple[float, float]:
        put_combination(carrier, states, shares)
        if training is not None:
            recompute_batch_norm(carrier, training, spec=spec, device=device)
        logits, labels = predict(carrier, held, spec=spec, logit_scale=logit_scale, device=device)
        if not bool(logits.isfinite().all()):
            return math.nan, math.nan
        return negative_log_likelihood(logits, labels), accuracy(logits, labels)

    return evaluation
