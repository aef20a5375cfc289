"""The effect of the choice of test images on a metric: standard errors, and paired differences of two networks."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rolewise.errors import InputError
from rolewise.statistics.estimates import Estimate, estimate

#: Resamples of a bootstrap.
RESAMPLES = 200
_MANY = 2000


class Weighted(Protocol):
    """A metric of some examples that can be computed again with other weights (see `rolewise.tasks.Metric`)."""

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns every number by its key, with weights [N] of the examples."""

    def per_example(self) -> Tensor | None:
        """Returns the first number's value [N] of each example, or None where it is no mean over examples."""


def bootstrap_weights(examples: int, stream: torch.Generator) -> Tensor:
    """Returns the number of times that each example is drawn in N draws with replacement, double [N].

    Args:
        examples: N, at least 1.
        stream: of the draw.
    """
    drawn = torch.randint(examples, (examples,), generator=stream)
    return torch.bincount(drawn, minlength=examples).double()


def standard_error(
    metric: Weighted, key: str, examples: int, stream: torch.Generator, resamples: int = RESAMPLES
) -> float:
    """Returns the standard error that the choice of examples gives a metric.

    Where the metric is a mean of examples, it is that of their mean; else the standard deviation over a bootstrap.
    Resamples in which the metric is not defined, such as without any label, are left out.

    Args:
        metric: of N examples.
        key: of one of its numbers; its first one has values of single examples, if there are any.
        examples: N, at least 2.
        stream: of the draws.
        resamples: of the bootstrap, at least 2.

    Raises:
        InputError: there are fewer than two examples, or no resample has the metric.
    """
    if examples < 2:
        raise InputError(f"examples must be at least 2 to have a spread, got {examples}")
    each = metric.per_example()
    if each is not None and key == next(iter(metric.compute())):
        return float(each.std() / examples**0.5)
    values = torch.tensor([metric.compute(bootstrap_weights(examples, stream))[key] for _ in range(resamples)])
    values = values[values.isfinite()].double()
    if len(values) < 2:
        raise InputError(f"{key} must be defined on the examples, got no number in {resamples} resamples")
    return float(values.std())


def paired_difference(
    first: Weighted, second: Weighted, key: str, examples: int, stream: torch.Generator, resamples: int = _MANY
) -> Estimate:
    """Returns by how much two networks differ on the same examples, with a 95% interval over the choice of these.

    Where the metric is a mean of examples, the test is Student's on their differences. Else both networks are measured
    on the same resamples of a bootstrap: the interval is that of percentiles, and p twice the smaller share of
    resamples on one side of 0, each counted with one more.

    Args:
        first: of one network on N examples.
        second: of another network on the same examples in the same order.
        key: of the number.
        examples: N, at least 2.
        stream: of the draws.
        resamples: of the bootstrap, at least 2.

    Returns:
        The difference first - second; ``count`` is N.

    Raises:
        InputError: the numbers are of other examples.
    """
    one, other = first.per_example(), second.per_example()
    difference = first.compute()[key] - second.compute()[key]
    if one is not None and other is not None and key == next(iter(first.compute())):
        if len(one) != len(other) or len(one) != examples:
            raise InputError(f"both metrics must be of the same {examples} examples, got {len(one)} and {len(other)}")
        return estimate((one - other).tolist())
    drawn = []
    for _ in range(resamples):
        weights = bootstrap_weights(examples, stream)
        drawn.append(first.compute(weights)[key] - second.compute(weights)[key])
    return resampled_difference(difference, torch.tensor(drawn, dtype=torch.double), examples)


def resampled_values(
    metric: Weighted, key: str, examples: int, stream: torch.Generator, resamples: int = _MANY
) -> Tensor:
    """Returns a metric on each resample of a bootstrap, double [resamples].

    Networks whose values come of equal streams are of the same resamples, and their differences are paired.

    Args:
        metric: of N examples.
        key: of the number.
        examples: N, at least 2.
        stream: of the draws.
        resamples: of the bootstrap, at least 2.
    """
    drawn = [metric.compute(bootstrap_weights(examples, stream))[key] for _ in range(resamples)]
    return torch.tensor(drawn, dtype=torch.double)


def resampled_difference(difference: float, values: Tensor, examples: int) -> Estimate:
    """Returns a difference with the percentiles of a bootstrap as its 95% interval.

    Args:
        difference: of all examples.
        values: the difference on each resample, double [resamples]; those that are not defined are left out.
        examples: N, which becomes ``count``.
    """
    values = values[values.isfinite()]
    if len(values) < 2 or bool((values == values[0]).all()):
        return Estimate(difference, 0.0 if len(values) else None, None, None, None, examples)
    low, high = (float(values.quantile(share)) for share in (0.025, 0.975))
    sides = (int((values <= 0).sum()), int((values >= 0).sum()))
    p = min(1.0, 2 * (min(sides) + 1) / (len(values) + 1))
    return Estimate(difference, float(values.std()), low, high, p, examples)
