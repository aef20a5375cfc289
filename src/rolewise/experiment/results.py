"""The end of an experiment: the sealed test set is opened, once, and results.json is written."""

from __future__ import annotations

from typing import Any

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import builders
from rolewise.experiment.arms import Arm, arms_of, control_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stages import labels_of, section_of, trained_network
from rolewise.files import as_json, read_json
from rolewise.seals import top_product, write_product
from rolewise.train import evaluate

VERSION = 1


def run_test(run: RunFolder, stage: Stage) -> dict[str, Any]:
    """Opens the test set of one seed and evaluates every network that was trained, at its last epoch.

    Returns:
        The stage's summary: for each training stage its test accuracy, loss and number of test images.
    """
    config = run.config()
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    trained = [other for other in stages_of(config) if other.seed == stage.seed and other.kind in ("teacher", "arm")]
    opened = data.test.open(f"the end of {config.name}, seed {stage.seed}")
    measured = {}
    for other in trained:
        model = trained_network(run, data, other)
        spec = data.spec(section_of(config, other.role).model)
        metrics = evaluate(model, opened.source, opened.indices, spec, device=data.device)
        measured[other.name] = {"accuracy": metrics.accuracy, "loss": metrics.loss}
    return {"test": measured, "test_images": len(opened.indices)}


def write_results(run: RunFolder) -> dict[str, Any]:
    """Gathers every stage's summary into ``results.json``: no times, so that equal runs give equal bytes."""
    config = run.config()
    tests = {seed: run.summary(f"seed{seed}/test") for seed in config.seeds}
    results = {
        "version": VERSION,
        "name": config.name,
        "seeds": list(config.seeds),
        "test_images": next(iter(tests.values()))["test_images"],
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


def read_results(run: RunFolder) -> dict[str, Any]:
    """Reads ``results.json`` of a finished run.

    Raises:
        InputError: the run has none yet, or the file is damaged.
    """
    results: dict[str, Any] = read_json(top_product(run.root / "results.json"), "the run's results")
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
    values = {str(seed): tests[seed]["test"][f"seed{seed}/{what}"] for seed in config.seeds}
    return {
        "test_accuracy": {seed: value["accuracy"] for seed, value in values.items()},
        "test_loss": {seed: value["loss"] for seed, value in values.items()},
    }
