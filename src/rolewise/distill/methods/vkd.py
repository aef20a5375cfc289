"""VkD: an orthogonal map of the student's feature comes near the teacher's normalised one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.maps import columns, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.errors import InputError


def orthogonal(raw: Tensor) -> Tensor:
    """Returns the nearest of its columns' orthonormal bases in their order [M, D], M >= D; of rows where M < D.

    Args:
        raw: [M, D] of full rank.
    """
    tall = at_least_float32(raw) if raw.shape[0] >= raw.shape[1] else at_least_float32(raw).T
    basis, triangle = torch.linalg.qr(tall)
    # Signs are fixed, so that the map moves without jumps.
    basis = basis * torch.where(triangle.diagonal() < 0, -1.0, 1.0).to(basis)
    found: Tensor = basis if raw.shape[0] >= raw.shape[1] else basis.T
    return found


@method(reads="stages", name="vkd", mixed_labels="sound", alone=True, taps=("penultimate",), weight=1.0)
class VkD(Term):
    r"""Smooth difference of the student's feature, orthogonally mapped, to the teacher's, normalised.

    .. math:: \ell_b = \frac{1}{D} \sum_d \mathrm{smooth}_1\big((W f^s_b)_d - \mathrm{norm}(f^t_b)_d\big), \quad
        W^\top W = I

    with features the means over places or tokens, and norm the layer norm without gain and shift. W W' = I where the
    teacher is narrower. An orthogonal map keeps the distances between examples, so that the student must learn them.

    Source: Miles, Elezi, Deng (2024), sections 3.1 and 3.2, https://arxiv.org/abs/2403.06213; the smooth L1 distance of
    the authors' code.
    Differs from source: W is the orthonormal factor of a free matrix, where the code multiplies reflections; the set of
    maps is the same.

    Args:
        shapes: of the features: vectors [B, D], tokens [B, T, D] or maps [B, D, H, W].

    Raises:
        InputError: a tap gives another form.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        for shape in (*shapes.student, *shapes.teacher):
            if len(shape) not in (2, 3, 4):
                raise InputError(f'"vkd" must tap vectors, tokens or maps, got {list(shape)}; choose other taps')
        pairs = zip(shapes.student, shapes.teacher, strict=True)
        self.raw = nn.ParameterList(nn.init.normal_(torch.empty(width_of(aim), width_of(own))) for own, aim in pairs)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs."""
        losses = []
        for raw, pair in zip(self.raw, self.paired(student, teacher), strict=True):
            own, aim = (columns(feature).mean(2) for feature in pair)
            aim = functional.layer_norm(aim, aim.shape[1:])
            mapped = own @ orthogonal(raw).to(own).T
            losses.append(functional.smooth_l1_loss(mapped, aim, reduction="none").mean(1))
        return torch.stack(losses).sum(0)
