"""FCFD: features are alike where the other network's remaining stages make the same of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.continuation import Continuation
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_maps, check_norm_batch, conv_norm
from rolewise.distill.term import Bound, Shapes, Term, through
from rolewise.distill.vectors import divergence, mean_square


@method(
    reads="stages",
    name="fcfd",
    mixed_labels="sound",
    taps=("stage1", "stage2", "stage3", "stage4"),
    weight=1.0,
    limits={"temperature": "temperature"},
    parts=("appearance", "function"),
)
class FCFD(Term):
    r"""Squared differences of bridged stages, and divergences of outputs that go through both networks.

    .. math:: \ell_b = \omega \sum_i \frac{1}{D H W} \lVert c_i(F^s_{bi}) - F^t_{bi} \rVert^2 + \phi \, T^2 \Big(
        D\big(t_b, g^t_j(c_j(F^s_{bj}))\big) + D\big(t_b, g^s_j(d_j(F^t_{bj}))\big)\Big)

    with bridges c and d (3x3 convolution, batch norm, leaky ReLU) to the other network's width, g_j the rest of a
    network behind its stage j, which is drawn anew in each step, t the teacher's logits, and D the divergence of
    softened class probabilities. The student's own divergence is ``kd`` beside it.

    Source: Liu, Kan, Shan, Chen (2023), Function-consistent feature distillation, section 3,
    https://arxiv.org/abs/2304.11832; weights and T of the authors' code for most pairs of CIFAR-100 (0.02 for
    ``appearance`` of ResNet-56 -> 20 and on ImageNet).
    Differs from source: a path changes the network once, at one stage but the last; maps of other sizes are resized
    behind their bridge; the teacher's norms keep their statistics; the pooled last feature is left out.

    Args:
        shapes: of the stages from first to last: maps [B, D, H, W].
        appearance: omega, weight of the differences of features.
        function: phi, weight of both divergences.
        temperature: T > 0, dimensionless.

    Raises:
        InputError: a tap gives no map or is no module's output, or the networks have other classes.
    """

    reads_outputs, of_examples, runs_networks = True, True, True
    rests: tuple[Sequence[Continuation], Sequence[Continuation]]

    def __init__(
        self, shapes: Shapes, *, appearance: float = 5.0, function: float = 1.0, temperature: float = 4.0
    ) -> None:
        super().__init__()
        check_maps("fcfd", *shapes.student, *shapes.teacher)
        self.appearance, self.function, self.temperature = appearance, function, temperature
        widths = [(own[1], aim[1]) for own, aim in zip(shapes.student, shapes.teacher, strict=True)]
        self.to_teacher = nn.ModuleList(conv_norm(own, aim, 3, activation="leaky_relu") for own, aim in widths)
        # Behind the last stage there is no function left, but its features are compared.
        inner = widths[: max(len(widths) - 1, 1)]
        self.to_student = nn.ModuleList(conv_norm(aim, own, 3, activation="leaky_relu") for own, aim in inner)

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes the rests of both networks behind each stage."""
        inner = self.pairs[: len(self.to_student)]
        self.rests = (
            [Continuation(student.run, path) for path, _ in inner],
            [Continuation(teacher.run, path) for _, path in inner],
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        pairs = self.paired(student, teacher)
        check_norm_batch(self, "fcfd", *(feature for pair in pairs for feature in pair))
        bridged = [
            _resized(through(bridge, own), aim) for bridge, (own, aim) in zip(self.to_teacher, pairs, strict=True)
        ]
        alike = [mean_square(made, aim) for made, (_, aim) in zip(bridged, pairs, strict=True)]
        stage = int(torch.randint(len(self.to_student), (), generator=context.generator(self.name)))
        own, aim = pairs[stage]
        back = _resized(through(self.to_student[stage], aim), own)
        mixed = self.rests[1][stage](batch, bridged[stage]), self.rests[0][stage](batch, back)
        apart = [self._apart(teacher.logits, found.at_least_float32().logits) for found in mixed]
        return self.appearance * torch.stack(alike).sum(0) + self.function * (apart[0] + apart[1])

    def _apart(self, aim: Tensor, own: Tensor) -> Tensor:
        check_same_shape(own, aim, "logits [B, K]", 2)
        target, predicted = ((logits / self.temperature).log_softmax(1) for logits in (aim, own))
        return self.temperature**2 * divergence(target, predicted)


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    """Returns maps with the height and width of others, by the nearest places."""
    return maps if maps.shape[2:] == like.shape[2:] else functional.interpolate(maps, like.shape[2:], mode="nearest")
