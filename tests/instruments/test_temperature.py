"""Temperature scaling: known temperatures come back, scipy finds the same, the edges are said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logit_cases import answers, any_answers
from scipy import optimize, special

from rolewise.errors import InputError
from rolewise.instruments import (
    accuracy,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    temperature_effect,
)


@settings(max_examples=15)
@given(st.floats(0.3, 4.0), st.integers(0, 1000))
def test_a_known_temperature_comes_back(temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    calibrated = 1.5 * torch.randn(20000, 4, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(calibrated.softmax(1), 1, generator=generator)[:, 0]
    fit = fit_temperature(calibrated * temperature, labels)
    # The labels' own luck: the standard error of the scale is below 1% here.
    assert fit.temperature == pytest.approx(temperature, rel=0.05) and not fit.at_bound
    assert expected_calibration_error(fit.apply(calibrated * temperature), labels) < 0.02


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0, 200.0])
def test_it_is_the_minimum_that_scipy_finds(sharpness: float) -> None:
    logits, labels = answers(0, sharpness=sharpness)
    z, y = logits.numpy(), labels.numpy()

    def loss(log_temperature: float) -> float:
        return float(-special.log_softmax(z / np.exp(log_temperature), axis=1)[np.arange(len(y)), y].mean())

    best = optimize.minimize_scalar(loss, bracket=(-1.0, 1.0), method="brent", tol=1e-12)
    fit = fit_temperature(logits, labels, bounds=(0.001, 1000))
    assert fit.temperature == pytest.approx(np.exp(best.x), rel=1e-5)
    assert fit.nll_after == pytest.approx(best.fun, abs=1e-9) and fit.nll_before == pytest.approx(loss(0), abs=1e-9)
    assert fit.images == 300


def test_before_and_after_on_other_images() -> None:
    logits, labels = answers(1, count=4000, sharpness=3.0)
    fit = fit_temperature(logits[:2000], labels[:2000])
    effect = temperature_effect(logits[2000:], labels[2000:], fit.temperature)
    assert effect.ece_after < 0.3 * effect.ece_before and effect.nll_after < effect.nll_before
    cooled = logits[2000:] / fit.temperature
    assert effect.ece_after == pytest.approx(expected_calibration_error(cooled, labels[2000:]), abs=1e-12)
    assert effect.nll_before == pytest.approx(negative_log_likelihood(logits[2000:], labels[2000:]), abs=1e-12)


@settings(max_examples=60)
@given(any_answers())
def test_any_answers_have_a_temperature_within_the_bounds(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    fit = fit_temperature(logits, labels)
    assert 0.01 <= fit.temperature <= 100 and fit.nll_after <= fit.nll_before * (1 + 1e-9) + 1e-12
    assert accuracy(fit.apply(logits), labels) == accuracy(logits, labels)
    for nearby in (0.9, 1.1):
        if 0.01 <= fit.temperature * nearby <= 100:
            other = negative_log_likelihood(logits / (fit.temperature * nearby), labels)
            assert other >= fit.nll_after * (1 - 1e-9) - 1e-12


def test_data_that_name_no_temperature() -> None:
    labels = torch.tensor([0, 1, 0])
    right = torch.nn.functional.one_hot(labels, 3).double()
    assert (fit_temperature(right, labels).temperature, fit_temperature(right, labels).at_bound) == (0.01, True)
    assert (fit_temperature(-right, labels).temperature, fit_temperature(-right, labels).at_bound) == (100, True)
    constant = fit_temperature(torch.full((3, 4), 7.0), labels)
    assert (constant.temperature, constant.at_bound) == (1, False)


def test_other_inputs_are_refused() -> None:
    logits, labels = answers(0)
    for bounds in ((0, 1), (2, 1), (1, float("inf"))):
        with pytest.raises(InputError, match="bounds must be positive and rising"):
            fit_temperature(logits, labels, bounds=bounds)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="temperature must be positive"):
            temperature_effect(logits, labels, temperature)
    with pytest.raises(InputError, match="logits must be finite"):
        fit_temperature(torch.full((2, 2), float("nan")), torch.tensor([0, 1]))
