"""Manifold distillation: tokens relate to one another as the teacher's, in an image, at a place, and at random."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.distill.token_features import same_tokens
from rolewise.distill.vectors import unit


@method(
    reads="stages",
    name="manifold",
    mixed_labels="sound",
    taps=("last_stage", "last_layer"),
    weight=1.0,
    limits={"tokens": "count"},
    parts=("within", "across", "random"),
)
class Manifold(Term):
    r"""Squared differences of the cosines between tokens of an image, tokens of a place, and tokens drawn at random.

    .. math:: \ell_b = \alpha \operatorname*{mean}_{n,m} \Delta_{bn,bm}^2 + \beta \operatorname*{mean}_{n,c}
        \Delta_{bn,cn}^2 + \gamma \frac{B}{R^2} \sum_{i \in b} \sum_j \Delta_{ij}^2, \quad
        \Delta = \cos(f^s, f^s) - \cos(f^t, f^t)

    summed over pairs of taps; i and j are R tokens drawn from the batch in each step, without repetition. The widths
    need not agree, and nothing is learned beside the student.

    Source: Hao, Guo, Jia et al. (2022), Learning efficient vision transformers via fine-grained manifold distillation,
    section 3, https://arxiv.org/abs/2107.01378; weights and R = 192 of the authors' code, whose loss on logits has the
    weight 1 beside it and labels none.
    Differs from source: given for each example. Places of maps are tokens too.

    Args:
        shapes: of the features: tokens [B, T, D] or maps [B, D, H, W], as many of both networks.
        within: alpha, weight of the tokens of an image.
        across: beta, weight of the tokens of a place.
        random: gamma, weight of the tokens drawn at random.
        tokens: R, their number.

    Raises:
        InputError: the networks have other numbers of tokens.
    """

    def __init__(
        self, shapes: Shapes, *, within: float = 4.0, across: float = 0.1, random: float = 0.2, tokens: int = 192
    ) -> None:
        super().__init__()
        self.within, self.across, self.random, self.tokens = within, across, random, tokens

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs."""
        stream, losses = context.generator(self.name), []
        for pair in self.paired(student, teacher):
            pair = same_tokens("manifold", *pair)
            count, length = pair[0].shape[:2]
            flat = [unit(tokens.flatten(0, 1)) for tokens in pair]
            own, aim = (torch.unflatten(rows, 0, (count, length)) for rows in flat)
            within = (own @ own.transpose(1, 2) - aim @ aim.transpose(1, 2)).square().mean((1, 2))
            first, second = own.transpose(0, 1), aim.transpose(0, 1)
            across = (first @ first.transpose(1, 2) - second @ second.transpose(1, 2)).square().mean((0, 2))
            drawn = torch.randperm(count * length, generator=stream)[: self.tokens].to(own.device)
            picked = [rows[drawn] for rows in flat]
            rows = (picked[0] @ picked[0].T - picked[1] @ picked[1].T).square().mean(1)
            random = rows.new_zeros(count).index_add(0, drawn // length, rows) * (count / len(drawn))
            losses.append(self.within * within + self.across * across + self.random * random)
        return torch.stack(losses).sum(0)
