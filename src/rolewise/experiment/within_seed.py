"""The differences between networks of the one seed of a run, over the choice of its test images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.arms import Arm, arms_of, control_of, labels_of
from rolewise.files import number_or_null
from rolewise.seeds import generator
from rolewise.statistics.answers import OWN, SHARED
from rolewise.statistics.estimates import estimate
from rolewise.statistics.resampling import RESAMPLES, resampled_difference, resampled_values
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
    resamples = {name: _resamples(config, metrics) for name, metrics in evaluated.items()}
    for student in config.students:
        arms = {arm.name: arm for arm in arms_of(config, student.name)}
        for arm in arms.values():
            others = {name: f"{student.name}-{name}" for name in _others(config, arm) if name in arms}
            others |= {teacher_name(one): f"teacher-{one}" for one in labels_of(config)}
            stage = f"seed{seed}/{student.name}-{arm.name}"
            found[stage] = {
                name: _difference(evaluated, resamples, stage, f"seed{seed}/{other}")
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


def _resamples(config: ExperimentConfig, metrics: Metrics) -> Tensor | None:
    """Returns the primary metric on each resample of a bootstrap; None where it is a mean over examples."""
    if _each(metrics) is not None:
        return None
    # The same resamples for every network: they are of the same images. Each is measured once, and not once a pair.
    stream = generator(config.data.split_seed, "bootstrap")
    return resampled_values(metrics.metric, metrics.infos[0].key, metrics.examples, stream, RESAMPLES)


def _each(metrics: Metrics) -> Tensor | None:
    """Returns the primary metric of each example; None where it is no mean over examples."""
    if metrics.infos[0].key != next(iter(metrics.metric.compute())):
        return None  # the values of single examples are of the metric's first number
    return metrics.metric.per_example()


def _difference(
    evaluated: Mapping[str, Metrics], resamples: Mapping[str, Tensor | None], stage: str, other: str
) -> dict[str, float | None]:
    first, second = evaluated[stage], evaluated[other]
    drawn = resamples[stage], resamples[other]
    values = _each(first), _each(second)
    if values[0] is not None and values[1] is not None:
        one = estimate((values[0] - values[1]).tolist())
        error = None if one.sd is None else one.sd / math.sqrt(one.count)
    else:
        assert drawn[0] is not None and drawn[1] is not None
        one = resampled_difference(first.first - second.first, drawn[0] - drawn[1], first.examples)
        error = one.sd
    found = {"mean": one.mean, "low": one.low, "high": one.high, "p": one.p, "error": error}
    return {name: number_or_null(value) for name, value in found.items()}
