"""Checks of the weights that a config names: before anything is made, whether there are any, and of what network."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from rolewise.config.faults import Steps, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.weight_sources import WeightSetting, path_of, report_on, rules_of, weight_settings
from rolewise.files import kind_of
from rolewise.models.weight_file import read_weights
from rolewise.models.weight_transfer import WeightReport


def weight_file_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where a setting names no file of weights; names and shapes alone are read."""
    for setting in weight_settings(config):
        if setting.role != "teacher" and isinstance(setting.value, str) and kind_of(path_of(setting.value)) is None:
            rule = f'must be "random", "teacher" or a file of weights, got {setting.file!r}, which is none of these'
            yield setting.steps, f"{rule}; check the path"
            continue
        try:
            read_weights(path_of(setting.value), rules_of(setting.value).key, content=False)
        except InputError as error:
            yield setting.steps, f"must be a file of weights, and {_without_kind(str(error))}"


def fit_of(setting: WeightSetting, network: nn.Module) -> WeightReport | tuple[Steps, str]:
    """Returns the report on a setting's weights, or its fault: path in the config, and message.

    Args:
        setting: its file can be read.
        network: on any device, ``meta`` among them.
    """
    try:
        return report_on(network, setting.value)
    except InputError as error:
        if error.path:
            return (*setting.steps, *error.path), error.rule
        text = str(error).removeprefix(f"weights {path_of(setting.value)} ")
        whose = "the teacher's network" if setting.role == "teacher" else "this student's network"
        return setting.steps, f"must be of {whose}, and those in {setting.file} {text}"


def notes_on(setting: WeightSetting, report: WeightReport) -> Iterable[str]:
    """Yields remarks on weights that fit, and that leave something as it is where it matters."""
    if setting.role == "teacher" and report.missing:
        first = ", ".join(report.missing[:3]) + (", ..." if len(report.missing) > 3 else "")
        yield (
            f"{dotted(setting.steps)}: the teacher's {first} keep random initial weights, which nothing trains: "
            "methods on features below can use such a teacher, and methods on its outputs cannot."
        )


def _without_kind(text: str) -> str:
    for kind in ("file of weights ", "list of shards "):
        if text.startswith(kind):
            return text.removeprefix(kind)
    return text
