"""The answers of a run: the gain of distillation over the same student alone, and the effect of augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rolewise.errors import InputError
from rolewise.metric_info import MetricInfo
from rolewise.results_format import as_current, metrics_of, values_of
from rolewise.statistics.arm_differences import ArmDifference, Entry, adjusted_differences, arm_difference
from rolewise.statistics.estimates import Estimate, estimate
from rolewise.statistics.gap_share import UNKNOWN, GapShare, gap_share
from rolewise.statistics.single_seed import share_within

#: The arms that a run lacks where it has no gain.
NOT_ALONE, NOT_DISTILLED = "no arm without distillation", "no arm with distillation"
#: Labels of a student's own searched schedule, and of the teacher's where the student takes it.
OWN, SHARED = "own", "teacher"


@dataclass(frozen=True)
class Gain(ArmDifference):
    """The gain of distillation: the difference of an arm to the same student and augmentation without distillation.

    Args:
        teacher: label of the teacher's augmentation; None where it is not known.
        teacher_score: the teacher's primary metric, over seeds; None where it was not measured.
        closed: share of the gap to the teacher that distillation closed.
    """

    teacher: str | None = None
    teacher_score: Estimate | None = None
    closed: GapShare = UNKNOWN


@dataclass(frozen=True)
class StudentAnswer:
    """The answers of a run for one student.

    Args:
        student: the student's name.
        metric: the primary metric.
        seeds: the number of seeds.
        gains: of distillation, the one that the run leads with first: under the control's augmentation, taught by the
            teacher under its own schedule where there are several. Empty where ``missing`` names a lack.
        missing: the kind of arm without which the run has no gain; None where it has both.
        effects: of augmentation, all of arms with distillation where there are such: the student's own schedule and the
            teacher's against the control, then the former against the latter; of a run with neither, each other
            augmentation against the control.
        control: label of the augmentation that the others are compared with.
        distilled: whether ``effects`` are of arms with distillation.
        augmentations: the number of those that such arms have, with numbers or without.
    """

    student: str
    metric: MetricInfo
    seeds: int
    gains: tuple[Gain, ...]
    missing: str | None
    effects: tuple[ArmDifference, ...]
    control: str
    distilled: bool
    augmentations: int = 1

    @property
    def headline(self) -> Gain | None:
        """The gain that the run leads with; None where it has none."""
        return self.gains[0] if self.gains else None


def run_answers(results: Any) -> list[StudentAnswer]:
    """Returns the answers of a run, a student each, in the order of the config.

    Differences are paired by seed. Their p values are adjusted (Holm) in four families: the gains that the run leads
    with, one a student, which no result has chosen; all other gains; all differences of an arm to its control, as in
    the table of arms (see `rolewise.statistics.comparison.compare`); and the students' own schedules against the
    teacher's. Of a run with one seed intervals are over its test images, where the test kept them.

    Args:
        results: the content of ``results.json``, of any version.

    Raises:
        InputError: a field is missing or of another kind; it is named.
    """
    try:
        current = as_current(results)
        metric = metrics_of(current)[0]
        answers = [
            _answer(current, metric, student) for student in dict.fromkeys(arm["student"] for arm in current["arms"])
        ]
        # What a run leads with is chosen before there are results, so that it is not adjusted for all the rest.
        first = iter(adjusted_differences([one for answer in answers for one in answer.gains[:1]]))
        rest = iter(adjusted_differences([one for answer in answers for one in answer.gains[1:]]))
        effects = _adjusted_effects(current, metric, [one for answer in answers for one in answer.effects])
        return [
            replace(
                answer,
                gains=tuple(next(rest if place else first) for place in range(len(answer.gains))),
                effects=tuple(effects[_key(one)] for one in answer.effects),
            )
            for answer in answers
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"results must hold seeds, teachers and arms with their fields ({error!r}); the file is damaged"
        ) from error


def _adjusted_effects(
    results: Mapping[str, Any], metric: MetricInfo, effects: Sequence[ArmDifference]
) -> dict[tuple[str, str, str], ArmDifference]:
    """Returns the differences of the table of arms and those beside it, each adjusted within its family."""
    arms = {(arm["student"], arm["name"]): arm for arm in results["arms"]}
    found = [
        arm_difference(arm, arms[arm["student"], arm["control"]], metric)
        for arm in results["arms"]
        if arm["name"] != arm["control"]
    ]
    table = {_key(one): one for one in adjusted_differences([one for one in found if one is not None])}
    beside = adjusted_differences([one for one in effects if _key(one) not in table])
    return table | {_key(one): one for one in beside}


def _key(one: ArmDifference) -> tuple[str, str, str]:
    return one.student, one.arm, one.control


def _answer(results: Mapping[str, Any], metric: MetricInfo, student: str) -> StudentAnswer:
    arms = {str(arm["name"]): arm for arm in results["arms"] if arm["student"] == student}
    distilled = [arm for arm in arms.values() if arm["distilled"]]
    alone = {arm["student_augmentation"]: arm for arm in arms.values() if not arm["distilled"]}
    control = next(str(arms[name]["student_augmentation"]) for name in (arm["control"] for arm in arms.values()))
    teachers = {teacher["augmentation"]: teacher for teacher in results["teachers"]}

    def rank(arm: Entry) -> tuple[bool, bool]:
        return arm["student_augmentation"] != control, arm["teacher_augmentation"] != "own"

    distilled.sort(key=rank)
    gains = [
        _gain(arm, alone[arm["student_augmentation"]], teachers.get(arm["teacher_augmentation"]), metric)
        for arm in distilled
        if arm["student_augmentation"] in alone
    ]
    alike = _of_one_teacher(distilled) or list(arms.values())
    missing = None if gains else NOT_ALONE if distilled else NOT_DISTILLED
    return StudentAnswer(
        student=student,
        metric=metric,
        seeds=len(results["seeds"]),
        gains=tuple(one for one in gains if one is not None),
        missing=missing,
        effects=tuple(_effects(alike, control, metric)),
        control=control,
        distilled=bool(distilled),
        augmentations=len({arm["student_augmentation"] for arm in alike}),
    )


def _of_one_teacher(distilled: Sequence[Entry]) -> list[Entry]:
    """Returns the arms of the teacher that the first arm has."""
    return [arm for arm in distilled if arm["teacher_augmentation"] == distilled[0]["teacher_augmentation"]]


def _gain(arm: Entry, alone: Entry, teacher: Entry | None, metric: MetricInfo) -> Gain | None:
    found = arm_difference(arm, alone, metric)
    if found is None:
        return None
    own, without = values_of(arm, metric.key), values_of(alone, metric.key)
    taught = values_of(teacher, metric.key) if teacher is not None else {}
    both = [seed for seed in own if seed in without]
    seeds = [seed for seed in both if seed in taught]
    closed = gap_share(
        [own[seed] for seed in seeds or both],
        [without[seed] for seed in seeds or both],
        [taught[seed] for seed in seeds] or None,
        metric,
    )
    if len(seeds) == 1:
        closed = share_within(closed, arm, alone, metric)
    return Gain(
        **vars(found),
        teacher=arm["teacher_augmentation"],
        teacher_score=estimate([taught[seed] for seed in seeds]) if seeds else None,
        closed=closed,
    )


def _effects(arms: Sequence[Entry], control: str, metric: MetricInfo) -> list[ArmDifference]:
    """Returns the effects of augmentation among arms that differ in nothing else."""
    by_label = {str(arm["student_augmentation"]): arm for arm in arms}
    shown = [label for label in (OWN, SHARED) if label in by_label] or list(by_label)
    pairs = [(label, control) for label in shown if label != control]
    if {OWN, SHARED} <= set(shown) and control not in (OWN, SHARED):
        pairs.append((OWN, SHARED))
    found = [arm_difference(by_label[of], by_label[against], metric) for of, against in pairs if against in by_label]
    return [one for one in found if one is not None]
