"""Checks of a Distiller's parts and of each batch, before torch fails on them or trains on them in silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rolewise.batch import Batch, Mixture, Outputs
from rolewise.distill.method import Method
from rolewise.distill.mixed import check_mixture
from rolewise.errors import InputError

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller


def methods_of(methods: object, *, taught: bool) -> tuple[Method, ...]:
    """Returns configured methods as a tuple.

    Args:
        methods: a list of configured methods.
        taught: whether there is a second network to learn from.

    Raises:
        InputError: it is no list of configured methods, or there is no network to learn from.
    """
    if isinstance(methods, (str, Mapping, Method)) or not isinstance(methods, Iterable):
        raise InputError(f"methods must be a list of configured methods, got {_said(methods)}")
    listed = tuple(methods)
    for method in listed:
        if not isinstance(method, Method):
            raise InputError(f"methods must be a list of configured methods, got one that is {_said(method)}")
    if listed and not taught:
        raise InputError("methods must have a teacher to read, got none; give a teacher or leave the methods out")
    return listed


def _said(value: object) -> str:
    """Returns a description of something given in place of methods, and the right way to write it."""
    if isinstance(value, Method):
        return f'"{value.info.name}" alone; write methods=[rw.{value.info.name}(...)]'
    if isinstance(value, str):
        return f"the text {value!r}; write methods=[rw.{value if value.isidentifier() else 'kd'}()]"
    if isinstance(value, Mapping):
        return "a mapping; write methods=rolewise.distill.build_methods([{...}])"
    if isinstance(value, (list, tuple)) and not all(isinstance(part, Method) for part in value):
        return "a pair or list of other things; a weight is the method's own: write methods=[rw.kd(weight=0.9)]"
    if isinstance(value, (list, tuple)):
        return "a list, as combinations are; write methods=[*rw.ii_kd(), ...]"
    if callable(value):
        name = getattr(value, "__name__", "kd")
        return f"the function {name}; call it, as in methods=[rw.{name}()], or register a loss of your own"
    return f"{value!r}; write methods=[rw.kd()], or methods=[] for none"


def batch_of(inputs: Any, targets: Any, teacher_images: Any, mixture: Mixture | None) -> Batch:
    """Returns a batch: the one that was given as such, or one of the single arguments.

    Raises:
        InputError: a batch is given, and something beside it.
    """
    if not isinstance(inputs, Batch):
        views = {} if teacher_images is None else {"teacher": teacher_images}
        return Batch(inputs, targets, None, views, mixture)
    for name, value in (("targets", targets), ("teacher_images", teacher_images), ("pairs", mixture)):
        if value is not None:
            raise InputError(
                f"{name} must be left out where a Batch is given, got one beside it; put it into the Batch"
            )
    return inputs


def check_batch(distiller: Distiller, batch: Batch) -> None:
    """Raises InputError unless a batch is one for the task, the networks and the methods; no values are read."""
    methods = distiller.methods
    if batch.targets is not None or distiller.label_weight or any(method.info.wants_labels for method in methods):
        distiller.task.check(batch)
    for kind, roles in (("student", distiller.roles), ("teacher", distiller.teaching)):
        for role in roles:
            if distiller.specs[role] is None and getattr(batch.view(role, kind), "dtype", None) == torch.uint8:
                raise InputError("images must be floating point where a network declares no input, got uint8")
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
    """Raises InputError unless the students' outputs can be trained and go with the batch.

    Args:
        distiller: the students' own.
        outputs: by role.
        batch: the batch of the forward pass.
        learning: whether the students are being trained, so that their outputs must lead back to weights.
        call: number of the forward pass, from 1.
    """
    for role in distiller.roles:
        value = outputs[role].first
        if learning and not value.requires_grad:
            raise InputError(
                f"{role} must have a parameter that is trained, got outputs without a gradient; somebody froze it: "
                "call student.requires_grad_(True), or distiller.eval() where nothing is to be trained"
            )
        if batch.targets is not None:
            distiller.task.check_outputs(outputs[role], batch, values=due(call, value))


def due(call: int, tensor: Tensor) -> bool:
    """Returns whether a call reads the targets' values: on the CPU each does, elsewhere ever fewer.

    Reading waits for the device. The first call always does, then the second, fourth, eighth and so on.

    Args:
        call: its number, from 1.
        tensor: on the device of the targets.
    """
    kind = tensor.device.type
    if kind == "meta" or torch.compiler.is_compiling():
        return False
    if kind == "cpu":
        return True
    return not call & (call - 1) and not (kind == "cuda" and torch.cuda.is_current_stream_capturing())


def check_soft_labels(methods: Sequence[Method]) -> None:
    """Raises InputError where a method is not sound with soft labels."""
    for method in methods:
        if method.info.mixed_labels == "unsound":
            raise InputError(f'labels must be int64 [B] for "{method.info.name}", which is not sound with soft ones')
