"""The cause of a loss that is not finite, as far as networks and images show it."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.distill import Distiller
from rolewise.inputs import prepare


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
    # The labels' term does not depend on a teacher: it tells of the student alone.
    for role, teacher in distiller.teachers.items() if distiller.methods and not term.endswith("labels") else ():
        name = "the teacher" if role == "teacher" else f'the teacher "{role}"'
        if not _finite(*teacher.state_dict().values()):
            return f"{name}'s weights are not finite: load or train it anew"
        inputs, spec = batch.view(role, "teacher"), distiller.specs[role]
        outputs = distiller.task.run(teacher, prepare(inputs, spec) if spec is not None else inputs)
        if not _finite(*(value for value in outputs.values.values() if isinstance(value, Tensor))):
            kinds = " and ".join(outputs.values)
            return f"{name}'s {kinds} are not finite: look at its input (mean and std) and at what it computes"
    if step == 0:
        return (
            "no step had been taken, so that the learning rate is not the cause: look at the student's first weights, "
            "its input (mean and std) and the term's weight"
        )
    return ""


def _finite(*tensors: Tensor) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor.is_floating_point())
