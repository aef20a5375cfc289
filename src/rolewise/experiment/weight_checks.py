"""Checks of the weights that a config names: before anything is made, whether there are any, and of what network."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from torch import nn

from rolewise.config.faults import Steps, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.weight_sources import WeightSetting, report_on, weight_settings
from rolewise.files import kind_of
from rolewise.models.weight_file import read_weights
from rolewise.models.weight_transfer import WeightReport
from rolewise.models.zoo_weights import PRETRAINED


def weight_file_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where a setting names no file of weights; names and shapes alone are read.

    Args:
        config: the experiment.
        left_out: paths of settings whose library is not imported, and whose weights are not looked for.
    """
    if config.teacher.weights is not None and config.teacher.init != "random":
        rule = "must be left out where teacher.weights gives a trained teacher, which is not trained here"
        yield ("teacher", "init"), f"{rule}; leave one of them out"
    for setting in weight_settings(config):
        if setting.steps in left_out:
            continue
        if setting.steps[-1] == "init" and setting.value == setting.file and _is_word(setting):
            words = '"random", "teacher"' if setting.role != "teacher" else '"random"'
            rule = f"must be {words} or a file of weights, got {setting.file!r}, which is none of these"
            yield setting.steps, f"{rule}; check the path"
            continue
        try:
            read_weights(setting.path, setting.rules.key, content=False)
        except InputError as error:
            yield setting.steps, f"must be a file of weights, and {_without_kind(str(error))}"


def label_map_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where a map to the teacher's classes has no use."""
    if config.teacher.label_map is None:
        return
    if config.teacher.weights is None:
        rule = (
            "must be left out where the teacher is trained here, on the data's own classes; give it weights, or leave"
        )
        yield ("teacher", "label_map"), f"{rule} the map out"
    name = config.task_name
    if name != "classification":
        yield ("teacher", "label_map"), f"must be left out for the task {name}, which has no classes that are one of K"


def fit_of(setting: WeightSetting, network: nn.Module) -> WeightReport | tuple[Steps, str]:
    """Returns the report on a setting's weights, or its fault: path in the config, and message.

    Args:
        setting: its file can be read.
        network: on any device, ``meta`` among them.
    """
    try:
        return report_on(network, setting)
    except InputError as error:
        if error.path:
            return (*setting.steps, *error.path), error.rule
        text = str(error).removeprefix(f"weights {setting.path} ")
        whose = "the teacher's network" if setting.role == "teacher" else "this student's network"
        return setting.steps, f"must be of {whose}, and those in {setting.file} {text}"


def notes_on(setting: WeightSetting, report: WeightReport) -> Iterable[str]:
    """Yields remarks on weights that fit, and that leave something as it is where it matters."""
    if setting.steps == ("teacher", "weights") and report.missing:
        first = ", ".join(report.missing[:3]) + (", ..." if len(report.missing) > 3 else "")
        yield (
            f"{dotted(setting.steps)}: the teacher's {first} keep random initial weights, which nothing trains: "
            "methods on features below can use such a teacher, and methods on its outputs cannot."
        )


def _is_word(setting: WeightSetting) -> bool:
    """Returns whether a setting is a slip of a word rather than the path of a file that is not there."""
    name = setting.file
    return not any(letter in name for letter in "./#") and name != PRETRAINED and kind_of(Path(name)) is None


def _without_kind(text: str) -> str:
    for kind in ("file of weights ", "list of shards "):
        if text.startswith(kind):
            return text.removeprefix(kind)
    return text
