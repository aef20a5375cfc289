"""Advice: what was measured, which faults were found, and what is proposed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolewise.advice.deviation import Candidate, as_row
from rolewise.advice.gradient_probe import Pull, Speed
from rolewise.advice.rules import Choice
from rolewise.diagnosis.fault_kinds import TeacherDiagnosis

VERSION = 1
#: Said where no setting that is proposed would undo what is wrong with the teacher.
NOTHING_PROPOSED = "Nothing is proposed before the teacher's faults are corrected: do that, and run the command again."
#: Said where nothing but the diagnosis was wanted.
DIAGNOSIS_ALONE = "The teacher alone was looked at (--check): leave --check out for a proposal on how to distil."


@dataclass(frozen=True)
class AdviceCost:
    """The expected cost of the proposal, on the device of the measurements.

    Args:
        seconds_per_step: of one optimiser step.
        steps: of one training of the student.
        training: seconds of one such training.
        trainings: of students in the whole comparison.
        search: seconds of a search for the student's own augmentation, beside.
        members: of that search.
    """

    seconds_per_step: float
    steps: int
    training: float
    trainings: int
    search: float
    members: int


@dataclass(frozen=True)
class Advice:
    """Advice on distillation for a teacher, a student and their images.

    Args:
        title: name of the student.
        sanity: the checks of the teacher, and its faults.
        teacher: measures of the teacher on the validation images; empty where the diagnosis alone was wanted.
        student: measurements of the student; None where it is not trained.
        softness: the teacher's entropy on training images, as a share of log K, by temperature; empty where nothing is
            proposed, as all that follows.
        candidates: augmentations and mixings.
        pulls: the methods' gradients.
        choices: the proposed settings, with reasons.
        overlay: the choices as settings of an experiment.
        speed: of a step.
        cost: of the whole.
        notes: limits of the advice.
    """

    title: str
    sanity: TeacherDiagnosis
    teacher: Mapping[str, float]
    student: Mapping[str, float] | None
    softness: Mapping[float, float]
    candidates: tuple[Candidate, ...]
    pulls: tuple[Pull, ...]
    choices: tuple[Choice, ...]
    overlay: Mapping[str, Any]
    speed: Speed | None
    cost: AdviceCost | None
    notes: tuple[str, ...]

    @classmethod
    def without_proposal(
        cls,
        title: str,
        sanity: TeacherDiagnosis,
        notes: tuple[str, ...],
        teacher: Mapping[str, float] | None = None,
        student: Mapping[str, float] | None = None,
    ) -> Advice:
        """Returns advice that proposes nothing.

        Args:
            title: name of the student.
            sanity: the checks of the teacher.
            notes: among them the reason.
            teacher: measures of the teacher; None where it was not measured further.
            student: measures of the student; None likewise.
        """
        return cls(title, sanity, teacher or {}, student, {}, (), (), (), {}, None, None, notes)

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults."""
        return tuple(fault.name for fault in self.sanity.faults)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values; what is not finite is None."""
        sanity = self.sanity
        values = {
            "version": VERSION,
            "title": self.title,
            "faults": [dataclasses.asdict(one) for one in sanity.faults],
            "sanity": {
                "accuracy": sanity.accuracy,
                "images": sanity.images,
                "smallest_gain": sanity.smallest_gain,
                "thresholds": dataclasses.asdict(sanity.thresholds),
                "reading": dataclasses.asdict(sanity.reading),
                "tried": [dataclasses.asdict(one) for one in sanity.tried],
                "rivals": [dataclasses.asdict(one) for one in sanity.rivals],
            },
            "teacher": dict(self.teacher),
            "student": dict(self.student) if self.student is not None else None,
            "softness": {f"{t:g}": entropy for t, entropy in self.softness.items()},
            "candidates": [as_row(one) for one in self.candidates],
            "gradients": [dataclasses.asdict(one) for one in self.pulls],
            "choices": [dataclasses.asdict(one) for one in self.choices],
            "overlay": dict(self.overlay),
            "speed": dataclasses.asdict(self.speed) if self.speed is not None else None,
            "cost": dataclasses.asdict(self.cost) if self.cost is not None else None,
            "notes": list(self.notes),
        }
        plain: dict[str, Any] = _plain(values)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
