"""Outputs of teachers that were computed before: no teacher runs for a batch that brings them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError, listed, near
from rolewise.tasks import Task

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller


class StoredTeacher(nn.Module):
    """Stands for a teacher whose outputs come with each batch, where the network itself is not at hand.

    Methods that read features need `rolewise.batch.Outputs` that hold them; those that learn a map need an example that
    holds them too: ``example=rw.Batch(images, labels, outputs={"teacher": outputs})``.
    """

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Raises InputError: a batch came without the outputs."""
        raise InputError(
            "teacher_outputs must be given with each batch, as the teacher is a StoredTeacher, got none; call "
            "distiller(images, labels, teacher_outputs=logits)"
        )


def outputs_by_role(distiller: Distiller, outputs: Any) -> dict[str, Any]:
    """Returns outputs that were computed before, by the teacher's role.

    Raises:
        InputError: there is no teacher, a role is unknown, or there are several teachers and no roles.
    """
    roles = distiller.teaching
    if not roles:
        raise InputError("teacher_outputs must be left out where no method reads a teacher, got some")
    if isinstance(outputs, Mapping) and any(role in outputs for role in roles):
        for role in outputs:
            if role not in roles:
                raise InputError(
                    f"teacher_outputs must be of the teachers ({', '.join(roles)}), got {role!r}{near(role, roles)}"
                )
        return dict(outputs)
    if len(roles) > 1:
        example = "{" + ", ".join(f'"{role}": ...' for role in roles) + "}"
        raise InputError(f"teacher_outputs must be a mapping by role, as there are several teachers: {example}")
    return {roles[0]: outputs}


def given_outputs(task: Task, role: str, batch: Batch, paths: Collection[str]) -> Outputs:
    """Returns the outputs of a network that was run before.

    Args:
        task: names what the network returned.
        role: the network's.
        batch: with its outputs, and the inputs that they belong to.
        paths: of the features that methods read of it.

    Raises:
        InputError: they are of other examples or another form, of nothing that the task reads, or lack features.
    """
    value = batch.outputs[role]
    try:
        named = value if isinstance(value, Outputs) else task.run(_returned, value)  # type: ignore[arg-type]
    except InputError as error:
        keys = f" with {listed([str(key) for key in value]) or 'nothing'}" if isinstance(value, Mapping) else ""
        raise InputError(
            f"{role}_outputs must be tensors, as the network returned them, got {type(value).__name__}{keys}; give "
            f"those, or of numbers in another form torch.as_tensor(numbers)"
        ) from error
    logits = named.values.get("logits")
    if isinstance(logits, Tensor) and (not logits.is_floating_point() or logits.layout != torch.strided):
        kind = str(logits.dtype).removeprefix("torch.") + ("" if logits.layout == torch.strided else ", sparse")
        raise InputError(
            f"{role}_outputs must be logits in floating point, as the network returned them, got {kind}; labels alone "
            "go to the second argument"
        )
    if not named.values and not named.features:
        raise InputError(f"{role}_outputs must hold values or features, got neither")
    missing = [path for path in paths if path not in named.features]
    if missing:
        raise InputError(
            f"{role}_outputs must have the features that methods read, {', '.join(missing)}, got "
            f"{', '.join(named.features) or 'none'}; give rw.Outputs(values, features), or run the teacher"
        )
    inputs = batch.inputs
    if isinstance(inputs, Mapping) and inputs:
        inputs = next(iter(inputs.values()))
    unmixed = batch.mixture is not None and batch.mixture.targets == "outputs"
    first = next((value for value in named.features.values()), None) if not named.values else named.first
    assert first is not None
    if not unmixed and first.ndim and isinstance(inputs, (Tensor, list)) and len(first) != len(inputs):
        raise InputError(f"{role}_outputs must be of the same {len(inputs)} examples, got {len(first)}")
    if isinstance(inputs, Tensor) and inputs.device != first.device:
        raise InputError(
            f"{role}_outputs must be on the device of the inputs, {inputs.device}, got {first.device}; move them there"
        )
    return named.detached()


def _returned(*values: Any, **named: Any) -> Any:
    return values[0] if values else named
