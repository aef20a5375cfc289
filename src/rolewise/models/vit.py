"""Vision transformers for small images: patches, a class token, and a distillation token where one is wanted.

Source: Dosovitskiy et al. (2021), https://arxiv.org/abs/2010.11929; the sizes and the token of Touvron et al. (2021,
DeiT), https://arxiv.org/abs/2012.12877.
Differs from source: patches of 4 pixels on images of up to 64, of 16 on larger ones; no stochastic depth; queries, keys
and values are three layers, of the same numbers as the fused one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS


class Block(nn.Module):
    """Attention and a layer of twice two linear maps, each after a layer norm and beside a shortcut.

    Args:
        width: D of the tokens.
        heads: of the attention; D is a multiple.
        factor: by which the layer between is wider.
    """

    def __init__(self, width: int, heads: int, factor: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(width, factor * width), nn.GELU(), nn.Linear(factor * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns tokens [B, T, D]."""
        ready = self.norm1(tokens)
        parts = [
            layer(ready).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        ]
        attended = functional.scaled_dot_product_attention(*parts)
        tokens = tokens + self.out(attended.transpose(1, 2).flatten(2))
        result: Tensor = tokens + self.mlp(self.norm2(tokens))
        return result


class VisionTransformer(nn.Module):
    """A vision transformer.

    With a distillation token there are two heads. In training the class token's logits are the network's, and those of
    the other token a tap, ``token_logits`` (see `deit_token`); afterwards the network's logits are the mean of both.

    Args:
        width: D of the tokens.
        depth: number of blocks.
        heads: of each attention.
        patch: side of a patch in pixels.
        num_classes: K.
        channels: C of the images.
        size: (H, W) of the images in pixels.
        distilled: whether there is a distillation token.

    Raises:
        InputError: a number is not positive, the width no multiple of the heads, or the size none of the patch.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        patch: int,
        num_classes: int,
        channels: int,
        size: tuple[int, int],
        distilled: bool = False,
    ) -> None:
        super().__init__()
        if min(width, depth, heads, patch) < 1 or width % heads:
            rule = "width must be a multiple of heads, and all of width, depth, heads and patch at least 1"
            raise InputError(f"{rule}, got {width}, {depth}, {heads} and {patch}")
        if size[0] % patch or size[1] % patch:
            raise InputError(f"patch must divide the size of the images, {list(size)}, got {patch}; give patch or size")
        grid = (size[0] // patch, size[1] // patch)
        self.tokens = {"prefix": 1 + distilled, "grid": grid}
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.prefix = nn.Parameter(torch.zeros(1, 1 + distilled, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + distilled + grid[0] * grid[1], width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)
        self.token_head = nn.Linear(width, num_classes) if distilled else None
        self.taps = {"patches": "patches", "penultimate": "head:input", "logits": "head"}
        for number in range(1, depth + 1):
            block = f"blocks.{number - 1}"
            self.taps |= {f"layer{number}": block}
            self.taps |= {f"{name}{number}": f"{block}.{name}" for name in ("query", "key", "value")}
        self.taps |= {f"last_{name}": self.taps[f"{name}{depth}"] for name in ("layer", "query", "key", "value")}
        if distilled:
            self.taps["token_logits"] = "token_head"
        for tokens in (self.prefix, self.positions):
            init.trunc_normal_(tokens, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init.trunc_normal_(module.weight, std=0.02)
                init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W] of the size that it was made for."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        # The batch as a dimension, not a number: exported networks take any.
        tokens = torch.cat([self.prefix.expand(patches.shape[0], -1, -1), patches], 1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        logits: Tensor = self.head(tokens[:, 0])
        if self.token_head is None:
            return logits
        other = self.token_head(tokens[:, 1])
        return logits if self.training else (logits + other) / 2


def _register(name: str, width: int, depth: int, heads: int) -> None:
    @MODELS.add(name)
    def vit(
        num_classes: int,
        channels: int = 3,
        size: tuple[int, int] = (32, 32),
        patch: int | None = None,
        depth: int = depth,
        distilled: bool = False,
    ) -> VisionTransformer:
        side = patch if patch is not None else 4 if max(size) <= 64 else 16
        return VisionTransformer(width, depth, heads, side, num_classes, channels, size, distilled)

    vit.__name__ = name
    vit.__doc__ = f"Vision transformer of width {width}, {depth} blocks and {heads} heads."


_register("vit_tiny", 192, 12, 3)
_register("vit_small", 384, 12, 6)
_register("vit_mini", 64, 4, 4)
