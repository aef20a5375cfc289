"""Rules that all cells of a study keep together: one task, and an arithmetic that is given and not chosen by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rolewise.config.faults import Steps
from rolewise.config.measure_entries import measure_entry
from rolewise.config.schema import ExperimentConfig
from rolewise.config.study import StudySection
from rolewise.foreign_code import is_import_path

#: Measured in every study, before what it asks for.
ALWAYS = "accuracy"


def cell_faults(section: StudySection, cells: Sequence[ExperimentConfig]) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for what does not fit in one table.

    Args:
        section: the study.
        cells: the experiments of its cells.
    """
    yield from _of_arithmetic(cells)
    tasks = list(dict.fromkeys(one.task_name for one in cells))
    if len(tasks) > 1:
        rule = f"must have one task in all of its cells, got {' and '.join(tasks)}: their metrics make one table"
        yield (), f"{rule}; write a study for each"
    if tasks in ([], ["classification"]):
        return
    for at, one in enumerate(measure_entry(section.measure)):
        if one.name != ALWAYS and not is_import_path(one.name):
            rule = f"must be {ALWAYS}, which stands for the metrics of the task, or your own, got {one.name!r}"
            yield ("measure", at), f"{rule}: it measures classes, and the task is {tasks[0]}; leave it out"
    for at, asked in enumerate(section.questions):
        if asked.metric == ALWAYS:
            rule = f"must be a metric of the task {tasks[0]}, which has no accuracy; name one"
            yield ("questions", at, "metric"), rule


def _of_arithmetic(cells: Sequence[ExperimentConfig]) -> Iterator[tuple[Steps, str]]:
    trainings = {"teacher": [cell.teacher.train for cell in cells]}
    for cell in cells:
        for at, student in enumerate(cell.students):
            trainings.setdefault(f"students[{at}]", []).append(student.train)
    for network, given in trainings.items():
        for name in dict.fromkeys(name for training in given for name in training.open_arithmetic):
            rule = f'{network}.train.{name} must be given in a study, got "auto": cells that each choose their own by '
            yield ("base",), f"{rule}its time cannot be compared; do one run of the base, and set what it chose"
