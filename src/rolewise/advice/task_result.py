"""Advice on a task: the faults that were found, and what is proposed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolewise.advice.gradient_probe import Pull
from rolewise.advice.rules import Choice
from rolewise.advice.task_faults import TaskDiagnosis
from rolewise.metric_info import MetricInfo


@dataclass(frozen=True)
class TaskAdvice:
    """Advice on distillation for a teacher and a student of a task, or of texts.

    Args:
        title: name of the student.
        task: the task's name.
        info: its first metric.
        diagnosis: the teacher's faults.
        measures: further measures of the teacher by name, as text.
        pulls: the methods' gradients.
        choices: the proposed settings, with reasons.
        overlay: the choices as settings over the experiment's.
        absent: a sentence for each diagnosis or rule that does not apply.
        notes: limits of the advice.
    """

    title: str
    task: str
    info: MetricInfo
    diagnosis: TaskDiagnosis
    measures: Mapping[str, str]
    pulls: tuple[Pull, ...]
    choices: tuple[Choice, ...]
    overlay: Mapping[str, Any]
    absent: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults."""
        return tuple(fault.name for fault in self.diagnosis.faults)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        values = dataclasses.asdict(self)
        values["info"] = {"key": self.info.key, "title": self.info.title}
        return {"version": 1, "faults": [dataclasses.asdict(one) for one in self.diagnosis.faults], **values}
