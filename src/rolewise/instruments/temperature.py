"""Temperature scaling: the one number that divides the logits so that their confidence is right on average."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from rolewise.errors import InputError
from rolewise.instruments.bins import Binning
from rolewise.instruments.calibration import expected_calibration_error
from rolewise.instruments.prediction import check_class_labels, finite_logits
from rolewise.instruments.scores import negative_log_likelihood


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature, and what it was fitted on.

    Args:
        temperature: T > 0; above 1 the network was too sure.
        at_bound: the likelihood rises up to the bound that T stands at: the data name no temperature (every answer
            right, or none better than chance).
        nll_before: of the data that it was fitted on, nats, at T = 1.
        nll_after: negative log-likelihood at T. Never higher, where 1 is within the bounds.
        images: that it was fitted on.
    """

    temperature: float
    at_bound: bool
    nll_before: float
    nll_after: float
    images: int

    def apply(self, logits: Tensor) -> Tensor:
        """Returns the logits divided by the temperature; no answer changes."""
        return logits / self.temperature


@dataclass(frozen=True)
class TemperatureEffect:
    """The effect of a temperature on data that it was not fitted on.

    Args:
        ece_before: expected calibration error in [0, 1].
        ece_after: expected calibration error at the temperature.
        nll_before: nats.
        nll_after: nats.
    """

    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float


def fit_temperature(logits: Tensor, labels: Tensor, *, bounds: tuple[float, float] = (0.01, 100.0)) -> TemperatureFit:
    r"""Returns the temperature of the highest likelihood.

    .. math:: \min_T \; -\frac{1}{N} \sum_n \log \mathrm{softmax}(z_n / T)_{y_n}

    Convex in 1 / T, whose derivative is the mean of (expected logit - logit of the label): its one zero is bracketed
    and found, in float64. Where every temperature is as good (constant logits), T is 1.

    Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2, https://arxiv.org/abs/1706.04599.
    Differs from source: a bracketed search for the zero instead of conjugate gradients.

    Args:
        logits: [N, K], finite, of *validation* data, which neither the network's training nor the final test uses.
        labels: int64 [N], of the same images.
        bounds: lowest and highest T, positive.

    Raises:
        InputError: the bounds are not positive and rising, or logits and labels not as in `accuracy`.
    """
    low, high = bounds
    if not 0 < low < high < math.inf:
        raise InputError(f"bounds must be positive and rising, got {bounds}")
    logits = finite_logits(logits)
    check_class_labels(labels, *logits.shape)
    # Only differences count; small ones of large logits are kept, and one logit is exactly 0.
    centred = logits - logits.gather(1, labels[:, None])

    def slope(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        return float(((centred * scale).softmax(1) * centred).sum(1).mean())

    ends = math.log(low), math.log(high)
    if not bool((logits != logits[:, :1]).any()):
        fitted, at_bound = min(max(1.0, low), high), False
    elif slope(ends[0]) <= 0:
        fitted, at_bound = low, True
    elif slope(ends[1]) >= 0:
        fitted, at_bound = high, True
    else:
        from scipy import optimize

        fitted, at_bound = math.exp(optimize.brentq(slope, *ends, xtol=1e-12)), False
    before, after = (negative_log_likelihood(logits / value, labels) for value in (1.0, fitted))
    return TemperatureFit(fitted, at_bound, before, after, len(logits))


def temperature_effect(
    logits: Tensor, labels: Tensor, temperature: float, *, bins: int = 15, binning: Binning = "width"
) -> TemperatureEffect:
    """Returns calibration error and likelihood before and after a temperature that was fitted elsewhere.

    Source: Guo et al. (2017), table 1, https://arxiv.org/abs/1706.04599.

    Args:
        logits: [N, K], finite, of other images than those that `fit_temperature` was given.
        labels: int64 [N].
        temperature: T > 0.
        bins: see `expected_calibration_error`.
        binning: ``width`` or ``mass`` of the bins.

    Raises:
        InputError: the temperature is not positive, or logits and labels not as in `accuracy`.
    """
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature must be positive, got {temperature}")
    cooled = logits.double() / temperature
    ece = [expected_calibration_error(values, labels, bins=bins, binning=binning) for values in (logits, cooled)]
    nll = [negative_log_likelihood(values, labels) for values in (logits, cooled)]
    return TemperatureEffect(*ece, *nll)
