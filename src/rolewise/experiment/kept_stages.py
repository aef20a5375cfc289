"""Stages of a run that can be kept where an input of the run has changed since."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.arms import specs
from rolewise.experiment.input_digests import module_inputs, schedule_path
from rolewise.experiment.own_code import code_of_results, code_read_by, own_code
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.weight_sources import weight_settings
from rolewise.models.zoo import in_zoo


def stages_made_from(config: ExperimentConfig, names: Collection[str]) -> list[str]:
    """Returns the stages whose results depend on some of a run's inputs, directly or through the stages they need.

    The module of a data set's own function counts for nothing by itself: the images and labels that it returned have
    digests of their own.

    Args:
        config: the experiment.
        names: names of inputs, as `rolewise.experiment.input_digests.inputs_of` has them.

    Raises:
        InputError: there is no module of a name in the config.
    """
    stages = stages_of(config)
    found: set[str] = set()
    for stage in stages:
        if found.intersection((*stage.needs, stage.teacher)) or any(_reads(config, stage, name) for name in names):
            found.add(stage.name)
    return [stage.name for stage in stages if stage.name in found]


def _reads(config: ExperimentConfig, stage: Stage, name: str) -> bool:
    kind, _, what = name.partition(" ")
    if kind == "weights":
        return any(setting.role == stage.role and setting.file == what for setting in weight_settings(config))
    if kind == "schedule":
        spec = specs(config).get(stage.augmentation)
        return spec is not None and schedule_path(spec) == Path(what)
    if kind == "package":
        return any(found.role == stage.role and in_zoo(found.path) for found in own_code(config))
    if kind == "label":
        return stage.role == "teacher"
    if kind != "module":
        return True  # images and labels
    read = code_read_by(config, stage)
    # A module that nothing imports any more may have been of any stage that runs the user's own code.
    known = module_inputs(*(code.path for code in code_of_results(config)))
    return name in module_inputs(*read) or (bool(read) and name not in known)
