"""Evaluating one network of a run without touching the test set."""

from __future__ import annotations

from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.input_digests import changed, check_inputs, inputs_of, remember
from rolewise.experiment.kept_stages import stages_made_from
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder, existing_run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stage_selection import named_stages
from rolewise.experiment.stages import find_stage, trained_network
from rolewise.files import AnyPath, as_path
from rolewise.threads import torch_threads
from rolewise.train import Metrics, evaluate

_TRAININGS = ("teacher", "arm")


def finished_training(root: AnyPath, name: str) -> tuple[RunFolder, Stage]:
    """Returns the run and the stage of a finished training.

    Raises:
        InputError: it is no run folder, no training of it, or not finished; or what it was made from has changed.
    """
    run, stage = finished_stage(root, name)
    check_origin(run, stage)
    return run, stage


def finished_stage(root: AnyPath, name: str) -> tuple[RunFolder, Stage]:
    """Returns the run and the stage of a finished training, whatever its data are now.

    Raises:
        InputError: it is no run folder, no training of it, or not finished.
    """
    root = as_path(root, "root")
    run = existing_run(root)
    config = run.config()
    stage = find_stage(config, name)
    if stage.kind not in _TRAININGS:
        raise InputError(
            f"stage must be a training, got {name!r}, which is a {stage.kind}" + named_stages(config, name, *_TRAININGS)
        )
    if not run.is_done(name):
        raise InputError(f"stage {name} is not finished; run: rolewise run {root / 'config.yaml'} --out {root}")
    return run, stage


def check_origin(run: RunFolder, stage: Stage) -> None:
    """Makes sure that what a stage was made from is as it was.

    Raises:
        InputError: it has changed, or cannot be read.
    """
    config, name = run.config(), stage.name
    remember(run.root / "run.json")
    known, now = run.record()["read"], inputs_of(config)
    if name in stages_made_from(config, changed(known, now)):
        check_inputs(run.root, known, now, f"put back what {name} was made from, or train it anew by the run's command")


def evaluate_stage(root: AnyPath, name: str) -> Metrics:
    """Evaluates a finished training on the validation images of its seed.

    Raises:
        InputError: it is no run folder, no training of it, or not finished.
    """
    run, stage = finished_training(root, name)
    config = run.config()
    with torch_threads(config.threads):
        data = seed_data_of(config, stage.seed, builders.configured_device(config.device))
        model = trained_network(run, data, stage)
        spec = data.spec(section_of(config, stage.role).model)
        source, task = data.seen_by(stage.role), builders.configured_task(config)
        return evaluate(model, source, data.validation, spec, device=data.device, task=task)
