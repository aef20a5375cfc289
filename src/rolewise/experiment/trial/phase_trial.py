"""The phases of a student, tried on its network: what each trains, and where its pass stops."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.config.phase_sections import Phase
from rolewise.config.schema import ExperimentConfig
from rolewise.distill.links import pairs_of
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.trained_peers import STUDENT
from rolewise.experiment.trial.selection_trial import selection_fault
from rolewise.experiment.trial.teaching_networks import Teaching
from rolewise.taps import resolve
from rolewise.train.parameter_groups import TERMS


def phase_trial_faults(
    config: ExperimentConfig, section: StudentSection, teachers: Teaching, student: nn.Module
) -> Iterator[tuple[Steps, str]]:
    """Yields (path below the phases, message) for what does not go with the networks.

    Rules for the learned parts of terms are left to the training, which alone has them.

    Args:
        config: the experiment.
        section: the student, with methods that are sound by themselves.
        teachers: models and networks that teach it, by role.
        student: its network.
    """
    try:
        phases, _ = builders.configured_methods(config, section)
    except InputError:
        return  # found where phases are checked
    # Of peers it is looked at where the training begins.
    peers = (STUDENT, *(peer.name for peer in section.peers)) if section.peers else ()
    for number, phase in enumerate(phases):
        for key in ("train", "freeze"):
            for place, rule in enumerate(getattr(phase, key)):
                if rule.role not in (TERMS, *peers):
                    for below, message in selection_fault(student, rule, (key, place)):
                        yield (number, *below), message
        for below, message in _stop(phase, teachers, student):
            yield (number, *below), message


def _stop(phase: Phase, teachers: Teaching, student: nn.Module) -> Iterator[tuple[Steps, str]]:
    if phase.stop_at is None:
        return
    if phase.label_weight:
        rule = f"must be 0 where the student's pass stops at {phase.stop_at!r}, got {phase.label_weight:g}"
        yield ("label_weight",), f"{rule}; set it to 0"
    read: list[str] = []
    for method in phase.methods or ():
        if method.reads_outputs or method.info.wants_labels:
            rule = f'must be left out where "{method.name}" reads outputs or labels, got {phase.stop_at!r}'
            yield ("stop_at",), f"{rule}; leave it out"
            return
        try:
            role = method.teacher if isinstance(method.teacher, str) else next(iter(teachers))
            teacher = student if method.info.taught_by == "itself" else teachers[role][1].module
            read += [path for path, _ in pairs_of(method, student, teacher)]
        except (InputError, KeyError):
            return  # found where the method is tried
    try:
        path = resolve(student, phase.stop_at, "student")
    except InputError as error:
        yield ("stop_at",), f"must be a tap of the student: {error}"
        return
    if path not in read:
        rule = f"must be a tap that the phase's methods read ({', '.join(read) or 'none'}), got {phase.stop_at!r}"
        yield ("stop_at",), f"{rule}; change it, or a method's student_taps"
