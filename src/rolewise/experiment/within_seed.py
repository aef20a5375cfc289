"""The differences between networks of the one seed of a run, over the choice of its test images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.arms import Arm, arms_of, control_of, labels_of
from rolewise.seeds import generator
from rolewise.statistics.answers import OWN, SHARED
from rolewise.statistics.resampling import RESAMPLES, paired_difference
from rolewise.statistics.single_seed import teacher_name
from rolewise.train import Metrics


def seed_differences(
    config: ExperimentConfig, seed: int, evaluated: Mapping[str, Metrics]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns for each arm its differences to the networks that a run's answers compare it with.

    These are its control, the same student without distillation, the same under the teacher's schedule, and the
    teachers. With several seeds the noise of training is in the intervals over seeds; with one this is all there is.

    Args:
        config: of the run.
        seed: the seed.
        evaluated: the metrics of each stage on the test images, in the same order of these for all.

    Returns:
        From a stage to the other networks, with ``mean``, ``low``, ``high``, ``p`` and standard ``error`` of each
        difference; a number that is not defined is None.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for student in config.students:
        arms = {arm.name: arm for arm in arms_of(config, student.name)}
        for arm in arms.values():
            others = {name: f"{student.name}-{name}" for name in _others(config, arm) if name in arms}
            others |= {teacher_name(one): f"teacher-{one}" for one in labels_of(config)}
            stage = f"seed{seed}/{student.name}-{arm.name}"
            found[stage] = {
                name: _difference(config, evaluated[stage], evaluated[f"seed{seed}/{other}"])
                for name, other in others.items()
                if name != arm.name
            }
    return found


def _others(config: ExperimentConfig, arm: Arm) -> list[str]:
    """Returns the names of the arms that an arm is compared with, whether or not the run has them."""
    alike = arm.name[len(arm.student_augmentation) :]
    shared = [SHARED + alike] if arm.student_augmentation == OWN else []
    alone = [arm.student_augmentation] if arm.distilled else []
    return list(dict.fromkeys([control_of(config, arm), *alone, *shared]))


def _difference(config: ExperimentConfig, first: Metrics, second: Metrics) -> dict[str, float | None]:
    # The same resamples for every pair: they are of the same images.
    stream = generator(config.data.split_seed, "bootstrap")
    key, count = first.infos[0].key, first.examples
    one = paired_difference(first.metric, second.metric, key, count, stream, RESAMPLES)
    error = one.sd
    if error is not None and first.metric.per_example() is not None:
        error /= math.sqrt(count)
    values = {"mean": one.mean, "low": one.low, "high": one.high, "p": one.p, "error": error}
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
