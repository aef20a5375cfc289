"""The cost of a method that no clock measures: what a step holds in memory, and what is learned or kept beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from rolewise.errors import NonFiniteError
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.step_timing import one_batch_training
from rolewise.taps.names import names_of, uncompiled
from rolewise.train import Trainee


@dataclass(frozen=True)
class StepCosts:
    """The memory and the size of a training by one method.

    Args:
        extra_parameters: trained parameters beside the student's, such as learned maps; a projector that is deployed
            with the student is among them.
        state_bytes: of buffers beside the networks', such as a memory bank.
        step_bytes: of all that a step holds at its largest: networks, learned parts, buffers, gradients, the
            optimiser's averages, and the tensors that are kept for the backward pass. Workspaces of single operations
            are not among them.
        batch_size: images of the step.
    """

    extra_parameters: int
    state_bytes: int
    step_bytes: int
    batch_size: int

    def as_json(self) -> dict[str, int]:
        """Returns plain values."""
        return asdict(self)


def step_costs(data: SeedData, *, distilled: bool) -> StepCosts:
    """Returns the costs of one step of the first student: a step is taken, and its tensors are counted.

    The numbers follow from the config: on one kind of device they do not depend on the machine.

    Args:
        data: the data of a seed, with the experiment.
        distilled: with the teacher and the methods, or on labels alone.
    """
    section = data.config.students[0]
    trainee = one_batch_training(data, section.name, distilled=distilled)
    kept = _saved_bytes(trainee)
    held = list(trainee.distiller.parameters()) + list(trainee.distiller.buffers())
    teachers = [tensor for network in _teachers(trainee) for tensor in network.state_dict().values()]
    trained = [one for one in trainee.distiller.parameters() if one.requires_grad]
    student = sum(one.numel() for one in trainee.student.parameters() if one.requires_grad) - _projector(
        trainee.student
    )
    networks = {id(one) for network in (trainee.student, *_teachers(trainee)) for one in network.buffers()}
    beside = [one for one in trainee.distiller.buffers() if id(one) not in networks]
    averages = [value for state in trainee.optimizer.state.values() for value in state.values()]
    whole = _bytes([*held, *teachers, *(one for one in averages if isinstance(one, Tensor))]) + _bytes(trained)
    return StepCosts(
        extra_parameters=sum(one.numel() for one in trained) - student,
        state_bytes=_bytes(beside),
        step_bytes=whole + kept,
        batch_size=section.train.batch_size,
    )


def _projector(student: nn.Module) -> int:
    """Returns the number of a projector's parameters where the student has one before a reused head; else 0."""
    network = uncompiled(student)
    if getattr(network, "reused_head", None) is None:
        return 0
    return sum(one.numel() for one in network.get_submodule(names_of(network)["last_map"]).parameters())


def _teachers(trainee: Trainee) -> Iterator[nn.Module]:
    yield from getattr(trainee.distiller, "teachers", {}).values()


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Returns the bytes of tensors, each storage once."""
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
    return sum(storages.values())


def _saved_bytes(trainee: Trainee) -> int:
    """Returns the bytes of the tensors that a step keeps for its backward pass, weights and buffers left out."""
    weights = {
        one.untyped_storage().data_ptr() for one in (*trainee.distiller.parameters(), *trainee.distiller.buffers())
    }
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = max(saved.get(storage.data_ptr(), 0), storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), suppress(NonFiniteError):
        trainee.run_epoch(measured=False)
    return sum(saved.values())
