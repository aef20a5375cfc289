"""What the choice of examples does to a metric."""

from __future__ import annotations

import pytest
import torch

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.seeds import generator
from rolewise.statistics.estimates import estimate
from rolewise.statistics.resampling import bootstrap_weights, paired_difference, standard_error
from rolewise.tasks import Classification, Metric, Regression

N = 200


def errors(noise: float, seed: int, error: str = "squared") -> Metric:
    targets = torch.randn(N, generator=torch.Generator().manual_seed(0))
    wrong = noise * torch.randn(N, generator=torch.Generator().manual_seed(seed))
    metric = Regression(error=error).metric()
    metric.add(Outputs({"predictions": (targets + wrong)[:, None]}), Batch(None, targets))
    return metric


def hits(seed: int, right: float) -> Metric:
    correct = torch.rand(N, generator=torch.Generator().manual_seed(seed)) < right
    logits = torch.stack([correct.float(), 0.5 * torch.ones(N)], 1)
    metric = Classification().metric()
    metric.add(Outputs({"logits": logits}), Batch(None, torch.zeros(N, dtype=torch.int64)))
    return metric


def test_resamples_are_drawn_with_replacement_from_a_stream():
    weights = bootstrap_weights(50, generator(0, "bootstrap"))
    assert weights.sum() == 50
    assert weights.max() > 1
    assert torch.equal(weights, bootstrap_weights(50, generator(0, "bootstrap")))


def test_the_error_of_a_mean_is_that_of_its_examples():
    metric = hits(1, 0.8)
    share = metric.compute()["accuracy"]
    expected = (share * (1 - share) / (N - 1)) ** 0.5
    assert standard_error(metric, "accuracy", N, generator(0, "a")) == pytest.approx(expected)
    # Its loss is no first metric, so that it is resampled.
    assert standard_error(metric, "loss", N, generator(0, "a")) > 0


def test_the_error_of_another_number_is_that_of_resamples():
    found = standard_error(errors(1.0, 1), "rmse", N, generator(0, "a"), 1000)
    # Of n normal errors the root mean square spreads by sigma / sqrt(2 n).
    assert found == pytest.approx(1 / (2 * N) ** 0.5, rel=0.25)


def test_a_difference_of_means_is_tested_by_its_examples():
    first, second = errors(1.0, 1, "absolute"), errors(0.5, 2, "absolute")
    each = [metric.per_example() for metric in (first, second)]
    assert each[0] is not None
    assert each[1] is not None
    expected = estimate((each[0] - each[1]).tolist())
    assert paired_difference(first, second, "mae", N, generator(0, "a")) == expected
    assert expected.mean == pytest.approx(first.compute()["mae"] - second.compute()["mae"])


def test_a_difference_of_other_numbers_is_tested_on_the_same_resamples():
    worse, better = errors(1.0, 1), errors(0.7, 2)
    found = paired_difference(worse, better, "rmse", N, generator(0, "a"), 400)
    assert found.mean == worse.compute()["rmse"] - better.compute()["rmse"]
    assert found.low is not None and found.high is not None
    assert 0 < found.low < found.mean < found.high
    assert found.p == pytest.approx(2 / 401)
    assert found.count == N
    back = paired_difference(better, worse, "rmse", N, generator(0, "a"), 400)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_networks_alike_cannot_be_told_apart():
    found = paired_difference(errors(1.0, 1), errors(1.0, 2), "rmse", N, generator(0, "a"), 400)
    assert not found.exceeds_noise
    assert found.p is not None and found.p > 0.05
    same = paired_difference(errors(1.0, 1), errors(1.0, 1), "rmse", N, generator(0, "a"), 20)
    assert (same.mean, same.low, same.p) == (0.0, None, None)


def test_numbers_of_other_examples_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        standard_error(hits(1, 0.5), "accuracy", 1, generator(0, "a"))
    with pytest.raises(InputError, match="same 7 examples, got 200 and 200"):
        paired_difference(hits(1, 0.5), hits(2, 0.5), "accuracy", 7, generator(0, "a"))
