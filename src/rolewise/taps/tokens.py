"""Tokens of a network: which of them stand for no place, and the grid of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rolewise.errors import InputError


@dataclass(frozen=True)
class TokenLayout:
    """The meaning of a network's tokens [B, T, D].

    Args:
        prefix: P, the number of class and register tokens at the front.
        grid: (H, W) of the others, row by row, or None where they have no grid (text) or a square one.
    """

    prefix: int = 0
    grid: tuple[int, int] | None = None

    def places(self, tokens: Tensor, path: str) -> Tensor:
        """Returns the tokens that stand for places, without those at the front: a map where there is a grid.

        Args:
            tokens: [B, P + H W, D]; or [B, H W, D], from before the first ones are added, where there is a grid; or
                [B, T, D] without one. What has not three dimensions is no tokens, and stays.
            path: of the tap, for the message.

        Returns:
            [B, D, H, W] where there is a grid, else [B, T - P, D].

        Raises:
            InputError: the number of tokens is another one.
        """
        if tokens.ndim != 3:
            return tokens
        count = tokens.shape[1]
        if self.grid is None:
            if count <= self.prefix:
                raise InputError(
                    f"tap {path!r} must have more tokens than the {self.prefix} of the prefix, got {count}; tap one of "
                    f"these with {path + ':token.0'!r}"
                )
            return tokens[:, self.prefix :] if self.prefix else tokens
        height, width = self.grid
        if count not in (height * width, self.prefix + height * width):
            raise InputError(
                f"tap {path!r} must have {self.prefix} + {height} x {width} tokens or those of the grid alone, got "
                f"{count}; set the network's tokens to the grid of its images"
            )
        return torch.unflatten(tokens[:, count - height * width :].transpose(1, 2), 2, self.grid)


def layout_of(network: nn.Module, module: str) -> TokenLayout | None:
    """Returns a network's declaration on the tokens of one of its modules; None where there is none.

    It does so in an attribute ``tokens``, a mapping with ``prefix``, ``grid`` or both; or in the number
    ``num_prefix_tokens``, as the vision transformers of timm do. The nearest module around the tapped one counts.

    Args:
        network: any network.
        module: path of the tapped module.

    Raises:
        InputError: the declaration is no such numbers.
    """
    around, steps = [network], module.split(".") if module else []
    for index in range(len(steps)):
        around.append(network.get_submodule(".".join(steps[: index + 1])))
    for part in reversed(around):
        declared = getattr(part, "tokens", None)
        if isinstance(declared, Mapping) and declared.keys() & {"prefix", "grid"}:
            return _checked(declared)
        prefix = getattr(part, "num_prefix_tokens", None)
        if isinstance(prefix, int) and not isinstance(prefix, bool):
            return _checked({"prefix": prefix})
    return None


def _checked(declared: Mapping[str, object]) -> TokenLayout:
    prefix, grid = declared.get("prefix", 0), declared.get("grid")
    if isinstance(prefix, bool) or not isinstance(prefix, int) or prefix < 0:
        raise InputError(f"tokens of a network must have a prefix that is a whole number of at least 0, got {prefix!r}")
    if grid is None:
        return TokenLayout(prefix)
    sides = tuple(grid) if isinstance(grid, (list, tuple)) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
        raise InputError(f"tokens of a network must have a grid of two whole numbers (H, W), got {grid!r}")
    return TokenLayout(prefix, (sides[0], sides[1]))
