"""The section of a role in a config: a teacher's is that of a network that is trained on labels alone."""

from __future__ import annotations

from rolewise.config.network_sections import StudentSection
from rolewise.config.schema import ExperimentConfig


def teacher_section(config: ExperimentConfig) -> StudentSection:
    """Returns the teacher as a network that is trained on labels alone."""
    teacher = config.teacher
    mix = teacher.mix
    if mix.pairs == "teacher_entropy":
        # Of a training, the network that is trained is its student.
        mix = mix.model_copy(update={"pairs": "student_entropy"})
    return StudentSection(
        name="role-teacher",
        model=teacher.model,
        images=teacher.images,
        train=teacher.train,
        mix=mix,
        init=teacher.init,
    )


def section_of(config: ExperimentConfig, role: str) -> StudentSection:
    """Returns the section of a role: the teacher's, or the student's of that name."""
    if role == "teacher":
        return teacher_section(config)
    return next(student for student in config.students if student.name == role)
