"""Advice on how to distil: a teacher, a student and images in, measurements and a proposal out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from rolewise.advice import image_rules, rules
from rolewise.advice.case import CANDIDATES, Case, Effort, Work, lighter, policy_seed, preset_candidates, sample
from rolewise.advice.deviation import deviations
from rolewise.advice.gradient_probe import pulls, speed
from rolewise.advice.network_measures import gives_probabilities, network_measures, softness
from rolewise.advice.result import DIAGNOSIS_ALONE, NOTHING_PROPOSED, Advice, AdviceCost
from rolewise.advice.sections import faults_section
from rolewise.augment import Mix, Schedule, random_schedule
from rolewise.augment import build_schedule as build_augmentation
from rolewise.data import Source
from rolewise.diagnosis.fault_kinds import Thresholds
from rolewise.diagnosis.preprocessing import Preprocessing, plain_spec
from rolewise.diagnosis.teacher_case import multiplications
from rolewise.diagnosis.teacher_faults import teacher_faults
from rolewise.distill import METHODS, build_methods, weight_of
from rolewise.distill.settings import method_name
from rolewise.inputs import InputSpec
from rolewise.models.class_selection import all_classes
from rolewise.networks import device_of
from rolewise.train import Mixing, TrainSettings

_DEFAULT_METHODS: tuple[Mapping[str, Any], ...] = ({"name": "kd", "temperature": 4.0, "weight": 0.9},)


def advise(
    teacher: nn.Module,
    student: nn.Module,
    train: Source,
    validation: Source,
    *,
    teacher_input: InputSpec | None = None,
    student_input: InputSpec | None = None,
    trained: bool = False,
    held_out: bool | None = None,
    settings: TrainSettings | None = None,
    methods: Sequence[Mapping[str, Any]] = _DEFAULT_METHODS,
    augmentations: Sequence[str] = CANDIDATES,
    work: Work | None = None,
    effort: Effort | None = None,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda text: None,
) -> Advice:
    """Measures what is cheap, and proposes how to distil; of anyone's own networks.

    Args:
        teacher: returns logits [B, K]; it and the student are copied, and measured on its device.
        student: the student, trained or not.
        train: uint8 images that the student is trained on.
        validation: uint8 images that it is not; never those of the final test.
        teacher_input: the teacher's input; None for pixels in [0, 1].
        student_input: the student's input.
        trained: whether the student is trained already, and is to be compared with the teacher.
        held_out: whether the teacher has not been trained on the validation images; None where nobody knows.
        settings: of the student's training; 100 epochs of batches of 128 by default.
        methods: of the distillation, each a mapping with a name and settings.
        augmentations: presets that may be proposed.
        work: the trainings of the whole comparison, for its cost.
        effort: effort of the measurements.
        thresholds: thresholds of a fault.
        seed: of all draws.
        on_step: called with a line before each step.

    Raises:
        InputError: something given is wrong; it is named.
    """
    effort = effort or Effort()
    spec = plain_spec(sample(train, 1, seed).images)
    streams = [torch.Generator().manual_seed(policy_seed(seed, number)) for number in range(effort.policies)]
    policies = [random_schedule(stream, segments=1) for stream in streams]
    device = device_of(teacher)
    case = Case(
        teacher=copy.deepcopy(teacher),
        student=copy.deepcopy(student).to(device),
        train=sample(train, effort.images, seed),
        validation=sample(validation, effort.images, seed),
        teacher_input=teacher_input or spec,
        student_input=student_input or spec,
        trained=trained,
        held_out=held_out,
        settings=settings or TrainSettings(epochs=100, batch_size=min(128, len(train))),
        methods=tuple(methods),
        augmentations=preset_candidates(augmentations, train.channels),
        policies=tuple(policies),
        work=work or Work(),
        effort=effort,
        seed=seed,
        device=device,
        on_step=on_step,
    )
    return advise_case(case, thresholds)


def advise_case(case: Case, thresholds: Thresholds | None = None, *, check: bool = False) -> Advice:
    """Gives advice on a case (see `advise`), whose networks are on its device; the teacher's are turned off.

    Args:
        case: the networks and their images.
        thresholds: thresholds of a fault.
        check: end with the diagnosis of the teacher, and propose nothing.
    """
    # Their faults show before anything is measured.
    build_methods([dict(method) for method in case.methods])
    with all_classes(case.teacher) as chosen:
        sanity = teacher_faults(
            case.teacher,
            case.validation.images,
            case.validation.labels,
            train_images=case.train.images,
            train_labels=case.train.labels,
            spec=case.teacher_input,
            student=case.student if case.trained else None,
            student_spec=case.student_input,
            thresholds=thresholds,
            seed=case.seed,
            classes=chosen or None,
            on_step=case.on_step,
        )
    case.on_diagnosis(faults_section(sanity))
    case.teacher.eval()
    if check:
        return Advice.without_proposal(case.title, sanity, (DIAGNOSIS_ALONE,))
    reading, whole = sanity.reading, case
    case = lighter(case, multiplications(case.teacher, case.validation.images, Preprocessing(case.teacher_input)))
    beyond = reading.reverse or reading.recomputed or reading.classes is not None
    spec = case.teacher_input if beyond else reading.spec
    case.on_step("teacher: measures")
    teacher = network_measures(case, case.teacher, spec)
    student = network_measures(case, case.student, case.student_input) if case.trained else None
    notes = _notes(case)
    if chosen:
        notes.append(
            "Whether the teacher is fed as it was trained is judged by all of its outputs, and not by those of "
            "label_map alone: a fault shows more there."
        )
    if case is not whole:
        notes.append(
            f"The teacher is large: it is measured on at most {case.effort.images} images, and under each augmentation "
            f"on {case.effort.repeats} samples of {case.effort.batch}."
        )
    if beyond:
        notes.append(NOTHING_PROPOSED)
        return Advice.without_proposal(case.title, sanity, tuple(notes), teacher, student)
    notes += _of_proposal(case)
    soft, right = softness(case, spec, case.train)
    given, softening = rules.rescaled(case.methods, _steps(case), len(case.train.classes))
    degrees, labels = rules.temperature(soft, _steps(case)), rules.label_weight(right)
    found = deviations(case, spec)
    methods = rules.configured(given, degrees.value, labels.value)
    case.on_step("student: gradients")
    measured = pulls(case, spec, methods)
    methods, weighed = rules.weights(methods, measured, labels.value)
    epochs = case.settings.epochs
    seen = image_rules.augmentation(found, epochs, case.seed)
    mixed, mix = image_rules.mixing(found, epochs, methods, teacher.get("linearity_gap"))
    case.on_step("student: a step's time")
    schedule = _schedule(case, seen.value)
    how = Mixing(Mix(mix["method"]), mixed_fraction=weight_of(mix["share"])) if mix["method"] != "none" else None
    timed = speed(case, spec, methods, labels.value, schedule, how)
    choices = [softening] if softening is not None else []
    choices += [degrees] if any(rules.softened(method_name(method)) for method in methods) else []
    overlay: dict[str, Any] = {
        "distill": {"methods": methods, "label_weight": labels.value},
        "mix": mix,
        "augmentation": seen.value,
    }
    if spec != case.teacher_input:
        overlay["teacher_input"] = {"mean": list(spec.mean), "std": list(spec.std)}
        overlay["teacher_input"] |= {"size": list(spec.size)} if spec.size is not None else {}
    return Advice(
        case.title,
        sanity,
        teacher,
        student,
        soft,
        tuple(found),
        tuple(measured),
        (*choices, *weighed, labels, mixed, seen),
        overlay,
        timed,
        _cost(case, timed.seconds, str(seen.value)),
        tuple(notes),
    )


def _schedule(case: Case, chosen: Any) -> Schedule:
    """Returns the schedule whose steps are timed; what a screen would find costs what its policies do."""
    for given, schedule in case.augmentations.values():
        if given == chosen:
            return schedule
    return case.policies[0] if chosen == "screen" else build_augmentation("none")


def _steps(case: Case) -> int:
    """Returns the number of steps of one training of the student."""
    return max(1, -(-case.train.whole // case.settings.batch_size)) * case.settings.epochs


def _cost(case: Case, seconds: float, chosen: str) -> AdviceCost:
    """Returns the expected cost of the proposal."""
    size, work, epochs = case.settings.batch_size, case.work, case.settings.epochs
    steps = _steps(case)
    each = (work.search_images or case.train.whole) * (work.search_epochs or epochs) / size
    trainings = work.trainings * len({*work.controls, chosen})
    return AdviceCost(seconds, steps, steps * seconds, trainings, work.members * each * seconds, work.members)


def _notes(case: Case) -> list[str]:
    notes = []
    for role, model, spec in (
        ("teacher", case.teacher, case.teacher_input),
        *((("student", case.student, case.student_input),) if case.trained else ()),
    ):
        if gives_probabilities(case, model, spec):
            notes.append(
                f"The {role} returns probabilities, at least 0 and summing to 1, where logits are wanted: all that is "
                "measured and proposed here takes another softmax of them. Let it return what goes into its softmax."
            )
    if case.held_out is None:
        notes.append(
            "Nobody here knows whether the teacher was trained on the validation images; if it was, its accuracy, "
            "calibration and entropy there flatter it."
        )
    elif not case.held_out:
        notes.append(
            "The teacher was trained on the validation images: its accuracy, calibration and entropy there flatter it."
        )
    return notes


def _of_proposal(case: Case) -> list[str]:
    own = any(method_name(method) not in METHODS for method in case.methods)
    return [
        "No student was trained: the proposal is a starting point, and only a comparison on several seeds decides "
        "whether it is better. `rolewise study` makes one, and `rolewise regret` gives the proposal's regret in it.",
        f"No other method was tried; {rules.FOUND_METHODS}. `rolewise compare --methods "
        f"{','.join(rules.ABOVE_KD)} --data CONFIG` compares them on these data, over seeds and beside plain kd.",
        *(["Combined methods keep their own weights and temperatures."] if own else []),
    ]
