"""Contrastive losses of others and ours: the same memories, and the same negatives, on both sides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from official_learned import seeded
from official_terms import Loss, labels, sizes
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Shapes
from rolewise.distill.methods.crd import CRD


def _contrast() -> CRD:
    at = sizes()
    shape = [torch.Size((at.batch, at.vector))]
    settings = {"width": at.vector, "negatives": at.negatives, "negatives_from": "all"}
    term: CRD = seeded(CRD, Shapes(shape, shape, examples=at.examples), **settings)
    term.pairs, term.name = (("f", "f"),), "crd"
    return term


def _batch() -> Batch:
    return Batch(None, labels(), indices=torch.arange(sizes().batch))


def own_contrast() -> Loss:
    """Returns CRD of vectors that are embeddings already, in its first step."""
    term = _contrast()
    term.student_map, term.teacher_map = nn.Identity(), nn.Identity()  # type: ignore[assignment]

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        outputs = (Outputs({}, {"f": one[0]}) for one in (student, teacher))
        found: Tensor = term(*outputs, _batch(), Context()).mean()
        return found

    return loss


def official_contrast(criterion: Any) -> Loss:
    """Returns RepDistiller's CRD with the memories, the rows and the width of ours."""
    term, at = _contrast(), sizes()
    options = {"s_dim": at.vector, "t_dim": at.vector, "feat_dim": at.vector, "n_data": at.examples}
    loss = criterion.CRDLoss(SimpleNamespace(**options, nce_k=at.negatives, nce_t=0.07, nce_m=0.5)).to(at.dtype)
    loss.embed_s.linear, loss.embed_t.linear = nn.Identity(), nn.Identity()
    contrast = loss.contrast
    contrast.params = torch.tensor([at.negatives, 0.07, -1, -1, 0.5], dtype=at.dtype)
    contrast.memory_v1, contrast.memory_v2 = (
        bank.values.to(at.dtype) for bank in (term.student_bank, term.teacher_bank)
    )
    rows = torch.arange(at.batch)
    drawn = torch.cat([rows[:, None], term.drawn(_batch(), Context())], 1)
    return lambda s, t: loss(s[0], t[0], rows, drawn)
