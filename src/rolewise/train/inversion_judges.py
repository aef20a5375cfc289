"""The networks that judge images made out of a teacher's batch norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.networks import class_logits, evaluating
from rolewise.taps import Taps
from rolewise.train.generator_objective import still
from rolewise.train.image_losses import agreed_divergence_loss, moments_of, statistics_loss

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def tracked_norms(teacher: nn.Module, method: str) -> dict[str, nn.Module]:
    """Returns a teacher's batch norms that keep running statistics, by path.

    Args:
        teacher: any network.
        method: its name, for the message.

    Raises:
        InputError: there is none.
    """
    norms = {
        name: module
        for name, module in teacher.named_modules()
        if isinstance(module, _NORMS) and module.running_mean is not None
    }
    if not norms:
        raise InputError(
            f"teacher must have batch norms with running statistics for {method}, got "
            f"{type(teacher).__name__} without one; train beside a generator instead (dafl_objective)"
        )
    return norms


class InversionJudges:
    """A teacher with batch norms and a student, both in eval mode and without gradients of their own.

    Args:
        teacher: a classifier with batch norms that keep running statistics.
        student: a classifier of the same classes.
        method: its name, for messages.

    Raises:
        InputError: the teacher has no such batch norm.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, method: str) -> None:
        norms = tracked_norms(teacher, method)
        self.teacher, self.student, self.norms = teacher, student, list(norms.values())
        self._taps = Taps(teacher, [f"{name}:input" for name in norms])
        self.widths = [norm.get_buffer("running_mean").numel() for norm in self.norms]

    def judged(
        self, images: Tensor, labels: Tensor, before: tuple[Tensor, Tensor], momentum: float
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """Returns the terms of images, and the statistics at all batch norms' inputs.

        Args:
            images: [B, C, H, W].
            labels: int64 [B].
            before: means and variances of earlier batches, each [D], D the sum of the norms' widths.
            momentum: weight of these beside those of the batch, in [0, 1].

        Returns:
            ``labels``, ``statistics`` and ``adversarial``, scalars; means and variances [D], without gradients.
        """
        with evaluating(self.teacher), evaluating(self.student), still(self.teacher, self.student):
            output, features = self._taps.run(lambda: self.teacher(images))
            teacher, student = class_logits(output), class_logits(self.student(images))
        now = [moments_of(features[path]) for path in self._taps.paths]
        kept = list(zip(*(side.split(self.widths) for side in before), strict=True))
        moved = [
            (momentum * old[0] + (1 - momentum) * new[0], momentum * old[1] + (1 - momentum) * new[1])
            for old, new in zip(kept, now, strict=True)
        ]
        parts = {
            "labels": functional.cross_entropy(teacher, labels),
            "statistics": statistics_loss(moved, self.norms, first=1.0),
            "adversarial": agreed_divergence_loss(student, teacher),
        }
        return parts, (
            torch.cat([mean.detach() for mean, _ in now]),
            torch.cat([variance.detach() for _, variance in now]),
        )
