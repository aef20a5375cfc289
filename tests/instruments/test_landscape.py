"""The loss between and around networks: exact at the networks, symmetric, and worked by numpy where it can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from rolewise.errors import InputError
from rolewise.instruments import (
    filter_normalised_direction,
    loss_line,
    loss_plane,
    negative_log_likelihood,
    predict,
    random_loss_plane,
    recompute_batch_norm,
)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batches(seed: int, count: int = 24, size: int = 8) -> list[tuple[Tensor, Tensor]]:
    images = torch.randn(count, 2, 4, 4, generator=stream(seed))
    labels = torch.randint(3, (count,), generator=stream(seed + 100))
    return list(zip(images.split(size), labels.split(size), strict=True))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(16, 3)]
    model = nn.Sequential(*layers)
    for images, _ in batches(seed + 7):
        model(2 + images)
    return model


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 3)).double()


def linear_loss(models: list[nn.Module], shares: list[float], pairs: list[tuple[Tensor, Tensor]]) -> float:
    """Gives the loss of a sum of linear networks, in numpy."""
    w, b = (
        sum(s * tensor.detach().numpy() for s, tensor in zip(shares, tensors, strict=True))
        for tensors in ([m[1].weight for m in models], [m[1].bias for m in models])
    )
    x, y = np.concatenate([p[0].flatten(1).numpy() for p in pairs]), np.concatenate([p[1].numpy() for p in pairs])
    return float(-special.log_softmax(x @ np.asarray(w).T + b, axis=1)[np.arange(len(y)), y].mean())


def doubles(seed: int) -> list[tuple[Tensor, Tensor]]:
    return [(images.double(), labels) for images, labels in batches(seed)]


def own_loss(model: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> float:
    return negative_log_likelihood(*predict(model, pairs))


def test_the_ends_of_a_line_are_the_networks_and_it_reads_the_same_backwards() -> None:
    one, two, pairs = network(0), network(1), batches(0)
    states = [{name: value.clone() for name, value in model.state_dict().items()} for model in (one, two)]
    found, back = loss_line(one, two, iter(pairs)), loss_line(two, one, pairs)
    assert (found.loss[0], found.loss[-1]) == (own_loss(one, pairs), own_loss(two, pairs))
    torch.testing.assert_close(found.loss, back.loss.flip(0), rtol=1e-5, atol=0)
    assert torch.equal(found.accuracy, back.accuracy.flip(0)) and len(set(found.loss.tolist())) == 11
    for model, state in zip((one, two), states, strict=True):
        assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_line_of_linear_networks_by_numpy() -> None:
    models, pairs = [linear(0), linear(1)], doubles(0)
    found = loss_line(*models, pairs, positions=(-0.5, 0.0, 0.3, 1.0, 2.0))
    expected = [linear_loss(models, [1 - a, a], pairs) for a in found.positions.tolist()]
    np.testing.assert_allclose(found.loss.numpy(), expected, rtol=1e-12)
    # Cross-entropy is convex in the weights of a linear network: no barrier.
    assert found.barrier == 0


def test_a_barrier_by_hand() -> None:
    # The same function twice, its two hidden units in the other order: half way both units are their mean.
    class Pair(nn.Module):
        def __init__(self, first: float, second: float) -> None:
            super().__init__()
            self.inner = nn.Parameter(torch.tensor([first, second], dtype=torch.float64))
            self.outer = nn.Parameter(torch.tensor([first, second], dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            answer = (functional.relu(x.flatten(1)[:, :1] * self.inner) * self.outer).sum(1)
            return torch.stack([answer, -answer], 1)

    x = torch.tensor([1.0, -1.0], dtype=torch.float64).view(2, 1, 1, 1)
    found = loss_line(Pair(2, -1), Pair(-1, 2), [(x, torch.tensor([0, 1]))], positions=(0.0, 0.5, 1.0))
    # f(1) = 4 and f(-1) = -1 at the ends; half way f(1) = 2 * .5 * .5 and f(-1) = 0.
    end = (np.log1p(np.exp(-8)) + np.log1p(np.exp(-2))) / 2
    middle = (np.log1p(np.exp(-1)) + np.log(2)) / 2
    assert found.loss.tolist() == pytest.approx([end, middle, end]) and found.barrier == pytest.approx(middle - end)
    with pytest.raises(InputError, match="positions must hold 0 and 1"):
        _ = loss_line(Pair(2, -1), Pair(-1, 2), [(x, torch.tensor([0, 1]))], positions=(0.5,)).barrier


def test_a_plane_is_exact_at_its_networks_and_turns_over_with_them() -> None:
    models, pairs, grid = [network(seed) for seed in range(3)], batches(0), (-0.5, 0.0, 0.5, 1.0)
    found = loss_plane(models, pairs, first=grid, second=grid[1:])
    corners = [found.loss[1, 0], found.loss[3, 0], found.loss[1, 2]]
    assert corners == [own_loss(model, pairs) for model in models]
    turned = loss_plane([models[0], models[2], models[1]], pairs, first=grid[1:], second=grid)
    torch.testing.assert_close(found.loss, turned.loss.T, rtol=1e-5, atol=0)
    line = loss_line(models[0], models[1], pairs, positions=grid)
    torch.testing.assert_close(found.loss[:, 0], line.loss, rtol=1e-6, atol=0)
    # Distances in the plane are those of the weights.
    weights = [torch.cat([p.detach().double().flatten() for p in model.parameters()]) for model in models]
    for i in range(3):
        for j in range(3):
            distance = float((found.networks[i] - found.networks[j]).norm())
            assert distance == pytest.approx(float((weights[i] - weights[j]).norm()), rel=1e-6)
    assert torch.equal(found.points[1, 0], found.networks[0]) and torch.equal(found.points[3, 0], found.networks[1])
    torch.testing.assert_close(found.points[2, 1], found.networks[1:].mean(0))


def test_a_plane_of_linear_networks_by_numpy() -> None:
    models, pairs, grid = [linear(seed) for seed in range(3)], doubles(0), (-1.0, 0.25, 1.5)
    found = loss_plane(models, pairs, first=grid, second=grid[:2])
    expected = [[linear_loss(models, [1 - a - b, a, b], pairs) for b in grid[:2]] for a in grid]
    np.testing.assert_allclose(found.loss.numpy(), expected, rtol=1e-10)


def test_directions_have_the_filters_lengths_and_leave_biases_and_norms() -> None:
    model = network(0)
    found, again, other = (filter_normalised_direction(model, stream(seed)) for seed in (0, 0, 1))
    assert set(found) == dict(model.named_parameters()).keys()
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            assert not found[name].any()
            continue
        for row, drawn in zip(weight.detach(), found[name], strict=True):
            assert float(drawn.norm()) == pytest.approx(float(row.norm()), rel=1e-5)
        assert torch.equal(found[name], again[name]) and not torch.equal(found[name], other[name])


def test_a_plane_around_a_network_ignores_the_filters_scale() -> None:
    # Twice the weights before a batch norm are the same network: so is all around it.
    one, two, pairs, grid = network(0), network(0), batches(0), (-0.5, 0.0, 0.5)
    with torch.no_grad():
        two[0].weight.mul_(4)
        two[0].bias.mul_(4)
        two[1].running_mean.mul_(4)
        two[1].running_var.mul_(16)
        for model in (one, two):
            model[1].eps = 0.0
    around = [random_loss_plane(m, pairs, generator=stream(0), first=grid, second=grid) for m in (one, two)]
    torch.testing.assert_close(around[0].loss, around[1].loss, rtol=1e-4, atol=0)
    assert around[0].loss[1, 1] == own_loss(one, pairs) and around[0].networks.tolist() == [[0, 0]]
    assert len(set(around[0].loss.flatten().tolist())) == 9
    assert not torch.allclose(around[0].points, around[1].points)


def test_a_plane_around_a_linear_network_by_numpy() -> None:
    model, pairs = linear(0), doubles(0)
    generator = stream(3)
    steps = [linear(0), linear(0)]
    for step in steps:
        direction = filter_normalised_direction(model, generator)
        with torch.no_grad():
            step[1].weight.copy_(direction["1.weight"])
            step[1].bias.zero_()
    found = random_loss_plane(model, pairs, generator=stream(3), first=(-1.0, 0.0, 2.0), second=(0.0, 0.5))
    expected = [[linear_loss([model, *steps], [1, a, b], pairs) for b in (0.0, 0.5)] for a in (-1.0, 0.0, 2.0)]
    np.testing.assert_allclose(found.loss.numpy(), expected, rtol=1e-10)
    drift = [step[1].weight.detach() for step in steps]
    assert float(found.points[2, 1].norm()) == pytest.approx(float((2 * drift[0] + 0.5 * drift[1]).norm()))


def test_batch_norms_are_computed_as_torch_does_and_nothing_else_moves() -> None:
    model, theirs, training = network(0), network(0), batches(5)
    theirs[4].p = 0.0
    update_bn(training, theirs.train())
    momentum, before = model[1].momentum, [parameter.clone() for parameter in model.parameters()]
    recompute_batch_norm(model, training)
    torch.testing.assert_close(model[1].running_mean, theirs[1].running_mean)
    torch.testing.assert_close(model[1].running_var, theirs[1].running_var)
    assert model[1].momentum == momentum and model.training
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with pytest.raises(InputError, match="train_batches must give at least one image"):
        recompute_batch_norm(model, [])
    # What cannot be computed leaves the network as it was.
    with pytest.raises(RuntimeError, match="channels"):
        recompute_batch_norm(model, [*batches(6), (training[0][0][:, :1], training[0][1])])
    torch.testing.assert_close(model[1].running_mean, theirs[1].running_mean)
    torch.testing.assert_close(model[1].running_var, theirs[1].running_var)
    assert model[1].momentum == momentum and model.training
    recompute_batch_norm(linear(0), [])


def test_a_line_with_statistics_of_its_own_at_each_position() -> None:
    one, two, pairs, training = network(0), network(1), batches(0), batches(5)
    found = loss_line(one, two, pairs, positions=(0.0, 0.5, 1.0), train_batches=iter(training))
    for model, loss in ((one, found.loss[0]), (two, found.loss[2])):
        model[4].p = 0.0
        update_bn(training, model.train())
        assert float(loss) == pytest.approx(own_loss(model, pairs), rel=1e-6)
    plain = loss_line(network(0), network(1), pairs, positions=(0.0, 0.5, 1.0))
    assert not torch.isclose(plain.loss, found.loss).any()


def test_beyond_the_ends_variances_stop_at_none_and_overflow_is_nan() -> None:
    one, two, pairs = network(0), network(1), batches(0)
    with torch.no_grad():
        two[1].running_var.mul_(100)
    assert bool(loss_line(one, two, pairs, positions=(-1.0,)).loss.isfinite().all())
    broken = loss_line(linear(0).float(), linear(1).float(), pairs, positions=(0.0, 1.0, 1e39))
    assert broken.loss.isnan().tolist() == broken.accuracy.isnan().tolist() == [False, False, True]
    assert broken.barrier == 0
    # A network that is broken spoils nothing of which it has no part.
    with torch.no_grad():
        two[0].weight[0] = float("nan")
    half = loss_line(one, two, pairs, positions=(0.0, 0.5, 1.0))
    assert half.loss.isnan().tolist() == [False, True, True] and half.loss[0] == own_loss(one, pairs)


def test_other_inputs_are_refused() -> None:
    one, pairs = network(0), batches(0)
    with pytest.raises(InputError, match=r"networks must be of one architecture, got \(4, 2, 3, 3\) and None"):
        loss_line(one, linear(0), pairs)
    with pytest.raises(InputError, match="positions must be at least one finite number"):
        loss_line(one, network(1), pairs, positions=(0.0, float("inf")))
    with pytest.raises(InputError, match="networks must be three, got 2"):
        loss_plane([one, one], pairs)
    with pytest.raises(InputError, match="two directions must span a plane"):
        loss_plane([one, network(1), one], pairs)
    with pytest.raises(InputError, match="two directions must span a plane"):
        random_loss_plane(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(32)), pairs, generator=stream(0))
