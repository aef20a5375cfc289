"""The end of an experiment: the sealed test set is opened, once, and results.json is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rolewise.config.schema import ExperimentConfig
from rolewise.data.reading_rules import kind_of_examples, reads_texts
from rolewise.experiment import builders
from rolewise.experiment.arms import Arm, arms_of, control_of, labels_of
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stages import trained_network
from rolewise.experiment.within_seed import seed_differences
from rolewise.files import as_json, number_or_null
from rolewise.metric_info import ACCURACY
from rolewise.results_format import RESULTS_VERSION
from rolewise.seals import write_product
from rolewise.seeds import generator
from rolewise.statistics.resampling import RESAMPLES, paired_difference, standard_error
from rolewise.statistics.single_seed import WITHIN
from rolewise.train import Metrics, evaluate


def run_test(run: RunFolder, stage: Stage) -> dict[str, Any]:
    """Opens the test set of one seed and evaluates every network that was trained, at its last epoch.

    Returns:
        The stage's summary: the metrics of each training stage on the test images, what the choice of these images does
        to the first metric where that is not accuracy, whose formula is known, and how many images there are.
    """
    config = run.config()
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    trained = [other for other in stages_of(config) if other.seed == stage.seed and other.kind in ("teacher", "arm")]
    opened = data.test.open(f"the end of {config.name}, seed {stage.seed}")
    task, measured, errors = builders.configured_task(config), {}, {}
    evaluated: dict[str, Metrics] = {}
    for other in trained:
        model = trained_network(run, data, other)
        spec = data.spec(section_of(config, other.role).model)
        source = data.seen_by(other.role, opened.source)
        metrics = evaluate(model, source, opened.indices, spec, device=data.device, task=task)
        # What could not be measured, such as R² of numbers that are all the same, is null.
        measured[other.name] = {key: number_or_null(value) for key, value in metrics.values.items()}
        if metrics.infos[0] != ACCURACY or len(config.seeds) == 1:
            evaluated[other.name] = metrics
        if metrics.infos[0] != ACCURACY and math.isfinite(metrics.values[metrics.infos[0].key]):
            # The same resamples for every network and seed: they are of the same images.
            stream = generator(config.data.split_seed, "bootstrap")
            errors[other.name] = standard_error(metrics.metric, metrics.infos[0].key, metrics.examples, stream)
    found: dict[str, Any] = {"test": measured, "test_images": len(opened.indices)}
    if errors:
        found |= {"sampling_error": errors, "within": _within(config, stage.seed, evaluated)}
    if len(config.seeds) == 1:
        found[WITHIN] = seed_differences(config, stage.seed, evaluated)
    return found


def _within(config: ExperimentConfig, seed: int, evaluated: Mapping[str, Metrics]) -> dict[str, dict[str, Any]]:
    """Returns each arm's difference to its control within one seed, with an interval over the choice of test images."""
    found = {}
    for arm in _all_arms(config):
        name, control = (f"seed{seed}/{arm.student}-{one}" for one in (arm.name, control_of(config, arm)))
        if name != control:
            first, second = evaluated[name], evaluated[control]
            # The same resamples for every pair: they are of the same images.
            stream = generator(config.data.split_seed, "bootstrap")
            key, count = first.infos[0].key, first.examples
            found[name] = paired_difference(first.metric, second.metric, key, count, stream, RESAMPLES)
    return {
        name: {key: number_or_null(getattr(one, key)) for key in ("mean", "low", "high", "p")}
        for name, one in found.items()
    }


def write_results(run: RunFolder) -> dict[str, Any]:
    """Gathers every stage's summary into ``results.json``: no times, so that equal runs give equal bytes."""
    config = run.config()
    tests = {seed: run.summary(f"seed{seed}/test") for seed in config.seeds}
    task = builders.configured_task(config)
    results = {
        "version": RESULTS_VERSION,
        "name": config.name,
        "task": task.name,
        "primary": task.metrics[0].key,
        "metrics": [info.as_json() for info in task.metrics],
        "seeds": list(config.seeds),
        "test_images": next(iter(tests.values()))["test_images"],
        # Images are what results without this word are of.
        **({"example": kind_of_examples(config.data.name)} if reads_texts(config.data.name) else {}),
        "control": {arm.name: control_of(config, arm) for arm in _all_arms(config)},
        "teachers": [
            {"augmentation": name} | _cost(run, config, f"teacher-{name}") | _measured(config, tests, f"teacher-{name}")
            for name in labels_of(config)
        ],
        "arms": [_arm(run, config, tests, arm) for arm in _all_arms(config)],
        "costs": {stage.name: run.summary(stage.name)["images"] for stage in stages_of(config) if stage.kind != "test"},
    }
    write_product(run.root / "results.json", as_json(results))
    return results


def _all_arms(config: ExperimentConfig) -> list[Arm]:
    return [arm for student in config.students for arm in arms_of(config, student.name)]


def _arm(run: RunFolder, config: ExperimentConfig, tests: dict[int, dict[str, Any]], arm: Arm) -> dict[str, Any]:
    what = f"{arm.student}-{arm.name}"
    return {
        "name": arm.name,
        "student": arm.student,
        "teacher_augmentation": arm.teacher_augmentation,
        "student_augmentation": arm.student_augmentation,
        "distilled": arm.distilled,
        "control": control_of(config, arm),
        "images": _summary(run, config, what)["images"],
        **_cost(run, config, what),
        **_bits(config, arm.student),
    } | _measured(config, tests, what)


def _bits(config: ExperimentConfig, student: str) -> dict[str, Any]:
    """Returns a student's bits, and the student that is the same in floating point, if there is one."""
    section = section_of(config, student)
    if section.quantise is None:
        return {"weight_bits": 32, "activation_bits": 32, "twin": None}
    plain = section.model_copy(update={"quantise": None})
    twins = [other.name for other in config.students if other.model_copy(update={"name": student}) == plain]
    return {
        "weight_bits": section.quantise.weights or 32,
        "activation_bits": section.quantise.activations or 32,
        "twin": twins[0] if twins else None,
    }


def _cost(run: RunFolder, config: ExperimentConfig, what: str) -> dict[str, Any]:
    summary = _summary(run, config, what)
    return {key: summary[key] for key in ("parameters", "bytes", "macs", "bit_operations")}


def _summary(run: RunFolder, config: ExperimentConfig, what: str) -> dict[str, Any]:
    return run.summary(f"seed{config.seeds[0]}/{what}")


def _measured(config: ExperimentConfig, tests: dict[int, dict[str, Any]], what: str) -> dict[str, Any]:
    stages = {str(seed): f"seed{seed}/{what}" for seed in config.seeds}
    values = {str(seed): tests[seed]["test"][stages[str(seed)]] for seed in config.seeds}
    metrics = {key: {seed: value[key] for seed, value in values.items()} for key in next(iter(values.values()))}
    errors = {
        str(seed): error
        for seed in config.seeds
        if (error := tests[seed].get("sampling_error", {}).get(stages[str(seed)])) is not None
    }
    kept = tests[config.seeds[0]].get(WITHIN, {}).get(stages[str(config.seeds[0])])
    within = {str(seed): one for seed in config.seeds if (one := tests[seed].get("within", {}).get(stages[str(seed)]))}
    return {
        "metrics": metrics,
        **({"sampling_error": errors} if errors else {}),
        **({"within_seeds": within} if within else {}),
        **({WITHIN: kept} if kept and len(config.seeds) == 1 else {}),
    }
