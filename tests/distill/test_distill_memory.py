"""Memories and negatives: what they hold, what moves them, and from what is drawn."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from rolewise.distill.memory import Bank, Queue
from rolewise.distill.negatives import Negatives
from rolewise.errors import InputError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unit(*shape: int) -> Tensor:
    vectors = torch.randn(*shape, generator=seeded())
    return vectors / vectors.norm(dim=1, keepdim=True)


def test_a_bank_begins_as_weights_do_and_follows_what_it_is_given() -> None:
    bank = Bank(2000, 12, momentum=0.75)
    # Uniform within the root of 3 / 12.
    assert bank.values.abs().max() <= 0.5 and bank.values.square().sum(1).mean() == pytest.approx(1, rel=0.05)
    before, vectors = bank.values.clone(), unit(3, 12)
    rows = torch.tensor([7, 0, 1999])
    bank.update(rows, vectors)
    mixed = 0.75 * before[rows] + 0.25 * vectors
    torch.testing.assert_close(bank.values[rows], mixed / mixed.norm(dim=1, keepdim=True))
    others = torch.ones(2000, dtype=torch.bool).index_fill(0, rows, False)
    assert torch.equal(bank.values[others], before[others])
    assert list(bank.state_dict()) == ["values"] and not list(bank.parameters())
    other = Bank(2000, 12)
    other.load_state_dict(bank.state_dict())
    assert torch.equal(other.values, bank.values)


@pytest.mark.parametrize("number", [2, 90])
def test_both_ways_to_products_give_them_and_their_gradient(number: int) -> None:
    bank = Bank(50, 4).double()
    vectors = torch.randn(3, 4, generator=seeded(), dtype=torch.float64, requires_grad=True)
    rows = torch.randint(50, (3, number), generator=seeded())
    products = bank.products(vectors, rows)
    expected = torch.stack([torch.stack([vectors[b] @ bank.values[i] for i in rows[b]]) for b in range(3)])
    torch.testing.assert_close(products, expected)
    (gradient,) = torch.autograd.grad(products.sum(), vectors)
    torch.testing.assert_close(gradient, bank.values[rows].sum(1))


def test_a_queue_holds_the_newest() -> None:
    queue = Queue(5, 3)
    first = queue.values.clone()
    torch.testing.assert_close(first.norm(dim=1), torch.ones(5))
    written = torch.arange(1.0, 40.0)[:, None].expand(-1, 3)
    queue.update(written[:3])
    assert torch.equal(queue.values, torch.cat([written[:3], first[3:]]))
    queue.update(written[3:7])
    assert sorted(queue.values[:, 0].tolist()) == [3, 4, 5, 6, 7] and queue.written == 7
    again = copy.deepcopy(queue)
    for some in (queue, again):
        some.update(written[7:20])  # more than it holds
    assert sorted(queue.values[:, 0].tolist()) == [16, 17, 18, 19, 20] and queue.written == 20
    assert torch.equal(again.values, queue.values)
    other = Queue(5, 3)
    other.load_state_dict(queue.state_dict())
    for some in (queue, other):
        some.update(written[20:22])
    assert torch.equal(other.values, queue.values) and sorted(other.values[:, 0].tolist()) == [18, 19, 20, 21, 22]


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"momentum.* must be at least 0 and below 1, got -0.1"):
        Bank(3, 2, -0.1)
    for wrong in (0, 2.5):
        with pytest.raises(InputError, match="width must be a whole number"):
            Bank(3, wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="size must be a whole number"):
            Queue(wrong, 3)  # type: ignore[arg-type]


LABELS = torch.tensor([4, 9, 4, 9, 9, 2, 4, 2])


def test_negatives_of_other_classes_do_not_repeat_where_there_are_enough() -> None:
    negatives = Negatives(8, LABELS, other_classes=True)
    indices = torch.tensor([0, 1, 5, 6])
    drawn = negatives.draw(indices, 5, seeded())
    assert drawn.shape == (4, 5)
    for index, rows in zip(indices.tolist(), drawn.tolist(), strict=True):
        assert all(LABELS[row] != LABELS[index] for row in rows) and len(set(rows)) == 5
    # Six others of the class 2, five of each other class.
    more = negatives.draw(indices, 6, seeded())
    assert len(set(more[2].tolist())) == 6 and len(set(more[0].tolist())) < 6
    assert all(LABELS[row] != 4 for row in more[0].tolist())
    assert torch.equal(negatives.draw(indices, 5, seeded(3)), negatives.draw(indices, 5, seeded(3)))
    assert not torch.equal(negatives.draw(indices, 5, seeded(3)), negatives.draw(indices, 5, seeded(4)))


@pytest.mark.parametrize("number", [2, 9])
def test_each_example_of_another_class_is_as_likely(number: int) -> None:
    negatives, generator = Negatives(8, LABELS, other_classes=True), seeded()
    indices = torch.ones(1000, dtype=torch.int64)
    counts = torch.bincount(negatives.draw(indices, number, generator).flatten(), minlength=8)
    assert not counts[LABELS == 9].any()
    expected = 1000 * number / 5
    # Four standard deviations of a count at the most.
    assert (counts[LABELS != 9] - expected).abs().max() < 4 * expected**0.5


def test_negatives_without_classes_are_all_examples() -> None:
    negatives = Negatives(8)
    drawn = negatives.draw(torch.zeros(500, dtype=torch.int64), 3, seeded())
    counts = torch.bincount(drawn.flatten(), minlength=8)
    assert len(counts) == 8 and (counts - 187.5).abs().max() < 4 * 187.5**0.5
    with pytest.raises(InputError, match="indices must be from 0 to 7, the examples of the source, got -1"):
        negatives.draw(torch.tensor([3, -1]), 3, seeded())


def test_rows_that_are_not_trained_on_are_never_drawn() -> None:
    labels = torch.tensor([-1, 3, -1, 3, 7, 7, -1, 7])
    for other_classes, wanted in ((True, {4, 5, 7}), (False, {1, 3, 4, 5, 7})):
        negatives = Negatives(8, labels, other_classes=other_classes)
        assert negatives.number == 5
        drawn = negatives.draw(torch.tensor([1, 3]), 200, seeded())
        assert set(drawn.flatten().tolist()) == wanted
        with pytest.raises(
            InputError, match="indices must be of examples that labels gives a class, got 6, whose label"
        ):
            negatives.draw(torch.tensor([1, 6]), 2, seeded())
    with pytest.raises(InputError, match="labels must be of at least two classes for negatives of others, got 1"):
        Negatives(3, torch.tensor([2, -1, 2]), other_classes=True)
