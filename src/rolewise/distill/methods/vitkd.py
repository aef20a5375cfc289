"""ViTKD: shallow tokens are imitated, and deep ones generated from those that a mask leaves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import as_map, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.token_features import as_tokens, same_tokens
from rolewise.seeds import uniform_rows


@method(
    reads="stages",
    name="vitkd",
    mixed_labels="sound",
    alone=True,
    taps=("layer1", "layer2", "last_layer"),
    weight=1.0,
    limits={"masked": "fraction"},
    parts=("shallow", "deep"),
)
class ViTKD(Term):
    r"""Summed squared differences: of shallow layers through linear maps, and of masked tokens of the deepest.

    .. math:: \ell_b = \alpha \sum_{i < n} \lVert W_i f^s_{bi} - f^t_{bi} \rVert^2 + \frac{\beta}{\lambda}
        \sum_{p \in M_b} \lVert G(M_b(W_n f^s_{bn}))_p - f^t_{bnp} \rVert^2

    The last pair of taps is the deepest. Of its tokens a fraction lambda, drawn for each example and step, is replaced
    by a learned token, and G generates all of them on their grid, by two 3x3 convolutions with ReLU between.

    Source: Yang, Li, Zeng, Li, Yuan, Li (2022), section 3, https://arxiv.org/abs/2209.02432; sums, weights and lambda
    of the authors' code, which taps layers 1, 2 and the last.
    Differs from source: places of maps are tokens too, and tokens need a square grid only where they declare none.

    Args:
        shapes: of the features: tokens [B, T, D] of a grid or maps [B, D, H, W].
        shallow: alpha, weight of all taps but the last.
        deep: beta, weight of the last.
        masked: lambda, fraction of its tokens that are generated.

    Raises:
        InputError: there is one pair of taps, or the networks have other numbers of tokens.
    """

    def __init__(self, shapes: Shapes, *, shallow: float = 3e-5, deep: float = 3e-6, masked: float = 0.5) -> None:
        super().__init__()
        self.shallow, self.deep, self.masked = shallow, deep, masked
        widths = [(width_of(own), width_of(aim)) for own, aim in zip(shapes.student, shapes.teacher, strict=True)]
        self.maps = nn.ModuleList(nn.Linear(*pair) for pair in widths)
        out = widths[-1][1]
        self.token = nn.Parameter(nn.init.normal_(torch.empty(out), 0.0, 0.02))
        self.generator = nn.Sequential(nn.Conv2d(out, out, 3, padding=1), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over layers, tokens and channels."""
        pairs = self.paired(student, teacher)
        grid = next((feature.shape[2:] for feature in pairs[-1] if feature.ndim == 4), None)
        tokens = [same_tokens("vitkd", *pair) for pair in pairs]
        mapped = [(through(part, own), aim) for part, (own, aim) in zip(self.maps, tokens, strict=True)]
        *shallow, (deepest, wanted) = mapped
        loss = sum(((own - aim).square().sum((1, 2)) for own, aim in shallow), wanted.new_zeros(len(wanted)))
        hidden = self.drawn(deepest, context)
        masked = torch.where(hidden.unsqueeze(2), self.token.to(deepest), deepest).transpose(1, 2)
        plane = as_map(masked.transpose(1, 2)) if grid is None else torch.unflatten(masked, 2, grid)
        made = as_tokens(through(self.generator, plane))
        missed = torch.where(hidden, (made - wanted).square().sum(2), 0.0).sum(1)
        return self.shallow * loss + self.deep / max(self.masked, 1e-9) * missed

    def drawn(self, tokens: Tensor, context: Context) -> Tensor:
        """Returns a mask, bool [B, T], that is True for the tokens of each example that are generated."""
        count, length = tokens.shape[:2]
        order = uniform_rows(context.generator(self.name), count, length, part=context.part).argsort(1).argsort(1)
        return (order >= int(length * (1 - self.masked))).to(tokens.device)
