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


def taken_apart(
    batch: Mapping[str, Any], input_name: str | None, label_name: str | None
) -> tuple[Any, Any, Tensor | None]:
    """Returns inputs, targets and indices of a batch that is a mapping.

    Args:
        batch: tensors by name, such as ``pixel_values`` and ``labels``; ``indices`` are rows of the source.
        input_name: the inputs' key; None for all that is left: one entry is given to the networks as it is, several
            by keyword.
        label_name: the labels' key; None for the usual names.

    Raises:
        InputError: a name is not in it, or something among the inputs is no tensor.
    """
    for kind, name in (("input_name", input_name), ("label_name", label_name)):
        if name is not None and name not in batch:
            raise InputError(f"{kind} must be a name in the batch, got {name!r}{near(name, map(str, batch))}")
    label = label_name or next((name for name in LABELS if batch.get(name) is not None), None)
    targets = None if label is None else batch[label]
    if input_name is not None:
        return batch[input_name], targets, batch.get("indices")
    skipped = ("indices", *([label_name] if label_name else LABELS))
    rest = {name: value for name, value in batch.items() if name not in skipped and value is not None}
    others = [name for name, value in rest.items() if not isinstance(value, Tensor)]
    if others or not rest:
        got = f"{type(rest[others[0]]).__name__} under {others[0]!r}" if others else "none"
        raise InputError(
            f"a batch must hold tensors beside its labels, got {got}; name the inputs, as in "
            'Distiller(..., input_name="image")'
        )
    return (next(iter(rest.values())) if len(rest) == 1 else rest), targets, batch.get("indices")
