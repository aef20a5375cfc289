"""The construction of a Distiller: its networks by role, its task, its terms, and their trial on an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rolewise.average import Average
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.declared_checks import check_class_count, check_norms
from rolewise.distill.links import Link
from rolewise.distill.loss_term import LossTerm, make_term
from rolewise.distill.roles import by_role, check_networks
from rolewise.distill.running import unmoved
from rolewise.distill.step_state import AverageOf
from rolewise.distill.term import Bound, NetworkRun, Shapes
from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec
from rolewise.networks import modes_kept
from rolewise.seeds import check_seed
from rolewise.tasks import Classification, Task

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller


def task_of(task: Task | None, label_smoothing: float) -> Task:
    """Returns the task, classification where none is given.

    Raises:
        InputError: the smoothing is out of range, or meant for another task.
    """
    if task is None:
        return Classification(label_smoothing=label_smoothing)
    if label_smoothing:
        raise InputError(
            "label_smoothing must be 0 where a task is given; it is a setting of rolewise.tasks.Classification"
        )
    return task


def check_parts(example: object, generator: object, examples: object, labels: object) -> None:
    """Raises InputError unless what the learned parts are made from has the right types."""
    fits = isinstance(example, (Batch, Mapping, list)) or (isinstance(example, Tensor) and example.ndim)
    if example is not None and not fits:
        raise InputError(f"example must be a tensor of a few images, got {type(example).__name__}; give images[:2]")
    if not isinstance(generator, torch.Generator):
        check_seed("generator", generator)
    if examples is not None and (isinstance(examples, bool) or not isinstance(examples, int) or examples < 1):
        raise InputError(f"examples must be the number of examples in the source, got {examples!r}; give len(dataset)")
    if labels is not None:
        right = isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.ndim == 1
        if not right or (examples is not None and len(labels) != examples):  # type: ignore[arg-type]
            got = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
            rows = "N" if examples is None else examples
            raise InputError(f"labels must be int64 [{rows}], the classes of all examples of the source, got {got}")


def networks_of(
    teacher: object, student: object
) -> tuple[dict[str, nn.Module], dict[str, nn.Module], dict[str, tuple[Average, str]]]:
    """Returns teachers, students, and averages with the role of the student that each follows.

    Raises:
        InputError: something is no network, or shares weights with another (see `rolewise.distill.roles`).
    """
    teachers, students = by_role(teacher, "teacher"), by_role(student, "student")
    following = {role: teachers.pop(role) for role in list(teachers) if isinstance(teachers[role], AverageOf)}
    check_networks(teachers, students)
    averages = {}
    for role, average in following.items():
        assert isinstance(average, AverageOf)
        if average.student not in students or role in students:
            known = ", ".join(students)
            raise InputError(f"{role} must be the average of a student ({known}), got {average.student!r}")
        averages[role] = Average(students[average.student], average.decay), average.student
        averages[role][0].network.eval()
    return teachers, students, averages


def specs_of(specs: object, roles: Sequence[str], name: str) -> dict[str, InputSpec | None]:
    """Returns the input that each role's network expects.

    Args:
        specs: one for all of the roles, a mapping by role, or None.
        roles: of one kind.
        name: of the argument, for errors.

    Raises:
        InputError: something is no input, or of an unknown role.
    """
    given: dict[str, Any] = dict(specs) if isinstance(specs, Mapping) else dict.fromkeys(roles, specs)
    for role, spec in given.items() if roles or isinstance(specs, Mapping) else [(name, specs)]:
        if spec is not None and not isinstance(spec, InputSpec):
            raise InputError(f"{name} must be a rolewise.InputSpec(mean, std), got {spec!r}")
        if roles and role not in roles:
            raise InputError(f"{name} must be for {', '.join(roles)}, got {role!r}{near(role, roles)}")
    return {role: given.get(role) for role in roles}


def add_terms(distiller: Distiller, example: Any, generator: torch.Generator | int, source: Shapes) -> None:
    """Makes the terms of a Distiller, and tries them on an example where there is one.

    Args:
        distiller: with its networks, methods and links.
        example: a few inputs, a batch, or None.
        generator: of the initial weights of learned parts.
        source: number and labels of the examples in the source, as far as they were given; without features.

    Raises:
        InputError: there is no example where one is needed, or a term does not work on it.
    """
    methods, links = distiller.methods, distiller.links
    if isinstance(generator, torch.Generator):
        generator = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    if example is None:
        for method in methods:
            term = method.info.term
            if method.learns_map or method.info.estimator or (term is not None and term.needs_example):
                raise InputError(
                    f'example must be a few inputs, by which "{method.name}" finds the shapes of the features that it '
                    "learns a map between, got none; give Distiller(..., example=images[:2])"
                )
        for method, link in zip(methods, links, strict=True):
            distiller.terms[method.name] = make_term(method, distiller.task, link.pairs, Shapes(), generator)
        return
    with modes_kept(distiller), torch.no_grad():
        for network in distiller.students.values():
            network.eval()  # a few images must not move the norms' statistics
        _try(distiller, example, generator, source)
    distiller.terms.train()


def _place(distiller: Distiller, example: Any) -> torch.device:
    """Returns the device of the networks, on which an example is tried; InputError where they are on several."""
    networks = {**distiller.teachers, **distiller.students}
    places = {
        role: next(network.parameters()).device
        for role, network in networks.items()
        if any(True for _ in network.parameters())
    }
    if len(set(places.values())) > 1:
        got = ", ".join(f"{role} on {place}" for role, place in places.items())
        raise InputError(f"networks must be on one device, got {got}; move them there before, by network.to(device)")
    return next(iter(places.values()), example.device if isinstance(example, Tensor) else torch.device("cpu"))


def _try(distiller: Distiller, example: Any, generator: int, source: Shapes) -> None:
    place = _place(distiller, example)
    batch = (example if isinstance(example, Batch) else Batch(example)).to(place)
    outputs = distiller.run_all(batch)
    student = outputs[next(iter(distiller.students))]
    if batch.targets is None:
        batch = replace(batch, targets=distiller.task.example_targets(student))
    else:
        distiller.task.check(batch)
    for role in distiller.students:
        distiller.task.check_outputs(outputs[role], batch, values=False)
    if batch.indices is None:
        batch = replace(batch, indices=_trained_rows(len(batch.targets), source).to(place))
    for method, link in zip(distiller.methods, distiller.links, strict=True):
        shapes = _shapes(link, outputs, source)
        check_class_count([method], distiller.task, outputs[link.student])
        check_norms(method, distiller.network(link.teacher))
        term = make_term(method, distiller.task, link.pairs, shapes, generator)
        distiller.terms[method.name] = term.to(place)
        term.bind(*(_bound(distiller, role, kind, outputs) for role, kind in link.roles))
    distiller.terms.eval()
    before = [buffer._version for buffer in distiller.terms.buffers()]
    with unmoved(term for term in distiller.terms.values() if isinstance(term, LossTerm)):
        distiller.losses(outputs, batch, Context())
    for (name, _), version, buffer in zip(
        distiller.terms.named_buffers(), before, distiller.terms.buffers(), strict=True
    ):
        if buffer._version != version:
            raise InputError(f"terms must move their buffers in update alone, got {name!r} moved by forward")


def _bound(distiller: Distiller, role: str, kind: str, outputs: Mapping[str, Outputs]) -> Bound:
    network = distiller.network(role)
    return Bound(network, outputs[role], NetworkRun(network, distiller.task, distiller.specs[role], role, kind))


def _trained_rows(number: int, source: Shapes) -> Tensor:
    """Returns so many rows of the source, int64, of those that are trained on."""
    if source.labels is None:
        return torch.arange(number) % (source.examples or number)
    rows = (source.labels >= 0).nonzero()[:, 0].cpu()
    if not len(rows):
        raise InputError("labels must give a class to at least one example, got -1 for all")
    return rows[torch.arange(number) % len(rows)]


def _shapes(link: Link, outputs: Mapping[str, Outputs], source: Shapes) -> Shapes:
    student, teacher = outputs[link.student], outputs[link.teacher]
    logits = student.values.get("logits")
    return replace(
        source,
        student=[student.features[path].shape for path, _ in link.pairs],
        teacher=[teacher.features[path].shape for _, path in link.pairs if path],
        classes=logits.shape[1] if isinstance(logits, Tensor) and logits.ndim > 1 else None,
        teachers={
            role: [outputs[role].features[path].shape for _, path in pairs if path]
            for role, pairs in link.all_pairs.items()
        },
    )
