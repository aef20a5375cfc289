"""Measures of a teacher that classifies texts: the order of its classes, its entropy, its right answers."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from rolewise.advice import rules
from rolewise.advice.case import Effort
from rolewise.advice.rules import Choice
from rolewise.advice.task_faults import TaskDiagnosis, TaskTrial
from rolewise.config.network_sections import StudentSection
from rolewise.data import TextData
from rolewise.diagnosis.fault_kinds import TeacherFault, Thresholds
from rolewise.diagnosis.mistakes import class_order, more_often_right, reordered_hits
from rolewise.experiment import builders
from rolewise.experiment.seed_data import SeedData
from rolewise.logits import logits_in
from rolewise.networks import evaluating
from rolewise.seeds import generator

_TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
#: Texts take no map of classes.
_REMEDY = "put the rows of the teacher's last layer into the order of the data's classes"


def text_classes(
    data: SeedData,
    section: StudentSection,
    teacher: nn.Module,
    source: TextData,
    chosen: Tensor,
    diagnosis: TaskDiagnosis,
    effort: Effort,
) -> tuple[TaskDiagnosis, dict[str, str], tuple[Choice, Choice]]:
    """Measures a classifier of texts as one of images: the order of its classes, entropy, right answers.

    Args:
        data: of the seed.
        section: the student's, of the config.
        teacher: trained.
        source: the texts as the teacher sees them.
        chosen: int64 [N], the validation texts.
        diagnosis: of the teacher so far.
        effort: of the measurements.

    Returns:
        The diagnosis with the order of classes, measures by name, and the choices of temperature and label weight.
    """
    logits, labels = _logits(data, teacher, source, chosen), source.labels[chosen]
    hits = logits.argmax(1) == labels
    moved = reordered_hits(logits, labels, generator(data.seed, "advice", "order"))
    p, gain = more_often_right(moved, hits), float(moved.double().mean() - hits.double().mean())
    rule = Thresholds()
    wrong = p <= rule.level and gain >= rule.gain and gain >= rule.repaired * float((~hits).double().mean())
    before, after = float(hits.double().mean()), float(moved.double().mean())
    tried = TaskTrial("class_order", "outputs in another order", before, after, p, wrong)
    faults: tuple[TeacherFault, ...] = ()
    if wrong:
        columns = class_order(logits, labels)
        shown = ", ".join(f"{output} for class {label}" for label, output in enumerate(columns) if label != output)
        text = f"right on {before:.1%} as it is and on {after:.1%} with outputs in another order: output {shown}"
        faults = (TeacherFault("class_order", text, _REMEDY),)
    rows = data.final_indices(section.images, unseen=True)[: effort.images]
    seen = _logits(data, teacher, source, rows)
    right = float((seen.argmax(1) == source.labels[rows]).double().mean())
    soft = {degrees: _entropy(seen / degrees) for degrees in _TEMPERATURES}
    train = builders.train_settings(section.train, data.config)
    steps = max(1, -(-len(data.final_indices(section.images, unseen=False)) // train.batch_size)) * train.epochs
    measures = {
        "entropy on training texts, share of log K": f"{soft[1.0]:.3f}",
        "right on training texts": f"{right:.1%}",
        "texts that lost their ends": f"{source.cut:,}",
    }
    known = dataclasses.replace(diagnosis, faults=faults, tried=(tried,))
    return known, measures, (rules.temperature(soft, steps, "texts"), rules.label_weight(right, "texts"))


def _entropy(logits: Tensor) -> float:
    """Returns the mean entropy of answers as a share of log K."""
    shares = torch.softmax(logits.double(), 1)
    each = -(shares * shares.clamp_min(1e-300).log()).sum(1)
    return float(each.mean() / torch.tensor(float(logits.shape[1])).log())


@torch.no_grad()
def _logits(data: SeedData, teacher: nn.Module, source: TextData, rows: Tensor) -> Tensor:
    found = []
    with evaluating(teacher):
        for part in torch.split(rows, 64):
            texts = {name: tensor.to(data.device) for name, tensor in source.batch(part).items()}
            found.append(logits_in(teacher(**texts)).cpu())
    return torch.cat(found)
