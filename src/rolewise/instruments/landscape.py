"""The loss around and between networks: along a line, on a plane through three, on a plane around one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale
from rolewise.instruments.weight_space import (
    State,
    check_alike,
    evaluation_of,
    filter_normalised_direction,
    weights_and_buffers,
    weights_of,
)


@dataclass(frozen=True)
class LossLine:
    """The loss along the line through two networks.

    Args:
        positions: float64 [P]; 0 is the first network, 1 the second.
        loss: float64 [P], mean cross-entropy in nats; NaN where the logits are not finite.
        accuracy: float64 [P], in [0, 1]; likewise.
    """

    positions: Tensor
    loss: Tensor
    accuracy: Tensor

    @property
    def barrier(self) -> float:
        """The most by which the loss between exceeds the straight line of the ends, nats, at least 0; NaN where one is.

        Source: Frankle et al. (2020), Linear mode connectivity and the lottery ticket hypothesis, section 2,
        https://arxiv.org/abs/1912.05671; the straight line is that of Entezari et al. (2022),
        https://arxiv.org/abs/2110.06296.

        Raises:
            InputError: 0 or 1 is not among the positions.
        """
        ends = [self.loss[self.positions == end] for end in (0, 1)]
        if not all(map(len, ends)):
            raise InputError(f"positions must hold 0 and 1 for a barrier, got {self.positions.tolist()}")
        between = (self.positions >= 0) & (self.positions <= 1)
        straight = (1 - self.positions) * ends[0][0] + self.positions * ends[1][0]
        return float((self.loss - straight)[between].max().clamp(min=0))


@dataclass(frozen=True)
class LossPlane:
    """The loss on a plane of networks.

    Args:
        first: float64 [R], shares of the first direction.
        second: float64 [S], shares of the second.
        loss: float64 [R, S], mean cross-entropy in nats; NaN where the logits are not finite.
        accuracy: float64 [R, S], in [0, 1]; likewise.
        points: float64 [R, S, 2], where each network stands in the plane, in distances of weights: the origin is the
            given or first network, the first axis runs along the first direction, the second at a right angle.
        networks: float64 [M, 2], where the given networks stand.
    """

    first: Tensor
    second: Tensor
    loss: Tensor
    accuracy: Tensor
    points: Tensor
    networks: Tensor


def loss_line(
    first: nn.Module,
    second: nn.Module,
    batches: Iterable[Any],
    *,
    positions: Sequence[float] | None = None,
    train_batches: Iterable[Any] | None = None,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> LossLine:
    r"""Returns the loss along the line through two networks of one architecture.

    .. math:: \ell(\theta(a)), \quad \theta(a) = (1 - a) \, \theta_0 + a \, \theta_1

    The statistics of batch norms go along, so that the ends are the networks themselves, bit by bit; or they are
    computed anew at every position, which then changes the ends as well.

    Source: Goodfellow, Vinyals, Saxe (2015), Qualitatively characterizing neural network optimization problems,
    section 3, https://arxiv.org/abs/1412.6544.

    Args:
        first: a classifier; it is left as it is.
        second: a network of the same architecture.
        batches: of (images, labels) to take the loss of; read into memory once.
        positions: a; None for eleven from 0 to 1.
        train_batches: of training images, to compute batch norms' statistics of; None to interpolate these.
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; the copy that is evaluated stays on the first network's.

    Raises:
        InputError: the networks differ in shape, a position is not finite, or as in `predict`.
    """
    check_alike([first, second])
    where = _numbers("positions", positions if positions is not None else [index / 10 for index in range(11)])
    evaluation = evaluation_of(first, batches, train_batches, spec, logit_scale, device)
    states = [weights_and_buffers(first), weights_and_buffers(second)]
    found = torch.tensor([evaluation(states, (1 - a, a)) for a in where.tolist()], dtype=torch.float64)
    return LossLine(where, found[:, 0], found[:, 1])


def loss_plane(
    networks: Sequence[nn.Module],
    batches: Iterable[Any],
    *,
    first: Sequence[float] = (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25),
    second: Sequence[float] = (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25),
    train_batches: Iterable[Any] | None = None,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> LossPlane:
    r"""Returns the loss on the plane through three networks of one architecture.

    .. math:: \ell(\theta(a, b)), \quad \theta(a, b) = (1 - a - b) \, \theta_0 + a \, \theta_1 + b \, \theta_2

    The networks stand at (0, 0), (1, 0) and (0, 1), where the loss is their own, bit by bit.

    Source: Garipov et al. (2018), Loss surfaces, mode connectivity, and fast ensembling of DNNs, appendix,
    https://arxiv.org/abs/1802.10026.
    Differs from source: the grid follows the two sides of the triangle, so that it meets the networks; ``points`` gives
    where its nodes stand at right angles.

    Args:
        networks: three classifiers, not on one line; they are left as they are.
        batches: see `loss_line`.
        first: a, of the direction from the first network to the second.
        second: b, from the first to the third.
        train_batches: see `loss_line`.
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Raises:
        InputError: there are not three, they differ in shape or stand on one line, or as in `loss_line`.
    """
    if len(networks) != 3:
        raise InputError(f"networks must be three, got {len(networks)}")
    check_alike(networks)
    states, weights = [weights_and_buffers(model) for model in networks], [weights_of(model) for model in networks]
    sides = [{name: other[name] - weights[0][name] for name in other} for other in weights[1:]]
    evaluation = evaluation_of(networks[0], batches, train_batches, spec, logit_scale, device)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    return _plane(lambda a, b: evaluation(states, (1 - a - b, a, b)), first, second, sides, corners)


def random_loss_plane(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    generator: torch.Generator,
    first: Sequence[float] = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0),
    second: Sequence[float] = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0),
    train_batches: Iterable[Any] | None = None,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> LossPlane:
    r"""Returns the loss on a plane around a network, along two random directions with its filters' lengths.

    .. math:: \ell(\theta + a \, d + b \, d')

    A unit is a change of each filter by its own length, so that networks whose weights differ in scale compare.

    Source: Li et al. (2018), Visualizing the loss landscape of neural nets, section 4,
    https://arxiv.org/abs/1712.09913; see `filter_normalised_direction`.

    Args:
        model: a classifier; it is left as it is.
        batches: see `loss_line`.
        generator: on the CPU; draws d, then d'.
        first: a.
        second: b; ``(0.0,)`` for a line.
        train_batches: see `loss_line`; None keeps the network's own statistics.
        spec: see `predict`.
        logit_scale: the scale of the logits, see `predict`.
        device: the images' device; None for the network's own.

    Raises:
        InputError: as in `loss_line`, or the network has no weight of two dimensions or more.
    """
    directions = [filter_normalised_direction(model, generator) for _ in range(2)]
    states = [weights_and_buffers(model), *directions]
    evaluation = evaluation_of(model, batches, train_batches, spec, logit_scale, device)
    origin = torch.zeros(1, 2, dtype=torch.float64)
    return _plane(lambda a, b: evaluation(states, (1, a, b)), first, second, directions, origin)


def _plane(
    evaluated: Callable[[float, float], tuple[float, float]],
    first: Sequence[float],
    second: Sequence[float],
    sides: Sequence[State],
    networks: Tensor,
) -> LossPlane:
    rows, columns = _numbers("first", first), _numbers("second", second)
    one, two = (torch.cat([tensor.double().flatten().cpu() for tensor in side.values()]) for side in sides)
    length = float(one.norm())
    along = float(one @ two) / length if length else 0.0
    across = float((two - along / length * one).norm()) if length else 0.0
    if across <= 1e-6 * max(length, abs(along)):
        raise InputError(f"the two directions must span a plane, got lengths {length:.3g} and {across:.3g} across it")
    axes = torch.tensor([[length, 0.0], [along, across]], dtype=torch.float64)
    found = torch.tensor([[evaluated(a, b) for b in columns.tolist()] for a in rows.tolist()], dtype=torch.float64)
    points = torch.cartesian_prod(rows, columns).view(len(rows), len(columns), 2) @ axes
    return LossPlane(rows, columns, found[..., 0], found[..., 1], points, networks @ axes)


def _numbers(name: str, values: Sequence[float]) -> Tensor:
    values = values_of(values, name)
    if not values or not all(math.isfinite(value) for value in values):
        raise InputError(f"{name} must be at least one finite number, got {list(values)}")
    return torch.tensor(values, dtype=torch.float64)
