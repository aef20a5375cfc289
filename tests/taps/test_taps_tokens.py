"""Tokens of a network: those at the front are left out where the network names them, and a grid makes a map."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rolewise as rw
from rolewise.errors import InputError
from rolewise.taps import Taps
from rolewise.taps.tokens import TokenLayout, layout_of


class Tokens(nn.Module):
    """Adds two tokens at the front of tokens that it gets; declares nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: Any = None
        self.patches, self.body, self.pool = nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images)
        tokens = self.body(torch.cat([-torch.ones_like(patches[:, :2]), patches], 1))
        result: Tensor = self.pool(tokens.mean(1))
        return result


IMAGES = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))


def tapped(network: nn.Module, *paths: str) -> list[Tensor]:
    features = Taps(network, paths).run(lambda: network(IMAGES))[1]
    return [features[path] for path in paths]


def test_without_a_declaration_tokens_stay_as_they_are() -> None:
    (body,) = tapped(Tokens(), "body")
    assert body.shape == (3, 8, 4)


def test_a_prefix_is_left_out_and_can_be_tapped_by_itself() -> None:
    network = Tokens()
    network.tokens = {"prefix": 2}
    body, token, pool = tapped(network, "body", "body:token.1", "pool")
    assert torch.equal(body, IMAGES) and torch.equal(token, -torch.ones(3, 4)) and pool.shape == (3, 4)
    with rw.tap(network, "body") as features:
        network(IMAGES)
    assert features["body"].shape == (3, 8, 4)  # a look shows all


def test_a_grid_makes_a_map_before_and_after_the_prefix_is_added() -> None:
    network = Tokens()
    network.tokens = {"prefix": 2, "grid": (2, 3)}
    for feature in tapped(network, "body", "patches", "body:input"):
        assert feature.shape == (3, 4, 2, 3)
        for row, column in ((0, 2), (1, 0)):
            assert torch.equal(feature[:, :, row, column], IMAGES[:, 3 * row + column])


def test_the_number_that_timm_gives_counts_and_the_nearest_declaration_wins() -> None:
    inner = Tokens()
    network = nn.Sequential(inner)
    network.num_prefix_tokens = 1  # type: ignore[assignment]
    assert layout_of(network, "0.body") == TokenLayout(1)
    inner.num_prefix_tokens = 2  # type: ignore[assignment]
    assert torch.equal(tapped(network, "0.body")[0], IMAGES)
    inner.tokens = {"prefix": 2, "grid": [3, 2]}
    assert layout_of(network, "0.body") == TokenLayout(2, (3, 2))
    assert layout_of(network, "") == TokenLayout(1)
    inner.tokens = {"[CLS]": 101}  # a vocabulary, and no declaration
    assert layout_of(network, "0") == TokenLayout(2)


def test_all_runs_are_laid_out_each_by_itself() -> None:
    again = nn.Identity()
    network = nn.Sequential(again, again)
    network.tokens = {"prefix": 2}  # type: ignore[assignment]
    assert torch.equal(tapped(network, "0#all")[0], torch.cat([IMAGES[:, 2:]] * 2, 1))
    network.tokens = {"prefix": 2, "grid": (2, 2)}  # type: ignore[assignment]
    (maps,) = tapped(network, "0#all")
    assert maps.shape == (3, 8, 2, 2) and torch.equal(maps[:, 4:, 1, 0], IMAGES[:, 4])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ({"prefix": -1}, "must have a prefix that is a whole number of at least 0, got -1"),
        ({"prefix": True}, "must have a prefix that is a whole number of at least 0, got True"),
        ({"grid": 14}, r"must have a grid of two whole numbers \(H, W\), got 14"),
        ({"grid": (2, 0)}, r"must have a grid of two whole numbers \(H, W\), got \(2, 0\)"),
    ],
)
def test_a_wrong_declaration_is_refused_when_taps_are_made(tokens: dict[str, object], message: str) -> None:
    network = Tokens()
    network.tokens = tokens
    with pytest.raises(InputError, match=message):
        Taps(network, ["body"])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (
            {"prefix": 2, "grid": (2, 2)},
            "tap 'body' must have 2 [+] 2 x 2 tokens or those of the grid alone, got 8; set",
        ),
        (
            {"prefix": 8},
            "tap 'body' must have more tokens than the 8 of the prefix, got 8; tap one of these with 'body:t",
        ),
    ],
)
def test_another_number_of_tokens_is_refused(tokens: dict[str, object], message: str) -> None:
    network = Tokens()
    network.tokens = tokens
    with pytest.raises(InputError, match=message):
        tapped(network, "body")
