"""Sentences on the answers of a study: its gains of distillation, the order of its cells, axes that do not act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rolewise.statistics.answer_sentences import lack_sentence
from rolewise.statistics.study_answers import RankedCell, StudyAnswers
from rolewise.words import counted

#: The key of a study's file that adds arms with or without distillation.
ADDS_ARMS_TO_STUDY = "arms.distill: [true, false] under set:"


def study_gain_sentence(answers: StudyAnswers) -> str:
    """Returns the sentence on all gains of distillation in a study, or on what the study lacks.

    Args:
        answers: of `rolewise.statistics.study_answers.study_answers`.
    """
    if answers.missing is not None:
        return lack_sentence(answers.missing, ADDS_ARMS_TO_STUDY)
    gains = [cell.gain for cell in answers.cells if cell.gain is not None]
    distilled = sum(cell.distilled for cell in answers.cells)
    if not gains:
        return "The gain of distillation cannot be told: no finished setting has a student alone to compare with."
    better, worse = (sum(one.told and (one.improvement > 0) is side for one in gains) for side in (True, False))
    family = gains[0].family[1]
    every = "both" if family == 2 else f"all {family} together"
    among = f"beyond the noise of {every}" if family > 1 else "beyond the noise"
    left = distilled - len(gains)
    without = f"; {counted(left, 'setting')} without a counterpart" if left else ""
    return (
        f"Against the same student alone, {answers.metric.title} is better with distillation in {better} and worse in "
        f"{worse} of {counted(len(gains), 'setting')}, {among}; in {len(gains) - better - worse} it cannot be "
        f"told{without}."
    )


def _left_out(cells: Sequence[RankedCell], left: int) -> str:
    """Returns the reason for which settings have no place in the order: a seed is not finished, or has no number."""
    one = left == 1
    if all(cell.seeds < cell.of_seeds and cell.finished == cell.of_seeds for cell in cells if cell.place is None):
        return f"{'has' if one else 'have'} no number in every seed"
    return f"{'is' if one else 'are'} not finished"


def order_sentence(answers: StudyAnswers, student: str) -> str:
    """Returns the sentence on the order of a student's settings, and on how many cannot be told from the first."""
    cells = answers.of(student)
    finished = [cell for cell in cells if cell.place is not None]
    left = len(cells) - len(finished)
    unfinished = f" {counted(left, 'setting')} {_left_out(cells, left)}." if left else ""
    if len(finished) < 2:
        return f"There is no order of fewer than two finished settings.{unfinished}"
    rivals = sum(cell.is_rival for cell in finished)
    by = "on the validation set" if answers.ordered_by == "validation" else "on the test set, which then chooses"
    single = finished[0].of_seeds == 1
    why = "one seed says nothing about noise" if single else f"Holm over {len(finished) - 1}"
    return (
        f"In the order of their mean {answers.metric.title} {by}. {rivals} of the other {len(finished) - 1} cannot be "
        f"told from the first ({why}).{unfinished}"
    )


def inert_sentences(answers: StudyAnswers, labels: Mapping[str, str]) -> list[str]:
    """Returns a sentence for each part, student and arm on which some axis does not act.

    Args:
        answers: of the study.
        labels: a short name for each axis.
    """
    several = len({group[0] for group in answers.inert}) > 1
    lines = []
    for (part, student, arm), axes in answers.inert.items():
        if axes:
            where = f" in {part}" if several else ""
            names = " and ".join(labels[axis] for axis in axes)
            verb = "does" if len(axes) == 1 else "do"
            lines.append(f"{names} {verb} not act on {student}, {arm}{where}: its cells are shown once.")
    return lines


def setting_name(cell: RankedCell, answers: StudyAnswers, axes: Sequence[str]) -> str:
    """Returns the levels of a setting in the order of the axes, with its arm where its student has several.

    Args:
        cell: of the answers.
        answers: of the study.
        axes: of the study; one that does not act, or that the part does not have, is a dash.
    """
    levels = ", ".join(str(cell.levels.get(axis, "-")) for axis in axes)
    return f"{levels}; {cell.group[2]}" if cell.group[1] in answers.several_arms and axes else levels or cell.group[2]
