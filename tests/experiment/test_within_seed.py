"""The differences within the one seed of a run: against Student's test of pairs on images, and the share from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from answer_toys import run_of
from scipy import stats
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.config import load_experiment_config
from rolewise.experiment.within_seed import seed_differences
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.seeds import generator
from rolewise.statistics.answers import run_answers
from rolewise.statistics.gap_share import ratio_interval
from rolewise.statistics.resampling import RESAMPLES, paired_difference
from rolewise.statistics.single_seed import WITHIN
from rolewise.train import Metrics

QUICK = Path(__file__).parent / "quick.yaml"
RMSE = MetricInfo("rmse", "root mean squared error", "km", higher_is_better=False)


class Hits:
    """A mean over examples, as accuracy is."""

    def __init__(self, hits: Tensor) -> None:
        self.hits = hits.double()

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Never called: the examples are there."""

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns the weighted mean."""
        weights = torch.ones_like(self.hits) if weights is None else weights
        return {"accuracy": float((weights * self.hits).sum() / weights.sum())}

    def per_example(self) -> Tensor | None:
        """Returns the hits."""
        return self.hits


class Errors(Hits):
    """A root of a mean, which no example has a part in of its own."""

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns the root of the weighted mean."""
        return {"rmse": super().compute(weights)["accuracy"] ** 0.5}

    def per_example(self) -> None:
        """Returns None."""


SHARES = {"small-none": 0.6, "small-none+distill": 0.75, "small-own": 0.62, "small-own+distill": 0.8}
SHARES |= {"small-teacher": 0.61, "small-teacher+distill": 0.7, "teacher-own": 0.95}


def evaluated(kind: type[Hits], info: MetricInfo) -> dict[str, Metrics]:
    stream = torch.Generator().manual_seed(0)
    base = torch.rand(300, generator=stream)
    found = {}
    for name, share in SHARES.items():
        hits = (base + 0.2 * torch.rand(300, generator=stream) < 1.1 * share).double()
        metric = kind(hits if kind is Hits else 1.2 - hits)
        found[f"seed0/{name}"] = Metrics(metric.compute(), (info,), metric, 300)
    return found


@pytest.mark.parametrize("kind", [Hits, Errors])
def test_every_network_that_answers_compare_has_its_difference(kind: type[Hits]) -> None:
    config = load_experiment_config(QUICK, ["seeds=[0]", "arms.student=[none, own, teacher]"])
    measured = evaluated(kind, ACCURACY if kind is Hits else RMSE)
    found = seed_differences(config, 0, measured)
    assert {name: set(others) for name, others in found.items()} == {
        "seed0/small-none": {"teacher:own"},
        "seed0/small-none+distill": {"none", "teacher:own"},
        "seed0/small-own": {"none", "teacher", "teacher:own"},
        "seed0/small-own+distill": {"none+distill", "own", "teacher+distill", "teacher:own"},
        "seed0/small-teacher": {"none", "teacher:own"},
        "seed0/small-teacher+distill": {"none+distill", "teacher", "teacher:own"},
    }
    one = found["seed0/small-own+distill"]["own"]
    first, second = (measured[f"seed0/small-{name}"] for name in ("own+distill", "own"))
    assert one["mean"] == pytest.approx(first.first - second.first)
    assert one["low"] is not None and one["error"] is not None
    if kind is Errors:
        # As a pair by itself gives it, of the same resamples.
        stream = generator(config.data.split_seed, "bootstrap")
        pair = paired_difference(first.metric, second.metric, "rmse", 300, stream, RESAMPLES)
        assert (one["low"], one["high"], one["p"], one["error"]) == (pair.low, pair.high, pair.p, pair.sd)
        assert 3.2 < (one["high"] - one["low"]) / one["error"] < 4.6 and one["mean"] < 0  # type: ignore[operator]
        return
    test = stats.ttest_rel(first.metric.per_example(), second.metric.per_example())
    low, high = test.confidence_interval()
    assert (one["p"], one["low"], one["high"]) == (pytest.approx(test.pvalue), pytest.approx(low), pytest.approx(high))
    assert one["error"] == pytest.approx(test._standard_error)


def test_the_share_of_one_seed_has_fiellers_interval_over_images() -> None:
    config = load_experiment_config(QUICK, ["seeds=[0]", "arms.student=[none, own, teacher]"])
    measured = evaluated(Hits, ACCURACY)
    found = seed_differences(config, 0, measured)
    arms = {name.split("-", 1)[1]: [measured[f"seed0/{name}"].first] for name in SHARES if name != "teacher-own"}
    results = run_of(arms, [measured["seed0/teacher-own"].first])
    for arm in results["arms"]:
        arm[WITHIN] = found[f"seed0/small-{arm['name']}"]
    (answer,) = run_answers(results)
    gain = answer.headline
    assert gain is not None and gain.of_images and gain.arm == "none+distill" and len(answer.effects) == 3
    assert all(effect.of_images and effect.difference.low is not None for effect in answer.effects)
    # Once more, from the values of each image.
    alone, distilled, teacher = (
        measured[f"seed0/{name}"].metric.per_example() for name in ("small-none", "small-none+distill", "teacher-own")
    )
    assert alone is not None and distilled is not None and teacher is not None
    both = torch.stack([distilled - alone, teacher - alone])
    spread = torch.cov(both) / 300
    interval = ratio_interval(
        float(both[0].mean()),
        float(both[1].mean()),
        (float(spread[0, 0]), float(spread[1, 1])),
        float(spread[0, 1]),
        float(stats.norm.ppf(0.975)),
    )
    assert interval is not None and (gain.closed.low, gain.closed.high) == tuple(pytest.approx(one) for one in interval)
