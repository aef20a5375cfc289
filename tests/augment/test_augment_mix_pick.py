"""Pairs by entropy: CutMixPick's choice and UNIX-KD's rule, against numpy written from the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rolewise.augment import Mix
from rolewise.augment.mix_pick import entropy, keep_highest, unix_plan
from rolewise.augment.mix_plan import join
from rolewise.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_entropy_is_that_of_the_softmax() -> None:
    logits = torch.randn(20, 7, generator=generator()) * 5
    probabilities = np.exp(logits.double().numpy())
    np.testing.assert_allclose(entropy(logits).numpy(), stats.entropy(probabilities, axis=1), rtol=1e-4, atol=1e-6)
    assert entropy(torch.tensor([[200.0, 0.0]])).item() == 0  # a sure network gives 0, not NaN
    assert entropy(torch.zeros(1, 10)).item() == pytest.approx(np.log(10))


def test_the_highest_of_two_draws_are_kept() -> None:
    labels = torch.arange(6)
    pool = join([Mix("cutmix").draw(labels, (8, 8), generator(seed)) for seed in (0, 1)])
    scores = torch.tensor([0.1, 0.9, 0.3, 0.3, 0.0, 0.8, 0.3, 0.7, 0.2, 0.95, 0.05, 0.6])
    kept = keep_highest(pool, scores, 6)
    # 0.95, 0.9, 0.8, 0.7, 0.6 and the first of the equals, in their order.
    rows = [1, 2, 5, 7, 9, 11]
    assert torch.equal(kept.ratios, pool.ratios[rows]) and torch.equal(kept.partners, pool.partners[rows])
    assert kept.boxes is not None and pool.boxes is not None and torch.equal(kept.boxes, pool.boxes[rows])
    with pytest.raises(InputError, match="scores must be"):
        keep_highest(pool, scores[:5], 6)


@pytest.mark.parametrize("sharpness", [1000.0, 10.0])
@pytest.mark.parametrize("batch", [64, 50])
def test_unix_kd_s_rule_is_its_formula(sharpness: float, batch: int) -> None:
    scores = torch.rand(batch, generator=generator())
    partners = (torch.arange(batch) + 7) % batch
    plan = unix_plan(scores, None, sharpness=sharpness, partners=partners, shares=torch.tensor([0.6]))
    rank = np.argsort(-scores.numpy(), kind="stable")
    kept, b = round(batch * 48 / 64), round(batch * 32 / 64)
    c = 0.6 / (1 + np.exp(-sharpness * (np.arange(kept) / batch - (2 * b - 1) / (2 * batch))))
    assert plan.sources.tolist() == rank[:kept].tolist() and plan.boxes is None
    stays = c < 0.5 / 255
    np.testing.assert_allclose(plan.ratios.numpy(), np.where(stays, 1, 1 - c), rtol=1e-6)
    expected = np.where(stays, rank[:kept], partners.numpy()[rank[:kept]])
    assert plan.partners.tolist() == expected.tolist()
    if sharpness == 1000:
        # Half of the batch as it is, a quarter mixed, the surest quarter left out.
        assert plan.mixed.tolist() == [False] * b + [True] * (kept - b)
    else:
        assert bool(plan.mixed.all())


def test_unix_draws_one_share_for_the_batch_or_one_for_each() -> None:
    scores = torch.rand(64, generator=generator())
    one, each = (unix_plan(scores, generator(3), ratio=ratio) for ratio in ("batch", "sample"))
    assert len(one.ratios[33:].unique()) == 1 and len(each.ratios[33:].unique()) == 15
    assert bool((unix_plan(scores, generator(3), ratio="sample", fold=True).ratios >= 0.5).all())
    again = unix_plan(scores, generator(3), ratio="sample")
    assert torch.equal(again.ratios, each.ratios) and torch.equal(again.partners, each.partners)
    assert bool((each.partners[each.mixed] != each.sources[each.mixed]).all())
