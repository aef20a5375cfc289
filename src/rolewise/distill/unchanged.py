"""The call of a method on a batch, which must leave to the other methods what it was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.errors import InputError


def called(name: str, term: Any, student: Outputs, teacher: Any, batch: Batch, context: Context) -> Any:
    """Returns the losses of one method.

    Args:
        name: of the method, for the error.
        term: the method's term.
        student: the outputs of its student.
        teacher: those of its teacher, or of each of its teachers by role, or None.
        batch: the batch as the method sees it.
        context: the training's progress, step and epoch.

    Raises:
        InputError: the method changed one of these in place, which would change every later loss without a trace.
    """
    if torch.compiler.is_compiling():
        return term(student, teacher, batch, context)
    given = dict(_tensors(student, teacher, batch))
    counts = {place: tensor._version for place, tensor in given.items()}
    losses = term(student, teacher, batch, context)
    for place, tensor in given.items():
        if tensor._version != counts[place]:
            raise InputError(
                f'"{name}" must leave what it is given as it is, and changed {place} in place, which other losses '
                "read; work on a copy: write x = x - y and not x -= y"
            )
    return losses


def _tensors(student: Outputs, teacher: Any, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """Yields (place, tensor) for what a method is given, as far as torch counts its changes."""
    teachers = teacher if isinstance(teacher, Mapping) else {"": teacher}
    named = {"student": student} | {f"teacher[{role!r}]" if role else "teacher": one for role, one in teachers.items()}
    for owner, outputs in named.items():
        if isinstance(outputs, Outputs):
            for kind, group in (("values", outputs.values), ("features", outputs.features)):
                for key, value in group.items():
                    if isinstance(value, Tensor) and not value.is_inference():
                        yield f"{owner}.{kind}[{key!r}]", value
    for key, value in (("inputs", batch.inputs), ("targets", batch.targets)):
        if isinstance(value, Tensor) and not value.is_inference():
            yield f"batch.{key}", value
