"""Differences between two arms of one student, paired by seed, with how far they stand out from noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.results_format import values_of
from rolewise.statistics.estimates import Estimate, adjusted_together, estimate, paired
from rolewise.statistics.noise_levels import Noise, noise_level
from rolewise.statistics.single_seed import difference_within

#: A teacher or an arm of ``results.json``.
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class ArmDifference:
    """The difference between two arms of one student.

    Args:
        student: the student's name.
        arm: the arm that is judged.
        control: the arm that it is compared with.
        of: augmentation of the arm.
        against: augmentation of the control.
        score: the arm's primary metric on the test set, over the seeds that both arms have.
        control_score: the control's, likewise.
        difference: arm less control, paired by seed; within its seed where there is one (``of_images``).
        metric: the primary metric.
        alone: p value adjusted for the comparisons of this kind of this student (Holm); None where there is none.
        together: p value adjusted for the comparisons of this kind of all students (Holm); None likewise.
        family: the numbers of comparisons that ``alone`` and ``together`` are for.
        of_images: whether the interval is of one seed, over the choice of test images, and not over seeds.
    """

    student: str
    arm: str
    control: str
    of: str
    against: str
    score: Estimate
    control_score: Estimate
    difference: Estimate
    metric: MetricInfo = ACCURACY
    alone: float | None = None
    together: float | None = None
    family: tuple[int, int] = (0, 0)
    of_images: bool = False

    @property
    def noise(self) -> Noise:
        """The largest family of comparisons whose noise the difference exceeds."""
        return noise_level(self.difference, self.alone, self.together)

    @property
    def improvement(self) -> float:
        """The difference as an improvement: above 0 where the arm is better, also of an error."""
        return self.metric.goodness(self.difference.mean)

    @property
    def told(self) -> bool:
        """Whether the difference is beyond the noise of all comparisons of its kind."""
        return self.noise is Noise.TABLE


Kind = TypeVar("Kind", bound=ArmDifference)


def adjusted_differences(differences: Sequence[Kind]) -> list[Kind]:
    """Returns differences with their p values adjusted for those of their student, and for all of them."""
    together, number = adjusted_together([one.difference for one in differences])
    alone: dict[int, float | None] = {}
    sizes: dict[str, int] = {}
    for student in dict.fromkeys(one.student for one in differences):
        places = [at for at, one in enumerate(differences) if one.student == student]
        ps, sizes[student] = adjusted_together([differences[at].difference for at in places])
        alone |= dict(zip(places, ps, strict=True))
    return [
        replace(one, alone=alone[at], together=together[at], family=(sizes[one.student], number))
        for at, one in enumerate(differences)
    ]


def arm_difference(arm: Entry, control: Entry, metric: MetricInfo) -> ArmDifference | None:
    """Returns the difference of two arms over the seeds that both have; None where there is none.

    Args:
        arm: of results of version 2.
        control: the arm that it is compared with, of the same student.
        metric: the metric that is compared.
    """
    own, other = values_of(arm, metric.key), values_of(control, metric.key)
    seeds = [seed for seed in own if seed in other]
    if not seeds:
        return None
    first, second = [own[seed] for seed in seeds], [other[seed] for seed in seeds]
    single = difference_within(arm, str(control["name"])) if len(seeds) == 1 else None
    return ArmDifference(
        student=str(arm["student"]),
        arm=str(arm["name"]),
        control=str(control["name"]),
        of=str(arm["student_augmentation"]),
        against=str(control["student_augmentation"]),
        score=estimate(first),
        control_score=estimate(second),
        difference=paired(first, second) if single is None else single,
        metric=metric,
        of_images=single is not None,
    )
