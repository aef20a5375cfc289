"""The teacher's deviation, against numpy and a case by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rolewise.errors import InputError
from rolewise.instruments import teacher_deviation


def test_a_case_by_hand() -> None:
    # Two classes, two samples 0.2 apart: the sample standard deviation of each is 0.2 / sqrt(2).
    means = torch.tensor([[0.4, 0.6], [0.6, 0.4]])
    assert teacher_deviation(means) == pytest.approx(0.2 / 2**0.5, abs=1e-7)
    assert teacher_deviation(means[:1].expand(5, 2)) == 0


def test_numpy_agrees() -> None:
    means = torch.rand(7, 10, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert teacher_deviation(means) == pytest.approx(means.double().numpy().std(axis=0, ddof=1).mean(), rel=1e-12)
    assert teacher_deviation(means.flip(0)) == pytest.approx(teacher_deviation(means), rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (3,), (2, 2, 2)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="mean_probabilities must be"):
        teacher_deviation(torch.from_numpy(np.zeros(shape)))
