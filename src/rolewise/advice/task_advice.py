"""Advice on an experiment of another task than classes of images, or on texts: what applies, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.advice import rules
from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.case import Effort
from rolewise.advice.dense_rules import dense_choices
from rolewise.advice.result import DIAGNOSIS_ALONE, NOTHING_PROPOSED
from rolewise.advice.rules import Choice
from rolewise.advice.task_faults import TaskDiagnosis, further_numbers, task_faults
from rolewise.advice.task_result import TaskAdvice
from rolewise.advice.task_sections import task_faults_section
from rolewise.advice.term_gradients import term_pulls
from rolewise.advice.text_classes import text_classes
from rolewise.config.network_sections import StudentSection
from rolewise.data import TextData
from rolewise.diagnosis.fault_kinds import Thresholds
from rolewise.distill.settings import method_name
from rolewise.experiment import builders
from rolewise.experiment.seed_data import SeedData
from rolewise.seeds import generator
from rolewise.tasks import class_info
from rolewise.train import Metrics, evaluate

_NO_PIXELS = "normalisation, channel_order, input_size and norm_mode are of pixels, and texts have none: not tried."
_NO_ORDER = (
    "class_order is found by counting right answers, and {task} has none for a whole {example}: not tried{classes}."
)
_NO_SIZE = "input_size: what {task} predicts may lie in pixels of the images as they are: no other size was tried."
_NO_RIVALS = "weak_teacher compares right answers with the commonest class and the nearest mean image: not for {what}."
_NO_ENTROPY_OF_PLACES = (
    "softening, temperature and label weight are measured of one distribution over classes for a whole {example}, "
    "which {task} has none of: what papers on it set is proposed, without a measurement."
)
_NO_ENTROPY = (
    "softening, temperature and label weight follow from the entropy and the right answers of one distribution over "
    "classes for each example, which {task} has none of: the config's own stay."
)
_NO_DEVIATION = (
    "augmentation and mixing follow from how much a teacher's mean answer for a whole image moves, which means nothing "
    "for {what}: search them, or compare presets as arms."
)
#: Methods that were made for a task, or for encoders of texts.
_MADE_FOR = {
    "detection": ("ld", "fgd", "defeat", "pearson_kd"),
    "segmentation": ("cwd", "pairwise", "cirkd", "ifvd"),
    "texts": ("hidden_cosine", "patient", "tinybert_hidden", "minilm", "minilm_v2"),
}


def _no_methods(what: str) -> str:
    """Returns the sentence on the choice of methods: there is no evidence on it, and where it would come from."""
    made = _MADE_FOR.get(what, ())
    names = f" Made for {what} are {', '.join(f'`{name}`' for name in made)} (docs/methods.md)." if made else ""
    return (
        f"methods: no comparison of this tool's is on {what}, so that there is no reason to change those of the "
        f"config, which stay.{names} `rolewise compare --methods NAMES --data CONFIG` compares some on these data."
    )


def advise_task(
    data: SeedData,
    section: StudentSection,
    teacher: nn.Module,
    student: nn.Module,
    *,
    effort: Effort,
    held_out: bool | None,
    on_step: Callable[[str], None] = lambda text: None,
    on_diagnosis: Callable[[AdviceSection], None] = lambda section: None,
    check: bool = False,
) -> TaskAdvice:
    """Measures what applies to a task, and names what does not.

    Args:
        data: of the seed; its test set stays sealed.
        section: the student's, of the config.
        teacher: trained, on the device.
        student: as its training would begin with it.
        effort: of the measurements.
        held_out: whether the teacher has not been trained on the validation images; None where nobody knows.
        on_step: called with a line before each step.
        on_diagnosis: called with what was found of the teacher as soon as it is known.
        check: end with the diagnosis of the teacher, and propose nothing.
    """
    config, task = data.config, builders.configured_task(data.config)
    texts = isinstance(data.source, TextData)
    order = torch.randperm(len(data.validation), generator=generator(data.seed, "advice", "sample"))
    chosen = data.validation[order[: effort.images]]
    methods = [dict(one) for one in (config.distill.methods or ({"name": "kd"},))]
    what = "texts" if texts else f"{task.name}"
    measures: dict[str, str] = {}
    choices: list[Choice] = []
    labels, absent = config.distill.label_weight, []
    info, example = class_info(task), "text" if texts else "image"
    of_classes = f"; where outputs are in another order, {info.title} of the classes is near 0" if info else ""
    no_order = _NO_ORDER.format(task=task.name, example=example, classes=of_classes)
    if texts:
        source = data.seen_by("teacher")
        assert isinstance(source, TextData)
        found = _measured(data, teacher, source, chosen)
        diagnosis = TaskDiagnosis((), (), None, found.first, found.examples, further_numbers(found, source.classes))
        absent += [_NO_PIXELS, _NO_RIVALS.format(what="texts")]
        if task.name == "classification":
            on_step("teacher: its outputs")
            diagnosis, measures, made = text_classes(data, section, teacher, source, chosen, diagnosis, effort)
            degrees, weight = made
            choices += [degrees] if any(rules.softened(method_name(one)) for one in methods) else []
            choices.append(weight)
            labels = float(weight.value)
            methods = rules.configured(methods, degrees.value, labels)
        else:
            absent += [no_order, _NO_ENTROPY.format(task=task.name)]
    else:
        spec = data.pixel_spec(config.teacher.model)
        rows = data.final_indices(section.images, unseen=True)[: effort.images]
        diagnosis = task_faults(
            teacher,
            task,
            data.source,
            chosen,
            train_images=data.source.batch(rows).cpu(),
            spec=spec,
            device=data.device,
            thresholds=Thresholds(),
            seed=data.seed,
            on_step=on_step,
        )
        absent += [no_order, _NO_SIZE.format(task=task.name), _NO_RIVALS.format(what=what)]
        methods, published, whole = dense_choices(task.name, methods)
        choices += published
        labels = labels if whole is None else whole
        absent.append((_NO_ENTROPY if whole is None else _NO_ENTROPY_OF_PLACES).format(task=task.name, example=example))
    if not check:
        absent += [_NO_DEVIATION.format(what=what), _no_methods(what)]
    reading, measures = diagnosis.reading, {**diagnosis.further, **measures}
    on_diagnosis(task_faults_section(task.metrics[0], diagnosis))
    beyond = bool(diagnosis.faults) and (reading is None or reading.reverse or reading.recomputed)
    if check or beyond:
        notes = (DIAGNOSIS_ALONE if check else NOTHING_PROPOSED,)
        empty: dict[str, Any] = {}
        return TaskAdvice(
            section.name, task.name, task.metrics[0], diagnosis, measures, (), (), empty, tuple(absent), notes
        )
    on_step("student: gradients")
    read = None if reading is None else reading.spec
    pulls = term_pulls(data, section, teacher, student, methods, read, effort)
    methods, weighed = rules.weights(methods, pulls, labels or 1.0)
    overlay: dict[str, Any] = {"name": f"{config.name[:32]}-advised", "distill": {"methods": methods}}
    if choices:
        overlay["distill"]["label_weight"] = labels
    if read is not None and diagnosis.faults:
        overlay["teacher"] = {"model": {"mean": list(read.mean), "std": list(read.std)}}
    return TaskAdvice(
        section.name,
        task.name,
        task.metrics[0],
        diagnosis,
        measures,
        tuple(pulls),
        (*choices, *weighed),
        overlay,
        tuple(absent),
        _notes(held_out),
    )


def _measured(data: SeedData, teacher: nn.Module, source: TextData, chosen: Tensor) -> Metrics:
    return evaluate(
        teacher, source, chosen, None, batch_size=64, device=data.device, task=builders.configured_task(data.config)
    )


def _notes(held_out: bool | None) -> tuple[str, ...]:
    seen = {
        None: "Nobody here knows whether the teacher was trained on the validation examples, which would flatter it.",
        False: "The teacher was trained on the validation examples, which flatter it.",
    }
    last = (
        "No student was trained: the proposal is a starting point, and only a comparison on several seeds decides "
        "whether it is better. `rolewise validate ADVICE.yaml --cost` estimates how long it takes."
    )
    return (*((seen[held_out],) if held_out in seen else ()), last)
