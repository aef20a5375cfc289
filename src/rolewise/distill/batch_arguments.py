"""The batch of a call: of images and labels, of a mapping as data sets give it, with outputs computed before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from rolewise.batch import Batch, Mixture
from rolewise.distill.own_functions import LABELS
from rolewise.distill.stored_outputs import outputs_by_role
from rolewise.errors import InputError, near

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller


def batch_of(
    distiller: Distiller,
    inputs: Any,
    targets: Any,
    teacher_images: Any,
    teacher_outputs: Any,
    mixture: Mixture | None,
) -> Batch:
    """Returns a batch: the one that was given as such, or one of the single arguments.

    Args:
        distiller: with the names of inputs and labels in mappings, and the roles of its teachers.
        inputs: a tensor, a mapping, a list, or a whole batch.
        targets: of the inputs, or None.
        teacher_images: the teachers' inputs, or None.
        teacher_outputs: of the teachers, or None.
        mixture: the mixing of the images, or None.

    Raises:
        InputError: a batch is given and something beside it, or a mapping lacks a name.
    """
    if isinstance(inputs, Batch):
        beside = (targets, teacher_images, teacher_outputs, mixture)
        for name, value in zip(("targets", "teacher_images", "teacher_outputs", "pairs"), beside, strict=True):
            if value is not None:
                raise InputError(
                    f"{name} must be left out where a Batch is given, got one beside it; put it into the Batch"
                )
        return inputs
    indices = None
    # A tensor first: asking whether it is a mapping takes longer than the rest.
    if targets is None and not isinstance(inputs, Tensor) and isinstance(inputs, Mapping):
        inputs, targets, indices = taken_apart(inputs, distiller.input_name, distiller.label_name)
    views = {} if teacher_images is None else {"teacher": teacher_images}
    if teacher_outputs is None:
        return Batch(inputs, targets, indices, views, mixture)
    if teacher_images is not None:
        raise InputError("teacher_images must be left out where teacher_outputs are given: the teacher does not run")
    return Batch(inputs, targets, indices, views, mixture, outputs_by_role(distiller, teacher_outputs))
