"""OFD: the student's features come near the teacher's where these are on, and stay below a margin elsewhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_maps, check_norm_batch, conv_norm
from rolewise.distill.term import Bound, Shapes, Term, through
from rolewise.errors import InputError
from rolewise.taps import parse_tap
from rolewise.taps.names import uncompiled


def margins_of(norm: nn.BatchNorm2d) -> Tensor:
    """Returns E[x | x < 0] of each channel, float64 [D], with x normal as the norm's shift and gain have it."""
    shift = norm.bias.detach().double()
    # Below this gain a channel is a constant, and the limit is reached.
    gain = norm.weight.detach().double().abs().clamp_min(1e-6)
    ratio = shift / gain
    # The normal density at the ratio over the probability beyond it, in a form that stays finite far out.
    mills = math.sqrt(2 / math.pi) / torch.special.erfcx(ratio / math.sqrt(2))
    margins: Tensor = (shift - gain * mills).clamp(max=0.0)
    return margins


def norm_before(network: nn.Module, path: str, width: int) -> nn.BatchNorm2d:
    """Returns the batch norm whose output is tapped: the tapped module, or the last one in it beside its shortcut.

    Args:
        network: the teacher.
        path: of the tap.
        width: D of the tapped map.

    Raises:
        InputError: there is none of that width.
    """
    modules = uncompiled(network).get_submodule(parse_tap(path).module).named_modules()
    norms = [
        module
        for name, module in modules
        if isinstance(module, nn.BatchNorm2d)
        and module.num_features == width
        and module.affine
        and not {"shortcut", "downsample"} & {*name.split(".")}
    ]
    if not norms:
        raise InputError(
            f'"ofd" must tap places behind a batch norm of the teacher, got {path!r} without one of {width} channels; '
            "tap the norm itself, or a stage that ends in one"
        )
    return norms[-1]


@method(reads="stages", name="ofd", mixed_labels="sound", taps=("stage1", "stage2", "stage3", "stage4"), weight=1e-3)
class OFD(Term):
    r"""Partial squared distance to the teacher's features, cut off below at a margin of each channel.

    .. math:: \ell_b = \sum_{i=1}^{n} 2^{i-n} \sum_{d,h,w} \begin{cases} 0 & c_i(s) \le t' \le 0 \\
        (c_i(s) - t')^2 & \text{otherwise} \end{cases}, \quad t' = \max(t, m_d), \quad m_d = E[x \mid x < 0]

    with a connector c (1x1 convolution, batch norm), and x normal with the shift and gain of the batch norm before the
    teacher's ReLU. Taps are best before that ReLU (``stages.0.1`` of small_cnn, the next block's ``bn1`` of a wide
    ResNet). Behind it, where off is 0, a teacher's zero counts as the margin.

    Source: Heo, Kim, Yun, Park, Kwak, Choi (2019), section 3, https://arxiv.org/abs/1904.01866; the sum over entries,
    halved weights of earlier stages and the weight of the authors' code for CIFAR (1e-4 for ImageNet).
    Differs from source: the margin is the exact mean for all channels, where the code falls back to -3 gains far out
    and divides by a gain of 0; larger maps are averaged down. The authors' teacher runs in training mode:
    ``teacher_mode="batch_statistics"`` comes near that.

    Args:
        shapes: of the stages from first to last: maps [B, D, H, W].

    Raises:
        InputError: a tap gives no map, or no batch norm stands before it.
    """

    reads_norms = True

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        check_maps("ofd", *shapes.student, *shapes.teacher)
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        self.connectors = nn.ModuleList(conv_norm(own[1], aim[1], fan_out=True) for own, aim in pairs)
        for index, (_, aim) in enumerate(pairs):
            self.register_buffer(f"margin{index}", torch.zeros(aim[1]))

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes the margins of the teacher's batch norms."""
        for index, (_, path) in enumerate(self.pairs):
            margin = self.get_buffer(f"margin{index}")
            margin.copy_(margins_of(norm_before(teacher.network, path, len(margin))))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over stages and entries."""
        pairs = self.paired(student, teacher)
        check_norm_batch(self, "ofd", *(feature for feature, _ in pairs))
        losses = []
        for index, (connector, (feature, aim)) in enumerate(zip(self.connectors, pairs, strict=True)):
            margin = self.get_buffer(f"margin{index}").to(aim)[:, None, None]
            aim = torch.where(aim == 0, margin, aim.maximum(margin))
            own, aim = same_size(through(connector, feature), aim)
            square = torch.where((own <= aim) & (aim <= 0), 0.0, (own - aim).square())
            losses.append(2.0 ** (index + 1 - len(pairs)) * square.flatten(1).sum(1))
        return torch.stack(losses).sum(0)
