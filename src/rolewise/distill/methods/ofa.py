"""OFA: stages of any kind are brought to logits by branches, and learn the teacher's with the target enhanced."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError


def separable(width: int, out: int) -> nn.Sequential:
    """Returns two depth-wise 3x3 convolutions, each with a 1x1 one, batch norm and ReLU; the first halves the size."""
    layers: list[nn.Module] = []
    for before, after, stride in ((width, width, 2), (width, out, 1)):
        layers += [nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)]
        layers += [nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class Branch(nn.Module):
    """Brings a stage to logits.

    Args:
        shape: of the stage, a map [B, D, H, W] or tokens [B, T, D].
        after: number of stages behind this one.
        classes: K.
    """

    def __init__(self, shape: Sequence[int], after: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        if len(shape) == 4:
            width = shape[1]
            for index in range(after):
                self.layers.append(separable(width << index, width << (index + 1)))
            width <<= after
            if not after:
                self.layers.append(
                    nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
                )
        else:
            width = shape[2]
            heads = 4 if width % 4 == 0 else 1
            for _ in range(max(after, 1)):
                layer = nn.TransformerEncoderLayer(
                    width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
                )
                self.layers.append(layer)
        self.classifier = nn.Linear(width, classes)

    def forward(self, stage: Tensor) -> Tensor:
        """Returns logits [B, K]."""
        for layer in self.layers:
            stage = layer(stage)
        logits: Tensor = self.classifier(stage.mean((2, 3)) if stage.ndim == 4 else stage.mean(1))
        return logits


@method(
    reads="stages",
    name="ofa",
    mixed_labels="unsound",
    taps=("stage1", "stage2", "stage3", "stage4"),
    weight=1.0,
    limits={"power": "positive", "temperature": "temperature", "branches": "not negative"},
)
class OFA(Term):
    r"""Cross-entropy of logits, of the student and of a branch behind each stage, under an enhanced target.

    .. math:: \ell_b = o(z_b) + \omega \sum_i o(h_i(F_{bi})), \quad o(z) = -\sum_k \big((p^t_k + 1_{k=y})^\epsilon -
        1_{k=y}\big) \log p_k, \quad p = \mathrm{softmax}(z / T)

    Branches h belong to the method, and no network keeps them; taps are those of the student alone, as the teacher may
    be of another kind. A power above 1 counts the target more, the surer the teacher is of it.

    Source: Hao, Guo, Han, Tang, Hu, Wang, Xu (2023), section 3, https://arxiv.org/abs/2310.19444; branches of
    separable convolutions that halve the size up to the last stage, and weights, of the authors' code.
    Differs from source: channels double up to the student's own last width, not to the teacher's where that is wider;
    branches of tokens keep their number.

    Args:
        shapes: of the student's stages from first to last: maps [B, D, H, W] or tokens [B, T, D].
        power: epsilon > 0.
        temperature: T > 0, dimensionless.
        branches: omega, weight of each branch.

    Raises:
        InputError: a tap gives neither maps nor tokens, or the networks have other classes.
    """

    targets, reads_outputs, taps_student_alone = "labels", True, True

    def __init__(self, shapes: Shapes, *, power: float = 1.0, temperature: float = 1.0, branches: float = 1.0) -> None:
        super().__init__()
        self.power, self.temperature, self.weight = power, temperature, branches
        for shape in shapes.student:
            if len(shape) not in (3, 4):
                raise InputError(f'"ofa" must tap maps or tokens of the student, got {list(shape)}; choose other taps')
        stages = list(enumerate(reversed(shapes.student)))
        self.branches = nn.ModuleList(Branch(shape, after, shapes.classes or 1) for after, shape in reversed(stages))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        check_same_shape(student.logits, teacher.logits, "logits [B, K]", 2)
        target = functional.one_hot(batch.targets, teacher.logits.shape[1]).to(teacher.logits)
        aim = ((teacher.logits / self.temperature).softmax(1) + target) ** self.power - target
        losses = [-(aim * (student.logits / self.temperature).log_softmax(1)).sum(1)]
        for branch, stage in zip(self.branches, self.tapped(student), strict=True):
            logits = through(branch, stage)
            losses.append(-self.weight * (aim * (logits / self.temperature).log_softmax(1)).sum(1))
        return torch.stack(losses).sum(0)
