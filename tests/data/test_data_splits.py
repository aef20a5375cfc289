"""Splits, subsets, the seal."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rolewise.data import ImageData, SealedTest, shuffled, split, stratified_subset
from rolewise.errors import InputError, RunError


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=20, max_size=200), st.integers(0, 5), st.integers(1, 9), st.integers(0, 9))
def test_parts_are_disjoint_complete_and_stratified(labels, seed, validation, test) -> None:
    target = torch.tensor(labels)
    parts = split(target, validation=validation, test=test, seed=seed)
    whole = torch.cat([parts.train, parts.validation, parts.test])
    assert sorted(whole.tolist()) == list(range(len(labels)))
    assert (len(parts.validation), len(parts.test)) == (validation, test)
    for part in (parts.train, parts.validation):
        for label in range(5):
            share = (target == label).float().mean().item() * len(part)
            assert abs(int((target[part] == label).sum()) - share) <= 2.0


def test_a_split_is_a_function_of_its_seed() -> None:
    labels = torch.arange(100) % 10
    one, two, other = (split(labels, validation=0.2, test=10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.train, two.train) and not torch.equal(one.train, other.train)
    assert len(one.validation) == 20 and labels[one.validation].bincount().tolist() == [2] * 10


def test_impossible_splits_are_refused() -> None:
    labels = torch.arange(10)
    with pytest.raises(InputError, match="must leave"):
        split(labels, validation=5, test=5, seed=0)
    with pytest.raises(InputError, match="at least 0"):
        split(labels, validation=-1, test=0, seed=0)
    with pytest.raises(InputError, match="1 to 10"):
        stratified_subset(torch.arange(10), labels, 11, 0)


def test_a_smaller_subset_is_part_of_a_larger_one() -> None:
    labels = torch.arange(300) % 10
    indices = torch.arange(50, 250)
    small, large = (set(stratified_subset(indices, labels, num, 3).tolist()) for num in (20, 90))
    assert small < large <= set(indices.tolist())
    assert labels[torch.tensor(sorted(small))].bincount().tolist() == [2] * 10


def test_the_test_set_opens_once() -> None:
    data = ImageData(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.long), ("a",))
    sealed = SealedTest(data, torch.tensor([0, 2]))
    assert len(sealed) == 2 and sealed.open("the end").indices.tolist() == [0, 2]
    with pytest.raises(RunError, match="the end"):
        sealed.open("again")


def test_image_data_is_checked() -> None:
    good = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    for images, labels, part in (
        (good.float(), torch.zeros(2, dtype=torch.long), "uint8"),
        (good[:, :2], torch.zeros(2, dtype=torch.long), "C 1 or 3"),
        (good, torch.zeros(3, dtype=torch.long), "one for each"),
        (good, torch.full((2,), 5), "0 to 0"),
        (good[:0], torch.zeros(0, dtype=torch.long), "empty"),
    ):
        with pytest.raises(InputError, match=part):
            ImageData(images, labels, ("a",))
    assert sorted(shuffled(torch.arange(9), torch.Generator().manual_seed(0)).tolist()) == list(range(9))
