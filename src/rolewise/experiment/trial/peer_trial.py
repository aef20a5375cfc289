"""A student with its peers, tried together: the roles that each method names, and its loss between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.distill import Distiller, build_methods
from rolewise.errors import InputError, RolewiseError
from rolewise.experiment.method_sections import MethodList
from rolewise.experiment.trained_peers import STUDENT
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_trial import BATCH, CPU, built
from rolewise.experiment.trial.pair_trial import input_spec
from rolewise.experiment.trial.teaching_networks import Teaching
from rolewise.models import init_from
from rolewise.tasks import build_task


def peer_trial_faults(
    at: int, section: StudentSection, methods: MethodList, teaching: Teaching, images: ImageFacts
) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for what does not go together between a student, its peers and its teachers.

    Args:
        at: place of the student.
        section: the student, which has peers.
        methods: its methods with their paths, each sound by itself.
        teaching: the models that teach it, by role.
        images: facts of the data's images.
    """
    if images.texts is not None:
        yield ("students", at, "peers"), "must be left out for texts, whose networks learn from the teacher alone"
        return
    models = {STUDENT: section.model, **{peer.name: peer.model for peer in section.peers}}
    students: dict[str, nn.Module] = {}
    for number, (role, model) in enumerate(models.items()):
        try:
            students[role] = built(model, images, CPU)
        except Exception as error:
            where: Steps = ("students", at, "model") if not number else ("students", at, "peers", number - 1, "model")
            yield where, f"must be a network that can be built: {error}"
            return
    teachers = {role: built(model, images, CPU) for role, (model, _) in teaching.items()}
    for number, peer in enumerate(section.peers):
        try:
            if peer.init == "teacher":
                init_from(students[peer.name], next(iter(teachers.values())))
        except InputError as error:
            yield ("students", at, "peers", number, "init"), f"must fit: {error}"
    specs = {role: input_spec(model, images) for role, model in models.items()}
    wanted = {role: input_spec(model, images) for role, (model, _) in teaching.items()}
    for path, method in methods:
        if fault := _fault(method, students, teachers, (wanted, specs), images):
            yield path, fault


def _fault(
    method: Mapping[str, Any],
    students: dict[str, nn.Module],
    teachers: dict[str, nn.Module],
    specs: tuple[Any, Any],
    images: ImageFacts,
) -> str | None:
    """Returns the fault of one method between these networks, or None."""
    alone = len(teachers) == 1
    example = torch.zeros((BATCH, images.channels, *images.size), dtype=torch.uint8)
    try:
        Distiller(
            next(iter(teachers.values())) if alone else teachers,
            students,
            build_methods([dict(method)]),
            teacher_input=next(iter(specs[0].values())) if alone else specs[0],
            student_input=specs[1],
            example=example,
            labels=torch.arange(2 * BATCH) % 2,
            task=build_task(images.task),
        )
    except RolewiseError as error:
        return f"must go between the student, its peers and its teachers: {error}"
    return None
