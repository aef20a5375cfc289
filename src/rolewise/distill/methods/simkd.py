"""SimKD: the student's last map becomes the teacher's, whose classifier the student reuses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.heads import head_of
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.term import Bound, Shapes, Term
from rolewise.distill.vectors import mean_square
from rolewise.errors import InputError
from rolewise.taps.names import uncompiled


@method(reads="stages", name="simkd", mixed_labels="sound", alone=True, taps=("last_map",), weight=1.0)
class SimKD(Term):
    r"""Mean squared difference of the student's projected last map to the teacher's; the teacher's head is reused.

    .. math:: \ell_b = \frac{1}{D H W} \lVert P(F^s_b) - F^t_b \rVert^2

    with a projector P that belongs to the student: ``model: {name: reused_head, arguments: {body: resnet8, width:
    64}}`` in a config, `rolewise.models.with_reused_head` elsewhere. Making a Distiller copies the teacher's
    classifier into that student, where it stays frozen: what is trained, evaluated, saved and exported is the body
    with its projector and the teacher's classifier. The labels have no weight in the source: ``label_weight: 0``.

    Source: Chen, Mei, Zhang, Wang, Feng, Chen (2022), section 3, https://arxiv.org/abs/2203.14001; reduction and
    weight of the authors' code.
    Differs from source: of maps of unequal size the larger is averaged down behind the projector, not before it; the
    classifier gets no weight decay, as it is frozen.

    Args:
        shapes: of the last maps, [B, D, H, W]: the projector's and the teacher's.

    Raises:
        InputError: the student reuses no head, or its width or classes are not the teacher's.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()

    @torch.no_grad()
    def bind(self, student: Bound, teacher: Bound) -> None:
        """Copies the teacher's classifier into the student."""
        path = getattr(uncompiled(student.network), "reused_head", None)
        [(_, wanted)] = self.paired(student.outputs, teacher.outputs)
        head = head_of("simkd", teacher, wanted, "teacher").module
        own = None if path is None else uncompiled(student.network).get_submodule(path)
        width = f"width={wanted.shape[1]}"
        if not isinstance(own, nn.Linear):
            raise InputError(
                f'"simkd" must have a student that carries a projector and the teacher\'s classifier, got a plain one; '
                f"write model: {{name: reused_head, arguments: {{body: <its name>, width: {wanted.shape[1]}}}}}, or "
                f"rolewise.models.with_reused_head(student, {width}, num_classes=...)"
            )
        if not isinstance(head, nn.Linear) or head.weight.shape != own.weight.shape:
            shape = list(head.weight.shape) if isinstance(head, nn.Linear) else type(head).__name__
            raise InputError(
                f'"simkd" must have a student whose classifier is of the teacher\'s shape, {shape}, got '
                f"{list(own.weight.shape)}; make it with {width} and the teacher's classes"
            )
        own.weight.copy_(head.weight)
        own.bias.copy_(torch.zeros_like(own.bias) if head.bias is None else head.bias)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        [pair] = self.paired(student, teacher)
        projected, wanted = same_size(*pair)
        check_same_shape(projected, wanted, "last maps [B, D, H, W]", 4)
        return mean_square(projected, wanted)
