"""A learned block that adds a map's attended mean to each of its places."""

from __future__ import annotations

from torch import Tensor, nn


class GlobalContext(nn.Module):
    """Adds to each place of a map [B, D, H, W] the learned transform of its attended mean; nothing at first.

    Source: Cao, Xu, Lin, Wei, Hu (2019), https://arxiv.org/abs/1904.11492, with the first weights of FGD (see
    `rolewise.distill.methods.fgd`).
    Differs from source: none.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        middle = max(1, width // 2)
        self.attention = nn.Conv2d(width, 1, 1)
        self.transform = nn.Sequential(
            nn.Linear(width, middle), nn.LayerNorm(middle), nn.ReLU(), nn.Linear(middle, width)
        )
        nn.init.kaiming_normal_(self.attention.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.attention.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.transform[3].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.transform[3].bias)  # type: ignore[arg-type]

    def forward(self, feature: Tensor) -> Tensor:
        """Returns the map with its context."""
        places = self.attention(feature).flatten(2).softmax(2)
        context = (feature.flatten(2) * places).sum(2)
        result: Tensor = feature + self.transform(context)[:, :, None, None]
        return result
