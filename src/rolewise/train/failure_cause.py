"""Why a loss is not finite: what can be told of the networks and the images at the time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.distill import Distiller
from rolewise.inputs import InputSpec, prepare
from rolewise.logits import logits_in


@torch.no_grad()
def why(distiller: Distiller, batch: Batch, step: int, term: str) -> str:
    """Returns the cause of a term that is not finite, and the remedy; empty where the training itself ran away.

    Args:
        distiller: student, teacher and loss.
        batch: of the failed step or one soon after.
        step: index of the failed optimiser step.
        term: name of the term that is not finite.
    """
    images, teacher_images = batch.inputs, batch.views.get("teacher")
    for name, some in (("images", images), ("the teacher's images", teacher_images)):
        if isinstance(some, Tensor) and not _finite(some):
            return f"{name} are not finite, so that no loss of them is: look at what makes them"
    teacher = distiller.teacher
    # The labels' term does not depend on the teacher: it tells of the student alone.
    if teacher is not None and distiller.methods and term != "labels":
        if not _finite(*teacher.state_dict().values()):
            return "the teacher's weights are not finite: load or train it anew"
        if not _finite(_logits(teacher, images if teacher_images is None else teacher_images, distiller.teacher_input)):
            return "the teacher's logits are not finite: look at its input (mean and std) and at what it computes"
    if step == 0:
        return (
            "no step had been taken, so that the learning rate is not the cause: look at the student's first weights, "
            "its input (mean and std) and the term's weight"
        )
    return ""


def _finite(*tensors: Tensor) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor.is_floating_point())


def _logits(network: nn.Module, images: Tensor, spec: InputSpec | None) -> Tensor:
    return logits_in(network(prepare(images, spec) if spec is not None else images))
