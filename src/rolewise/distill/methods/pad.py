"""PAD: hard features of the teacher count less, as far as a learned variance has them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import columns, width_map, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_norm_batch
from rolewise.distill.term import Shapes, Term, through

#: Beside the variance, as in the authors' code.
LEAST = 1e-6


@method(reads="stages", name="pad", mixed_labels="sound", taps=("penultimate",), weight=1.0)
class PAD(Term):
    r"""Squared difference of features over a learned variance, and that variance's logarithm.

    .. math:: \ell_b = \frac{1}{D} \sum_d \frac{(f^t_{bd} - f^s_{bd})^2}{\epsilon + \exp v_{bd}} + v_{bd}, \quad
        v_b = \mathrm{BN}(W f^s_b + c)

    Of maps and tokens the mean over places is taken. An example whose variance is large counts less: it is hard, and
    the others are prime.

    Source: Zhang, Lan, Dai, Zeng, Bai, Chang, Wei (2020), Prime-aware adaptive distillation, section 3,
    https://www.ecva.net/papers/eccv_2020/papers_ECCV/html/3317_ECCV_2020_paper.php; the mean over entries and epsilon
    of the authors' code, which trains on the plain squared difference (``match``) for some epochs before: a phase here.
    Differs from source: a learned map to the teacher's width where the widths differ.

    Args:
        shapes: of the features: vectors [B, D], tokens [B, T, D] or maps [B, D, H, W].

    Raises:
        InputError: the forms of both features differ, or a batch of a training is one example.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        self.maps = nn.ModuleList(width_map(own, aim, name="pad") for own, aim in pairs)
        widths = [width_of(aim) for _, aim in pairs]
        self.variances = nn.ModuleList(nn.Sequential(nn.Linear(one, one), nn.BatchNorm1d(one)) for one in widths)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs."""
        losses = []
        for align, variance, (feature, aim) in zip(
            self.maps, self.variances, self.paired(student, teacher), strict=True
        ):
            own, wanted = (columns(one).mean(2) for one in (through(align, feature), aim))
            check_norm_batch(self, "pad", own)
            spread = through(variance, own)
            losses.append(((wanted - own).square() / (LEAST + spread.exp()) + spread).mean(1))
        return torch.stack(losses).sum(0)
