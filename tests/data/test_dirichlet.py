"""The division into parts of uneven classes: every row once, few classes or all, and parts without a row."""

from __future__ import annotations

import pytest
import torch

from rolewise.data import dirichlet_parts
from rolewise.errors import InputError
from rolewise.seeds import generator


@pytest.mark.parametrize("concentration", [0.1, 100.0])
def test_every_row_is_in_one_part_and_few_parts_have_all_classes(concentration: float) -> None:
    labels = torch.arange(400) % 8
    parts, again = (dirichlet_parts(labels, 5, concentration, generator(3, "division")) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(parts, again, strict=True))
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(400))
    held = [len(labels[rows].unique()) for rows in parts]
    assert (sum(held) / 5 < 6) if concentration < 1 else held == [8] * 5


def test_shares_of_a_class_have_the_mean_and_the_spread_of_the_distribution() -> None:
    # A share of one class over P parts has mean 1 / P and variance (P - 1) / (P^2 (P a + 1)).
    labels, shares = torch.arange(4000) % 200, []
    for rows in dirichlet_parts(labels, 4, 0.5, generator(0, "division")):
        shares.append(torch.bincount(labels[rows], minlength=200) / 20)
    found = torch.stack(shares).double()
    assert float(found.mean()) == pytest.approx(1 / 4)
    assert float(found.var()) == pytest.approx(3 / (16 * 3), rel=0.15)


def test_a_part_without_a_row_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"clients must have .* number \d+ of 12 has none at .* 0\.01; use fewer clients"
    ):
        dirichlet_parts(torch.arange(30) % 3, 12, 0.01, generator(0, "division"), "clients")
