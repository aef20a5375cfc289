"""Pairs by entropy: what a network is unsure of decides which images are mixed, or which mixed images are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.augment.mix_draws import draw_partners, draw_ratios
from rolewise.augment.mix_plan import MixPlan
from rolewise.errors import InputError

#: UNIX-KD's constants as parts of its batch of 64: the 32 most uncertain images stay, 48 rows are kept.
UNIX_CLEAN, UNIX_KEPT = 32 / 64, 48 / 64
#: Its step's default. The released commands set 10, a smooth rise.
UNIX_SHARPNESS = 1000.0
#: A partner's share below half a grey level is none.
_LEAST = 0.5 / 255


def entropy(logits: Tensor) -> Tensor:
    r"""Returns the entropy [B], in nats, of the softmax of logits [B, K].

    .. math:: H_b = -\sum_k p_{bk} \log p_{bk}
    """
    logs = logits.float().log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def keep_highest(plan: MixPlan, scores: Tensor, count: int) -> MixPlan:
    """Returns the rows of a plan that score highest, in their order; among equals the first.

    CutMixPick draws a batch twice and keeps half of the rows by the entropy of the teacher or of the student.

    Source: Wang et al. (2022), What Makes a "Good" Data Augmentation in Knowledge Distillation,
    https://arxiv.org/abs/2012.02909: two draws, 64 of 128 kept.
    Differs from source: none.

    Args:
        plan: of M rows.
        scores: [M].
        count: the number of rows that are kept, at most M.

    Raises:
        InputError: there are not as many scores as rows, or fewer rows than are to be kept.
    """
    if scores.shape != (len(plan),) or not 0 <= count <= len(plan):
        raise InputError(f"scores must be [{len(plan)}] and count at most that, got {list(scores.shape)} and {count}")
    return plan[scores.cpu().sort(descending=True, stable=True).indices[:count].sort().values]


def unix_plan(
    scores: Tensor,
    generator: torch.Generator | None,
    *,
    alpha: float = 1.0,
    ratio: str = "batch",
    fold: bool = False,
    sharpness: float = UNIX_SHARPNESS,
    partners: Tensor | None = None,
    shares: Tensor | None = None,
) -> MixPlan:
    r"""Mixes what a network is sure of, and leaves out what it is surest of: UNIX-KD's rule.

    Images are ranked by entropy from the highest, r = 0, on, and mixed with others:

    .. math:: \tilde x_r = (1 - c_r) \, x_r + c_r \, x_\mathrm{partner}, \quad
        c_r = \lambda \, \sigma\Big(w \Big(\frac{r}{B} - \frac{2b - 1}{2B}\Big)\Big), \quad b = B / 2

    The first 3/4 B rows are kept. With w = 1000 that is half a batch of clean images and a quarter of mixed ones.

    Source: Xu et al. (2020), Computation-Efficient Knowledge Distillation via Uncertainty-Aware Mixup,
    https://arxiv.org/abs/2012.09413, and its code: b = 32, k = 48 of 64, w = 1000 by default (its commands set 10).
    Differs from source: no image is mixed with itself; a share below half a grey level is none.

    Args:
        scores: [B], entropies.
        generator: of what is not given.
        alpha: of lambda's Beta distribution, above 0.
        ratio: one lambda for the ``batch``, as the source has it, or for each ``sample``.
        fold: whether a row is most of its own image.
        sharpness: w, positive.
        partners: int64 [B], each image's partner, instead of a draw.
        shares: lambda, [B] or [1], instead of a draw.
    """
    count = len(scores)
    clean, kept = round(UNIX_CLEAN * count), max(1, round(UNIX_KEPT * count))
    if partners is None:
        partners = draw_partners(torch.zeros(1, count, dtype=torch.int64), generator)[0]
    if shares is None:
        if generator is None:
            raise InputError("generator must be given where something is to be drawn, got None")
        shares = draw_ratios((count if ratio == "sample" else 1,), alpha, generator)
    ranked = scores.cpu().sort(descending=True, stable=True).indices[:kept]
    step = torch.sigmoid(sharpness * (torch.arange(kept) / count - (2 * clean - 1) / (2 * count)).double())
    part = shares.double().expand(count)[:kept] * step
    ratios = torch.maximum(part, 1 - part) if fold else 1 - part
    chosen = partners[ranked]
    # As with every plan, an image that stays as it is is its own partner.
    stays = (1 - ratios < _LEAST) | (chosen == ranked)
    return MixPlan(ranked, torch.where(stays, ranked, chosen), torch.where(stays, 1.0, ratios).float())
