"""Mixing: what is drawn, against the formulas and their distributions; what is applied, against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rolewise.augment import Mix, MixPlan, cutmix_batch, mix_images, mix_labels, mixup_batch
from rolewise.augment.mix_draws import draw_boxes, draw_mixed, draw_partners, draw_ratios
from rolewise.augment.mix_plan import after_clean, join
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(count: int, channels: int = 3, height: int = 8, width: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator(seed))


def test_mixup_is_its_formula() -> None:
    images, labels = images_of(5), torch.tensor([0, 3, 1, 1, 2])
    partners, ratios = torch.tensor([1, 0, 2, 4, 3]), torch.tensor([0.25, 1.0, 0.5, 0.0, 0.7])
    mixed, soft = mixup_batch(images, labels, 4, partners=partners, ratios=ratios)
    x, r = images.numpy().astype(float) / 255, ratios.numpy().astype(float).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(mixed.numpy(), r * x + (1 - r) * x[partners], atol=1e-6)
    one_hot, r = np.eye(4)[labels], r[:, :, 0, 0]
    np.testing.assert_allclose(soft.numpy(), r * one_hot + (1 - r) * one_hot[partners], atol=1e-7)
    assert mixed.dtype == torch.float32 and torch.equal(images, images_of(5))
    half, _ = mixup_batch(images.double() / 255, labels, 4, partners=partners, ratios=ratios)
    assert half.dtype == torch.float64 and torch.allclose(half.float(), mixed, atol=1e-6)


@pytest.mark.parametrize("spec", [InputSpec((0.3,) * 3, (0.2,) * 3), InputSpec((0.5,) * 3, (0.1,) * 3, (12, 9))])
def test_mixing_before_any_normalisation_is_mixing_after_it(spec: InputSpec) -> None:
    # One mixed image serves networks that are normalised, or scaled, differently; rounding to grey levels would not.
    images, labels = images_of(6).double() / 255, torch.arange(6)
    partners, ratios = torch.tensor([1, 2, 3, 4, 5, 0]), torch.rand(6, generator=generator())
    mixed, _ = mixup_batch(images, labels, 6, partners=partners, ratios=ratios)
    after = prepare(images, spec)
    r = ratios.double().view(-1, 1, 1, 1)
    torch.testing.assert_close(prepare(mixed, spec), r * after + (1 - r) * after[partners])
    coarse = prepare((mixed * 255).round() / 255, spec)
    assert (coarse - prepare(mixed, spec)).abs().max() > 1e-3


def test_cutmix_takes_exactly_the_box_and_its_area() -> None:
    images, labels = images_of(4, 1, 7, 5), torch.tensor([0, 1, 2, 0])
    partners = torch.tensor([1, 2, 3, 0])
    boxes = torch.tensor([[0, 0, 7, 5], [2, 1, 5, 3], [6, 4, 7, 5], [0, 0, 0, 0]])
    mixed, soft = cutmix_batch(images, labels, 3, partners=partners, boxes=boxes)
    expected = images.numpy().copy()
    for row, (top, left, bottom, right) in enumerate(boxes.tolist()):
        expected[row, :, top:bottom, left:right] = images[partners[row], :, top:bottom, left:right].numpy()
    assert mixed.dtype == torch.uint8 and np.array_equal(mixed.numpy(), expected)
    np.testing.assert_allclose(soft[:, 0].numpy(), [0, 0, 1 / 35, 1], atol=1e-7)
    np.testing.assert_allclose(soft[:, 1].numpy(), [1, 29 / 35, 0, 0], atol=1e-7)
    with pytest.raises(InputError, match="within images"):
        cutmix_batch(images, labels, 3, partners=partners, boxes=torch.tensor([[0, 0, 8, 5]] * 4))


@settings(max_examples=60)
@given(st.floats(0, 1), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_boxes_are_the_paper_s_cut_off_at_the_border(ratio: float, height: int, width: int, seed: int) -> None:
    places = torch.rand(50, 2, generator=generator(seed), dtype=torch.double)
    boxes, ratios = draw_boxes(torch.full((50,), ratio, dtype=torch.double), (height, width), places)
    for place, box, found in zip(places.tolist(), boxes.tolist(), ratios.tolist(), strict=True):
        expected = []
        for at, side in zip(place, (height, width), strict=True):
            length = max(1, int(side * np.sqrt(1 - ratio)))
            start = int(at * side) - length // 2
            expected.append((max(0, start), min(side, start + length)))
        (top, bottom), (left, right) = expected
        assert box == [top, left, bottom, right] and bottom > top and right > left
        assert found == pytest.approx(1 - (bottom - top) * (right - left) / (height * width), abs=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 0.4, 1.0, 3.0])
def test_ratios_follow_their_distribution(alpha: float) -> None:
    drawn = draw_ratios((4000,), alpha, generator()).numpy()
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    folded = draw_ratios((4000,), alpha, generator(), fold=True).numpy()
    np.testing.assert_array_equal(folded, np.maximum(drawn, 1 - drawn))


def test_a_tiny_alpha_mixes_next_to_nothing_in_either_direction() -> None:
    # Plain gamma draws underflow here, and would give one half.
    drawn = draw_ratios((4000,), 0.001, generator()).numpy()
    assert np.isfinite(drawn).all()
    for least in (1e-200, 1e-50, 0.5):
        assert (drawn < least).mean() == pytest.approx(stats.beta(0.001, 0.001).cdf(least), abs=0.03)


@pytest.mark.parametrize("pairs", ["any", "within", "across"])
def test_partners_are_every_allowed_image_as_likely(pairs: str) -> None:
    labels = torch.tensor([[0, 1, 0, 2, 0, 1, 3]])
    classes = labels[0].tolist()
    counts = np.zeros((7, 7))
    for found in draw_partners(labels.expand(6000, 7), generator(), pairs=pairs).tolist():
        counts[range(7), found] += 1
    for own in range(7):
        others = [other for other in range(7) if other != own]
        if pairs != "any":
            others = [other for other in others if (classes[other] == classes[own]) == (pairs == "within")]
        if not others:
            assert counts[own, own] == 6000
            continue
        assert counts[own, others].sum() == 6000
        assert stats.chisquare(counts[own, others]).pvalue > 1e-4 if len(others) > 1 else True
    alone = draw_partners(torch.zeros(1, 1).long(), generator(), pairs=pairs)
    assert alone.tolist() == [[0]]
    assert draw_partners(torch.zeros(1, 3).long(), generator(), pairs="across").tolist() == [[0, 1, 2]]


@settings(max_examples=60)
@given(
    st.integers(1, 70),
    st.integers(1, 20),
    st.floats(0, 1),
    st.sampled_from(["any", "within", "across"]),
    st.sampled_from(["mixup", "cutmix"]),
    st.integers(0, 999),
)
def test_shares_are_exact_and_batches_stay_among_themselves(count, batch, share, pairs, method, seed) -> None:
    labels = torch.randint(0, 4, (count,), generator=generator(seed))
    plan = Mix(method, 0.5, share, pairs=pairs).draw(labels, (8, 6), generator(seed), batch_size=batch)
    assert torch.equal(plan.sources, torch.arange(count)) and plan.check(count) is plan
    for start in range(0, count, batch):
        part = plan[start : start + batch]
        classes, size = labels[start : start + batch], len(part)
        assert bool(((part.partners >= start) & (part.partners < start + size)).all())
        same = classes.unsqueeze(0) == classes.unsqueeze(1)
        allowed = {"any": torch.ones(size, size).bool(), "within": same, "across": ~same}[pairs].clone()
        allowed.fill_diagonal_(False)
        able = int(allowed.any(1).sum())
        assert int(part.mixed.sum()) == min(int(share * size + 0.5), able)
        assert all(allowed[row, int(part.partners[row]) - start] for row in part.mixed.nonzero().flatten())
        assert bool((part.ratios[~part.mixed] == 1).all())
    if method == "cutmix":
        assert plan.boxes is not None
        area = (plan.boxes[:, 2:] - plan.boxes[:, :2]).prod(1).double()
        torch.testing.assert_close(plan.ratios.double(), 1 - area / 48, atol=1e-7, rtol=0)


def test_the_released_share_is_not_what_it_says() -> None:
    # Of 64 images int(64 * .9) = 57 are drawn with replacement to stay clean: (1 - 1/64)^57 are mixed, not a tenth.
    labels = torch.arange(64 * 2000) % 10
    for share, effective in ((0.1, 0.4075), (0.5, 0.604), (0.9, 0.9099)):
        plan = Mix(mixed_fraction=share, share_kind="legacy").draw(labels, (8, 8), generator(), batch_size=64)
        hits = int(64 * (1 - share) + 1e-9)
        assert plan.mixed.float().mean().item() == pytest.approx((1 - 1 / 64) ** hits, abs=0.003)
        assert effective == pytest.approx((1 - 1 / 64) ** hits, abs=1e-3)
    exact = Mix(mixed_fraction=0.1).draw(labels, (8, 8), generator(), batch_size=64)
    assert (exact.mixed.view(-1, 64).sum(1) == 6).all()
    given_ = draw_mixed(torch.ones(1, 10).bool(), 0.7, None, kind="legacy", draws=torch.tensor([[0.05, 0.01, 0.95]]))
    assert given_.tolist() == [[False, *[True] * 8, False]]


def test_one_ratio_and_one_box_for_a_batch() -> None:
    labels = torch.arange(24) % 3
    for method in ("mixup", "cutmix"):
        plan = Mix(method, 0.8, ratio="batch").draw(labels, (9, 9), generator(), batch_size=8)
        for start in range(0, 24, 8):
            assert len(plan.ratios[start : start + 8].unique()) == 1
            if plan.boxes is not None:
                assert len(plan.boxes[start : start + 8].unique(dim=0)) == 1
        assert len(plan.ratios.unique()) > 1
    assert bool((Mix(fold=True).draw(labels, (9, 9), generator()).ratios >= 0.5).all())


def test_clean_images_may_come_first() -> None:
    labels = torch.arange(8) % 4
    images = images_of(8, 1)
    for method in ("mixup", "cutmix"):
        drawn = Mix(method, mixed_fraction=0.25).draw(labels, (8, 6), generator())
        plan = after_clean(drawn, 8)
        assert len(plan) == 10 and plan.mixed.tolist() == [False] * 8 + [True] * 2
        both, soft = mix_images(images, plan), mix_labels(labels, plan, 4)
        alone = mix_images(images, drawn[drawn.mixed])
        assert torch.equal(both[8:], alone) and torch.equal(soft[:8], torch.eye(4)[labels])
        clean = images if method == "cutmix" else images.float() / 255
        torch.testing.assert_close(both[:8], clean)


def test_plans_are_saved_replayed_and_described(tmp_path: Path) -> None:
    labels = torch.arange(12) % 3
    for method in ("mixup", "cutmix"):
        plan = Mix(method, mixed_fraction=0.5).draw(labels, (8, 6), generator())
        plan.save(tmp_path / "plan")
        again = MixPlan.load(tmp_path / "plan")
        assert torch.equal(mix_images(images_of(12), plan), mix_images(images_of(12), again))
        for name in ("sources", "partners", "ratios"):
            assert torch.equal(getattr(plan, name), getattr(again, name))
    told = MixPlan(torch.tensor([3, 4]), torch.tensor([8, 4]), torch.tensor([0.7, 1.0]))
    assert told.describe(0) == "0.7 of image 3, 0.3 of image 8" and told.describe(1) == "image 4"
    boxed = MixPlan(told.sources, told.partners, told.ratios, torch.tensor([[1, 2, 3, 5], [0, 0, 0, 0]]))
    assert boxed.describe(0).endswith("in rows 1 to 2, columns 2 to 4")
    assert join([told, told]).sources.tolist() == [3, 4, 3, 4] and told.shifted(-3).partners.tolist() == [5, 1]
    (tmp_path / "plan").write_bytes(b"12")
    with pytest.raises(InputError, match="damaged"):
        MixPlan.load(tmp_path / "plan")
    with pytest.raises(InputError, match="cannot be read"):
        MixPlan.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"partners must be 0 to 4, got 4 to 8"):
        told.check(5)
    with pytest.raises(InputError, match="ratios must be floats from 0 to 1"):
        MixPlan(told.sources, told.partners, torch.tensor([0.2, float("nan")])).check(9)
    with pytest.raises(InputError, match="must hold sources"):
        MixPlan(told.sources, told.partners, torch.ones(3))


def test_the_same_generator_gives_the_same_plan() -> None:
    labels = torch.arange(40) % 4
    for settings_ in ({}, {"method": "cutmix", "mixed_fraction": 0.3}, {"mixed_fraction": 0.4, "share_kind": "legacy"}):
        one, two, other = (Mix(**settings_).draw(labels, (8, 8), generator(seed), batch_size=16) for seed in (1, 1, 2))
        assert torch.equal(one.ratios, two.ratios) and torch.equal(one.partners, two.partners)
        assert not torch.equal(one.ratios, other.ratios)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"method": "mixupp"}, 'did you mean "mixup"'),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"mixed_fraction": 1.5}, "mixed_fraction must be between 0 and 1"),
        ({"share_kind": "about"}, "share_kind must be one of"),
        ({"ratio": "image"}, "ratio must be one of"),
        ({"pairs": "acros"}, 'did you mean "across"'),
    ],
)
def test_wrong_settings_are_named(wrong: dict, part: str) -> None:
    with pytest.raises(InputError) as caught:
        Mix(**wrong)
    assert part in str(caught.value)
    with pytest.raises(InputError, match="generator must be given"):
        mixup_batch(images_of(2), torch.arange(2), 2)
