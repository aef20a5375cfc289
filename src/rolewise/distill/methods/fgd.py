"""Focal and global distillation: features where objects are, weighted by the teacher's attention, and their context."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.dense_targets import box_fractions, smallest_box_weights
from rolewise.distill.global_context import GlobalContext
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError

_WEIGHTS = ("foreground", "background", "attention", "relation")


@method(
    reads="stages",
    mixed_labels="unsound",
    alone=True,
    taps=("level1", "level2", "level3", "level4", "level5"),
    limits={"temperature": "temperature"},
    parts=_WEIGHTS,
)
class FGD(Term):
    r"""Squared differences of features at objects and background, of attentions, and of features with their context.

    .. math:: \ell_b = \sum_{d,p} (\alpha M_{bp} + \beta N_{bp}) A^t_{bp} C^t_{bd} (F^s_{bdp} - F^t_{bdp})^2
        + \gamma \big(\lVert A^s_b - A^t_b \rVert_1 + \lVert C^s_b - C^t_b \rVert_1\big)
        + \lambda \lVert R_s(F^s_b) - R_t(F^t_b) \rVert^2

    summed over pairs of taps, with A = HW softmax(mean over channels of abs(F) / T) over places, C = D softmax(mean
    over places of abs(F) / T) over channels, M = 1 / n in a box that covers n places (the smallest box there), N = 1
    over the number of places outside of all boxes, and R a learned global context block of each network.

    Source: Yang, Li, Jiang, Gong, Yuan, Zhao, Yuan (2022), section 3, https://arxiv.org/abs/2111.11837; weights of the
    authors' code for RetinaNet (5e-5, 2.5e-5, 5e-5 and 5e-7 for Faster R-CNN).
    Differs from source: a box covers the places that it touches, where the code adds one more at its end; rows and
    columns are those of the box, which an early version of the code exchanges; larger maps are averaged down.

    Args:
        shapes: of the features: maps [B, D, H, W]; a learned 1x1 map is made where the widths differ.
        foreground: alpha.
        background: beta.
        attention: gamma.
        relation: lambda.
        temperature: T > 0, in the unit of the features.

    Raises:
        InputError: a tap gives no maps.
    """

    targets: ClassVar[Literal["labels", "masks", "boxes"] | None] = "boxes"

    def __init__(
        self,
        shapes: Shapes,
        *,
        foreground: float = 1e-3,
        background: float = 5e-4,
        attention: float = 5e-4,
        relation: float = 5e-6,
        temperature: float = 0.5,
    ) -> None:
        super().__init__()
        self.weights, self.temperature = (foreground, background, attention, relation), temperature
        for shape in (*shapes.student, *shapes.teacher):
            if len(shape) != 4:
                raise InputError(f"fgd must tap maps [B, D, H, W], got {list(shape)}; choose other taps")
        widths = [(own[1], other[1]) for own, other in zip(shapes.student, shapes.teacher, strict=True)]
        self.maps = nn.ModuleList(nn.Identity() if s == t else nn.Conv2d(s, t, 1) for s, t in widths)
        self.student_contexts, self.teacher_contexts = (
            nn.ModuleList(GlobalContext(width) for _, width in widths) for _ in range(2)
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over pairs and all entries."""
        alpha, beta, gamma, lam = self.weights
        boxes, losses = box_fractions(batch, "fgd"), []
        for index, pair in enumerate(self.paired(student, teacher)):
            feature, wanted = same_size(through(self.maps[index], pair[0]), pair[1])
            inside = torch.stack([smallest_box_weights(some, wanted.shape[2:]) for some in boxes]).to(wanted)
            outside = (inside == 0).to(wanted)
            outside = outside / outside.sum((1, 2), keepdim=True).clamp_min(1)
            places, channels = self.attentions(wanted)
            mask = (alpha * inside + beta * outside).flatten(1) * places
            focal = (mask[:, None] * channels[:, :, None] * (feature - wanted).square().flatten(2)).sum((1, 2))
            own = self.attentions(feature)
            attended = (own[0] - places).abs().sum(1) + (own[1] - channels).abs().sum(1)
            whole = through(self.student_contexts[index], feature) - through(self.teacher_contexts[index], wanted)
            losses.append(focal + gamma * attended + lam * whole.square().flatten(1).sum(1))
        return torch.stack(losses).sum(0)

    def attentions(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the attention of places [B, H W], whose mean is 1, and of channels [B, D], likewise."""
        size = feature.abs().flatten(2)
        places = (size.mean(1) / self.temperature).softmax(1) * size.shape[2]
        return places, (size.mean(2) / self.temperature).softmax(1) * size.shape[1]
