"""Diagnosis: the faults of a teacher, found by undoing each of them, against baselines that it should beat."""

from rolewise.diagnosis.fault_kinds import FAULTS, TeacherDiagnosis, TeacherFault, Thresholds
from rolewise.diagnosis.teacher_faults import teacher_faults

__all__ = [
    "FAULTS",
    "TeacherDiagnosis",
    "TeacherFault",
    "Thresholds",
    "teacher_faults",
]
