"""Entropy, linearity gap and slopes against scipy, numpy, full Jacobians and networks worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from logit_cases import answers
from scipy import special, stats
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments import (
    input_gradient_norm,
    jacobian_norm,
    linearity_gap,
    mean_entropy,
    sampled_lipschitz,
)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 3, 3, generator=stream(1), dtype=torch.float64)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(9, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 4)]
    return nn.Sequential(*layers).double()


def linear(scale: float = 1.0) -> tuple[nn.Module, np.ndarray]:
    layer = nn.Linear(9, 4, bias=False).double()
    weight = scale * torch.randn(4, 9, generator=stream(2), dtype=torch.float64)
    layer.weight = nn.Parameter(weight)
    return nn.Sequential(nn.Flatten(), layer), weight.numpy()


def batches(count: int, size: int) -> list[tuple[Tensor, Tensor]]:
    labels = torch.randint(4, (count,), generator=stream(3))
    return list(zip(images(count).split(size), labels.split(size), strict=True))


def test_entropy_is_scipys() -> None:
    logits, _ = answers(0)
    assert mean_entropy(logits) == pytest.approx(stats.entropy(logits.softmax(1).numpy(), axis=1).mean())
    assert mean_entropy(torch.zeros(2, 8)) == pytest.approx(math.log(8))
    # Probabilities that are 0 in float64 add nothing.
    assert mean_entropy(torch.tensor([[0.0, 5000.0]])) == 0


def test_the_linearity_gap_of_two_images_by_numpy() -> None:
    model, weight = linear()
    (pair,) = batches(2, 2)
    x = pair[0].flatten(1).numpy()
    found = linearity_gap(model, [pair], generator=stream(0), ratios=(0.2, 0.5))
    for ratio, gap in zip(found.ratios, found.gap.tolist(), strict=True):
        both = []
        for first, second in ((0, 1), (1, 0)):
            p = special.softmax(weight @ (ratio * x[first] + (1 - ratio) * x[second]))
            q = ratio * special.softmax(weight @ x[first]) + (1 - ratio) * special.softmax(weight @ x[second])
            both.append(stats.entropy(p, q))
        assert gap == pytest.approx(np.mean(both), abs=1e-12)
    assert found.pairs == 2 and found.mean == pytest.approx(float(found.gap.mean()))


class Affine(nn.Module):
    """Its probabilities, not its logits, are affine in the image."""

    def forward(self, x: Tensor) -> Tensor:
        share = x.flatten(1).mean(1)
        return torch.stack([share, 1 - share], 1).log()


def test_the_gap_is_none_at_the_ends_and_of_a_network_that_is_linear_in_probability() -> None:
    ends = linearity_gap(network(), batches(9, 4), generator=stream(0), ratios=(0.0, 0.5, 1.0))
    assert ends.gap[[0, 2]].tolist() == pytest.approx([0, 0], abs=1e-12) and ends.gap[1] > 1e-7
    # Of nine images in fours the last is alone.
    assert ends.pairs == 8
    assert linearity_gap(Affine(), batches(6, 6), generator=stream(0)).mean == pytest.approx(0, abs=1e-12)


def test_no_image_is_its_own_partner_and_the_generator_decides() -> None:
    model, _ = linear(4)
    for seed in range(5):
        # Every image but one is the same: only the two pairs of the odd one have a gap, so none may be lost.
        x = torch.zeros(5, 1, 3, 3, dtype=torch.float64)
        x[3] = images(1)
        odd = linearity_gap(model, [(x, torch.zeros(5).long())], generator=stream(seed), ratios=(0.5,)).gap
        two = linearity_gap(model, [(x[2:4], torch.zeros(2).long())], generator=stream(seed), ratios=(0.5,)).gap
        assert float(odd) == pytest.approx(2 / 5 * float(two))
    first, again, other = (
        linearity_gap(network(), batches(8, 8), generator=stream(seed)).gap.tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_input_gradients_of_a_linear_network_by_numpy() -> None:
    model, weight = linear()
    pairs = batches(7, 3)
    found = input_gradient_norm(model, pairs)
    x, y = torch.cat([pair[0] for pair in pairs]).flatten(1).numpy(), torch.cat([pair[1] for pair in pairs]).numpy()
    gradient = (special.softmax(x @ weight.T, axis=1) - np.eye(4)[y]) @ weight
    np.testing.assert_allclose(found.numpy(), np.linalg.norm(gradient, axis=1), rtol=1e-10)
    # Declared normalisation is part of the network: a unit is one of pixels.
    spec = InputSpec((0.5,), (0.25,))
    bent = (special.softmax((x - 0.5) / 0.25 @ weight.T, axis=1) - np.eye(4)[y]) @ weight / 0.25
    np.testing.assert_allclose(input_gradient_norm(model, pairs, spec=spec), np.linalg.norm(bent, axis=1), rtol=1e-10)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("output", ["logits", "probabilities"])
@pytest.mark.parametrize("logit_scale", ["raw", "standardised"])
def test_the_jacobian_s_norm_is_that_of_the_whole_jacobian(output: str, logit_scale: str) -> None:
    model, pairs = network(), batches(5, 3)
    found = jacobian_norm(model, pairs, generator=stream(0), iterations=400, output=output, logit_scale=logit_scale)
    model.eval()

    def one(image: Tensor) -> Tensor:
        logits = model(image[None])[0]
        logits = logits if logit_scale == "raw" else logits / logits.std()
        return logits if output == "logits" else logits.softmax(0)

    for index, image in enumerate(torch.cat([pair[0] for pair in pairs])):
        whole = torch.autograd.functional.jacobian(one, image).reshape(4, 9)
        assert float(found[index]) == pytest.approx(np.linalg.svd(whole.numpy())[1][0], rel=1e-6)
    rough = jacobian_norm(model, pairs, generator=stream(0), iterations=1, output=output, logit_scale=logit_scale)
    assert bool((rough <= found * (1 + 1e-9)).all())
    steepest = sampled_lipschitz(
        model, pairs, generator=stream(0), radius=1e-4, samples=64, output=output, logit_scale=logit_scale
    )
    assert bool((steepest <= found * 1.001).all()) and bool((steepest > 0.4 * found).all())


def test_a_linear_network_is_as_steep_everywhere() -> None:
    model, weight = linear(3)
    for radius in (0.01, 10.0):
        found = sampled_lipschitz(
            model, batches(4, 2), generator=stream(0), radius=radius, samples=500, output="logits"
        )
        assert bool((found <= np.linalg.norm(weight, 2) * (1 + 1e-9)).all())
        assert bool((found >= 0.8 * np.linalg.norm(weight, 2)).all())
    one, two = (sampled_lipschitz(model, batches(4, 2), generator=stream(0), samples=s) for s in (1, 9))
    assert bool((one <= two).all()) and bool((one < two).any())


def test_a_flat_network_and_one_in_single_precision() -> None:
    model, _ = linear(0)
    for measure in (jacobian_norm, sampled_lipschitz):
        assert measure(model, batches(3, 2), generator=stream(0)).tolist() == [0, 0, 0]
    assert input_gradient_norm(model, batches(3, 2)).tolist() == [0, 0, 0]
    single = [(x.float(), y) for x, y in batches(3, 2)]
    expected = jacobian_norm(network(), batches(3, 2), generator=stream(0))
    found = jacobian_norm(network().float(), single, generator=stream(0))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_a_network_that_is_sure_has_the_same_slopes_in_single_precision() -> None:
    # Probabilities of 1 - 1e-9 and so: the pull away from the sure class is half of the whole, and rounds to nothing.
    model, _ = linear(12)
    pairs = batches(6, 6)
    pairs = [(x, model(x).argmax(1)) for x, _ in pairs]
    single = [(x.float(), y) for x, y in pairs]
    sure = 1 - model(pairs[0][0]).softmax(1).amax(1)
    assert bool((sure < 1e-8).any())
    slopes = jacobian_norm(model, pairs, generator=stream(0)), input_gradient_norm(model, pairs)
    model.float()
    torch.testing.assert_close(jacobian_norm(model, single, generator=stream(0)), slopes[0], rtol=1e-3, atol=0)
    torch.testing.assert_close(input_gradient_norm(model, single), slopes[1], rtol=1e-3, atol=0)


def test_modes_come_back_and_a_caller_under_no_grad_is_served() -> None:
    model = network()
    with torch.no_grad():
        inside = input_gradient_norm(model, batches(3, 2))
    assert model.training and model[4].training and all(weight.requires_grad for weight in model.parameters())
    torch.testing.assert_close(inside, input_gradient_norm(model, batches(3, 2)))


def test_other_inputs_are_refused() -> None:
    model, pairs = network(), batches(3, 2)
    for ratios in ((), (0.5, 1.5), (float("nan"),)):
        with pytest.raises(InputError, match="ratios must be"):
            linearity_gap(model, pairs, generator=stream(0), ratios=ratios)
    with pytest.raises(InputError, match="at least two images together"):
        linearity_gap(model, batches(3, 1), generator=stream(0))
    with pytest.raises(InputError, match="radius and samples must be positive, got 0 and 8"):
        sampled_lipschitz(model, pairs, generator=stream(0), radius=0)
    with pytest.raises(InputError, match="iterations must be at least 1"):
        jacobian_norm(model, pairs, generator=stream(0), iterations=0)
    with pytest.raises(InputError, match="output must be a known one"):
        jacobian_norm(model, pairs, generator=stream(0), output="logit")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="logits must be finite"):
        mean_entropy(torch.full((1, 2), float("nan")))
    with pytest.raises(InputError, match="at least one image"):
        input_gradient_norm(model, [])
    with torch.no_grad():
        model[1].weight.fill_(float("nan"))
    for measure in (linearity_gap, sampled_lipschitz, jacobian_norm):
        with pytest.raises(InputError, match="logits must be finite"):
            measure(model, pairs, generator=stream(0))


def test_a_network_that_cuts_the_gradient_is_refused() -> None:
    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).detach()

    with pytest.raises(InputError, match="model must be differentiable in its images"):
        input_gradient_norm(Cut(), batches(3, 2))
