"""Checks of a Distiller's parts and of each batch, before torch fails on them or trains on them in silence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.declared_checks import check_class_count
from rolewise.distill.method import Method
from rolewise.distill.mixed import check_mixture
from rolewise.distill.single_process import check_first_levels
from rolewise.distill.weight_balance import check_label_weight
from rolewise.errors import InputError
from rolewise.networks import is_stacked

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller

#: After so many forward passes it is looked at what has moved, and after so many steps of the student it is told.
_PASSES, _STEPS = 20, 3


def moment_of(context: Any, progress: float, steps: int) -> Context:
    """Returns the moment of a call: the context that was given, or one of the progress.

    Args:
        context: a `rolewise.Context`, or None.
        progress: the fraction of training done.
        steps: the number of steps taken.

    Raises:
        InputError: the context is none, there is a progress beside it, or the progress is not in [0, 1].
    """
    if context is None:
        context = Context(progress, steps)
    elif progress:
        raise InputError(
            "progress must be left out where a context is given, got one beside it; put it into the context"
        )
    if not isinstance(context, Context):
        raise InputError(
            f"context must be a rolewise.Context, got {type(context).__name__}; rows of the source go into "
            "rw.Batch(images, labels, indices)"
        )
    if not 0 <= context.progress <= 1:
        raise InputError(
            f"progress must be the fraction of training done, from 0 to 1, got {context.progress!r}; "
            "divide the steps done by those of the whole training"
        )
    return context


def check_batch(distiller: Distiller, batch: Batch) -> None:
    """Raises InputError unless a batch is one for the task, the networks and the methods; no values are read."""
    several = distributed.is_available() and distributed.is_initialized()
    if several and distiller.training and torch.is_grad_enabled() and not distiller.joins_rows:
        # Before the students run, since that sets them.
        check_first_levels(distiller.students.values())
    methods = distiller.methods
    if distiller.subtracting:
        active = distiller.active
        check_label_weight([one for one in methods if active is None or one.name in active], distiller.label_weight)
    if batch.targets is not None or distiller.label_weight:
        distiller.task.check(batch)
    elif readers := [method.name for method in methods if method.info.targets]:
        raise InputError(f'labels must be given, as "{readers[0]}" reads them, got none; give them, or leave it out')
    for kind, roles in (("student", distiller.roles), ("teacher", distiller.teaching)):
        for role in roles:
            if distiller.specs[role] is None and getattr(batch.view(role, kind), "dtype", None) == torch.uint8:
                raise InputError(
                    "images must be floating point where a network declares no input, got uint8; give images.float() "
                    f"/ 255, or Distiller(..., {kind}_input=rw.InputSpec(mean, std)), which takes pixels as they are"
                )
    for name, view in batch.views.items():
        _check_view(name, view, batch)
    if batch.mixture is not None and distiller.task.name != "classification":
        raise InputError(
            f"pairs must be left out for the task {distiller.task.name}: only classes can be mixed, got some"
        )
    if batch.mixture is not None:
        check_mixture(methods, batch, distiller.teaching)
    soft = isinstance(batch.targets, Tensor) and batch.targets.ndim == 2 and batch.targets.is_floating_point()
    if soft and distiller.task.rows_hold == "logits":
        check_soft_labels(methods)
    if batch.indices is None:
        for term in distiller.listed_terms():
            if term.needs_indices:
                raise InputError(
                    f'indices must be given for "{term.name}", which keeps a memory of each example: call '
                    "distiller(rw.Batch(images, labels, indices))"
                )


def _check_view(name: str, view: Any, batch: Batch) -> None:
    if type(view) is not type(batch.inputs):
        raise InputError(f"{name}_images must be a {type(batch.inputs).__name__}, got {type(view).__name__}")
    unmixed = batch.mixture is not None and batch.mixture.targets == "outputs"
    if isinstance(view, (Tensor, list)) and len(view) != len(batch.inputs) and not unmixed:
        raise InputError(f"{name}_images must be of the same {len(batch.inputs)} examples, got {len(view)}")


def check_outputs(
    distiller: Distiller, outputs: Mapping[str, Outputs], batch: Batch, *, learning: bool, call: int
) -> None:
    """Raises InputError unless the students' outputs can be trained and go with the batch; warns of unmoved parts.

    Args:
        distiller: the students' own.
        outputs: by role.
        batch: the batch of the forward pass.
        learning: whether the students are being trained, so that their outputs must lead back to weights.
        call: number of the forward pass, from 1.
    """
    for role in distiller.roles:
        value = outputs[role].first
        if call == 1:
            check_class_count(distiller.methods, distiller.task, outputs[role])
        # In a phase, the learned parts of terms may be all that is trained.
        if learning and not value.requires_grad and distiller.active is None and not is_stacked(value):
            raise InputError(
                f"{role} must have a parameter that is trained, got outputs without a gradient; somebody froze it: "
                "call student.requires_grad_(True), or distiller.eval() where nothing is to be trained"
            )
        if batch.targets is not None and not distiller.ends:
            distiller.task.check_outputs(outputs[role], batch, values=due(call, value))
    if learning:
        distiller._state.learned.look(distiller)


def due(call: int, tensor: Tensor) -> bool:
    """Returns whether a call reads the targets' values: on the CPU each does, elsewhere ever fewer.

    Reading waits for the device. The first call always does, then the second, fourth, eighth and so on.

    Args:
        call: its number, from 1.
        tensor: on the device of the targets.
    """
    kind = tensor.device.type
    if kind == "meta" or torch.compiler.is_compiling() or is_stacked(tensor):
        return False
    if kind == "cpu":
        return True
    return not call & (call - 1) and not (kind == "cuda" and torch.cuda.is_current_stream_capturing())


def check_soft_labels(methods: Sequence[Method]) -> None:
    """Raises InputError where a method is not sound with soft labels."""
    for method in methods:
        if method.info.mixed_labels == "unsound":
            raise InputError(f'labels must be int64 [B] for "{method.info.name}", which is not sound with soft ones')


class LearnedParts:
    """Watches a training's first steps: where the student moves and no learned part does, there is one warning."""

    def __init__(self) -> None:
        self._passes = 0
        #: At the first pass: how often what is trained had been written, the same of learned parts, and their values.
        self._first: tuple[list[int], list[int], list[Tensor]] | None = None
        self._done = False

    def look(self, distiller: Distiller) -> None:
        """Takes note of a forward pass from which the student learns.

        There is no warning of learned parts without a gradient, since others may train them, nor where torch
        does not count the student's steps: fused optimisers, `torch.func` and sharded training.
        """
        if self._done or distiller.active is not None or torch.compiler.is_compiling():
            return
        self._passes += 1
        if self._passes > 1 and self._passes % _PASSES:
            return
        terms = [term for term in distiller.listed_terms() if any(one.requires_grad for one in term.parameters())]
        learned = [one for term in terms for one in term.parameters() if one.requires_grad]
        written, of_learned = ([one._version for one in part] for part in (distiller.trainable_parameters(), learned))
        if self._first is None or (len(written), len(learned)) != (len(self._first[0]), len(self._first[1])):
            self._first, self._done = (written, of_learned, [one.detach().clone() for one in learned]), not learned
        elif max(now - then for now, then in zip(written, self._first[0], strict=True)) >= _STEPS:
            # A fused optimiser moves without being counted, one of rate 0 is counted and moves nothing.
            still = of_learned == self._first[1] and all(map(torch.equal, learned, self._first[2]))
            self._first, self._done = None, True
            if still and all(one.grad is not None for one in learned):
                named = ", ".join(f'"{term.name}"' for term in terms)
                warnings.warn(
                    f"the student has moved and the learned parts of {named} have not: give the optimiser "
                    "distiller.trainable_parameters() instead of student.parameters()",
                    stacklevel=7,
                )


def call_term(name: str, term: Any, student: Outputs, teacher: Any, batch: Batch, context: Context) -> Any:
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
    """Yields (place, tensor) of all that a method is given, as far as torch counts its changes."""
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
