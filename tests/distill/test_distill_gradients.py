"""Joining two gradients, the second bounded by the first."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rolewise.distill import limit_gradients
from rolewise.errors import InputError


def test_by_hand() -> None:
    task = [torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.0]), torch.zeros(2), torch.tensor([3.0, 4.0])]
    distillation = [torch.tensor([0.0, 10.0]), torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), torch.zeros(2)]
    joined = limit_gradients(task, distillation, 0.5)
    # The norm 10 is cut to half of 5; 2 is below that; where the task does not pull, nothing may; zero stays zero.
    expected = [torch.tensor([3.0, 6.5]), torch.tensor([3.0, 6.0]), torch.zeros(2), torch.tensor([3.0, 4.0])]
    torch.testing.assert_close(joined, expected)


def test_what_only_one_side_moves_is_left_as_it_is_and_nothing_given_changes() -> None:
    first, second = torch.tensor([1.0]), torch.tensor([100.0])
    joined = limit_gradients([first, None, None, first], [None, second, None, second], 1.0)
    assert joined[0] is first and joined[1] is second and joined[2] is None
    torch.testing.assert_close(joined[3], torch.tensor([2.0]))
    assert first.item() == 1 and second.item() == 100
    assert limit_gradients([None], [None], 1.0) == [None]
    assert limit_gradients([], [], 1.0) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 1e30])
def test_no_tensor_s_distillation_exceeds_its_share(share: float) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(scale: float) -> list[Tensor]:
        return [scale * torch.randn(size, generator=generator) for size in ((3,), (4, 5), (2, 3, 3, 3))]

    task, distillation = draw(1.0), draw(7.0)
    for first, second, joined in zip(task, distillation, limit_gradients(task, distillation, share), strict=True):
        assert joined is not None
        added = joined - first
        assert added.norm() <= share * first.norm() * 1.001 + 1e-6
        expected = second * min(1.0, share * (first.norm() / second.norm()).item())
        torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-5)


def test_extremes_stay_finite_and_a_fault_stays_visible() -> None:
    tiny, huge = torch.full((4,), 1e-30), torch.full((4,), 1e18)
    for first in (tiny, huge, torch.zeros(4)):
        for second in (tiny, huge, torch.zeros(4)):
            joined = limit_gradients([first], [second], 1.0)[0]
            assert joined is not None and joined.isfinite().all()
    broken = limit_gradients([tiny], [torch.tensor([1.0, math.nan, 1.0, 1.0])], 1.0)[0]
    assert broken is not None and broken.isnan().any()


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="share must be a number of at least 0, got -1"):
        limit_gradients([], [], -1)
    with pytest.raises(InputError, match="equally many, got 1 and 0"):
        limit_gradients([None], [], 1.0)
