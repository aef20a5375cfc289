"""Augmentation of tokens: dropout, swaps, masks and cuts, by what a plan holds and nothing else."""

from __future__ import annotations

import pytest
import torch
from text_toys import FACTS, table_of, texts_of
from torch import Tensor

from rolewise.augment import OPS, TOKEN_OPS, Plan, Policy, Triple, apply, apply_to_tokens, build_schedule
from rolewise.augment.ops import number_of
from rolewise.augment.token_augmentation import TokenRules, uniforms
from rolewise.errors import InputError

RULES = TokenRules(FACTS.padding, FACTS.mask, FACTS.special)


def plan_of(name: str, value: float, draws: Tensor) -> Plan:
    count = len(draws)
    return Plan(torch.full((count, 1), number_of(name)), torch.full((count, 1), value), draws[:, None])


def draws_of(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))


def rows_of(texts: dict[str, Tensor]) -> list[list[int]]:
    """Gives the tokens without padding, and checks that masks fit them."""
    ids, mask = texts["input_ids"], texts["attention_mask"]
    assert mask.diff(dim=1).le(0).all() and ids[mask == 0].eq(0).all()
    return [row[there.bool()].tolist() for row, there in zip(ids, mask, strict=True)]


@pytest.mark.parametrize("name", list(TOKEN_OPS))
def test_strength_0_is_the_identity_and_special_tokens_stay(name: str) -> None:
    texts = texts_of(40, longest=12).batch(torch.arange(40))
    same, _ = apply_to_tokens(texts, plan_of(name, 0.0, draws_of(40)), RULES)
    assert all(same[key].equal(texts[key]) for key in texts)
    for value in (0.3, 1.0):
        moved, _ = apply_to_tokens(texts, plan_of(name, value, draws_of(40)), RULES)
        for before, after in zip(rows_of(texts), rows_of(moved), strict=True):
            assert after[0] == 2 and after[-1] == 3 and len(after) >= 3
            assert 2 not in after[1:-1] and 3 not in after[1:-1]
            if name == "token_swap":
                assert sorted(before) == sorted(after)
            if name in ("token_dropout", "span_cut"):
                remaining = iter(before)
                assert all(token in remaining for token in after), "what stays keeps its order"


def test_more_strength_takes_the_same_tokens_and_more() -> None:
    texts = table_of([list(range(10, 36))] * 30).batch(torch.arange(30))
    before: list[set[int]] = [set()] * 30
    for value in (0.1, 0.3, 0.6, 0.9):
        hidden, _ = apply_to_tokens(texts, plan_of("token_mask", value, draws_of(30)), RULES)
        now = [set(row.nonzero().flatten().tolist()) for row in hidden["input_ids"] == 4]
        assert all(small <= large for small, large in zip(before, now, strict=True))
        before = now
        short, _ = apply_to_tokens(texts, plan_of("token_dropout", value, draws_of(30)), RULES)
        assert [28 - len(row) for row in rows_of(short)] == [min(25, len(one)) for one in now], "the same tokens"
        assert abs(sum(map(len, now)) / (30 * 26) - value) < 0.05


def test_values_worked_by_hand() -> None:
    texts = table_of([[10, 11, 12, 13, 14], [20]]).batch(torch.arange(2))
    draws = torch.tensor([[0.5, 0.0], [0.5, 0.0]])
    cut, _ = apply_to_tokens(texts, plan_of("span_cut", 0.45, draws), RULES)
    # Two of five tokens go; of the four places at which a run of two may begin the draw 0.5 takes the third.
    assert rows_of(cut) == [[2, 10, 11, 14, 3], [2, 20, 3]] and cut["input_ids"].shape == (2, 5)
    swapped, _ = apply_to_tokens(texts, plan_of("token_swap", 1.0, draws), RULES)
    assert rows_of(swapped) == [[2, 11, 10, 13, 12, 14, 3], [2, 20, 3]]
    other = torch.tensor([[0.5, 0.9]] * 2)
    assert rows_of(apply_to_tokens(texts, plan_of("token_swap", 1.0, other), RULES)[0])[0] == [2, 10, 12, 11, 14, 13, 3]
    gone, _ = apply_to_tokens(texts, plan_of("token_dropout", 1.0, draws), RULES)
    assert [len(row) for row in rows_of(gone)] == [3, 3]


def test_a_pair_keeps_what_parts_it_and_its_types() -> None:
    table = table_of([[10, 11, 3, 20, 21, 22]], seconds=torch.tensor([4], dtype=torch.int32))
    texts = table.batch(torch.arange(1))
    for name in TOKEN_OPS:
        for seed in range(20):
            moved, _ = apply_to_tokens(texts, plan_of(name, 0.5, draws_of(1, seed)), RULES)
            (row,) = rows_of(moved)
            types = moved["token_type_ids"][0].tolist()
            assert row.count(3) == 2
            first = row.index(3)
            assert all(token < 20 or token == 4 for token in row[:first]) and types[: first + 1] == [0] * (first + 1)
            assert types[first + 1 : len(row)] == [1] * (len(row) - first - 1)


def test_tags_move_with_their_tokens() -> None:
    texts = table_of([[10, 11, 12, 13, 14, 15]] * 20).batch(torch.arange(20))
    tags = torch.where(texts["input_ids"] >= 10, texts["input_ids"] - 10, -100)
    for name in ("token_dropout", "token_swap", "span_cut"):
        moved, own = apply_to_tokens(texts, plan_of(name, 0.5, draws_of(20)), RULES, tags)
        assert own is not None and own.equal(
            torch.where(moved["input_ids"] >= 10, moved["input_ids"] - 10, torch.tensor(-100))
        )


def test_chances_are_uniform_and_unrelated() -> None:
    found = uniforms(draws_of(4000), 16).double()
    assert found.min() >= 0 and found.max() < 1
    assert (found.mean(0) - 0.5).abs().max() < 0.02 and (found.var(0) - 1 / 12).abs().max() < 0.006
    assert (torch.corrcoef(found.T) - torch.eye(16)).abs().max() < 0.06


def test_policies_draw_tokens_and_plans_are_told_from_those_of_images(tmp_path) -> None:
    policy = Policy((Triple("token_mask", 1.0, 0.4), Triple("span_cut", 1.0, 1.0)), counts=(0.0, 0.0, 1.0))
    plan = policy.draw(6, (1, 1, 9), torch.Generator().manual_seed(0))
    assert sorted(plan.describe(0)) == ["span_cut 0.5 fraction of the text", "token_mask 0.2 fraction of the tokens"]
    images = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match="ops must be -1 to"):
        apply(images, plan)
    texts = texts_of(6).batch(torch.arange(6))
    for_images = build_schedule("randaugment").at(0).draw(6, (1, 8, 8), torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="ops must be of tokens"):
        apply_to_tokens(texts, for_images, RULES)
    with pytest.raises(InputError, match="plan must be for 6 texts, got one for 5"):
        apply_to_tokens(texts, plan[0:5], RULES)
    with pytest.raises(InputError, match="token_mask must have a mask token"):
        apply_to_tokens(texts, plan, TokenRules(0, None, (0, 2, 3)))
    assert not OPS.keys() & TOKEN_OPS.keys()
    texts_schedule = build_schedule("trivialaugment", ops=tuple(TOKEN_OPS))
    texts_schedule.save(tmp_path / "s.json")
    assert type(texts_schedule).load(tmp_path / "s.json").to_json() == texts_schedule.to_json()
