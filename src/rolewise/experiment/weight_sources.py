"""The weights that a config names: the teacher's, and those that students begin from; which files, and what of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.network_sections import ModelSection
from rolewise.config.schema import ExperimentConfig
from rolewise.config.weight_sections import Weights
from rolewise.experiment.stage_weights import is_stage, stage_weights
from rolewise.files import digest_of, sha256, write_json
from rolewise.models.weight_file import weight_files_of
from rolewise.models.weight_names import WeightRules
from rolewise.models.weight_transfer import WeightReport, fitting_weights, take_weights
from rolewise.models.zoo import in_zoo
from rolewise.models.zoo_weights import PRETRAINED, pretrained_file

#: Beginnings of a student that name no file.
BEGINNINGS = ("random", "teacher")
#: Where a stage keeps what was done with a file of weights.
TAKEN = "taken_weights.json"


@dataclass(frozen=True)
class WeightSetting:
    """One setting that names weights.

    Args:
        steps: path of the setting in the config.
        value: the setting.
        model: section of its network.
        role: ``teacher``, or the name of the student that begins from them.
        place: number of its network: 0 for the teacher, then the students.
    """

    steps: Steps
    value: Weights
    model: ModelSection
    role: str
    place: int

    @property
    def file(self) -> str:
        """The file, as the config names it."""
        return self.value if isinstance(self.value, str) else self.value.file

    @property
    def path(self) -> Path:
        """The path of the file: of a run's stage, the one that it left; of pretrained weights, that in the cache.

        Raises:
            InputError: the stage has left none, or the weights are not in the cache and cannot be fetched.
        """
        if self.file == PRETRAINED and in_zoo(self.model.name):
            return pretrained_file(self.model.name)
        if is_stage(self.file):
            return stage_weights(self.file)
        return Path(self.file)

    @property
    def rules(self) -> WeightRules:
        """The names that change, and the tensors that are left out."""
        if isinstance(self.value, str):
            return WeightRules()
        return WeightRules(self.value.rename, self.value.leave_out, self.value.key)


def weight_settings(config: ExperimentConfig) -> Iterator[WeightSetting]:
    """Yields every setting of an experiment that names weights."""
    if config.teacher.weights is not None:
        yield WeightSetting(("teacher", "weights"), config.teacher.weights, config.teacher.model, "teacher", 0)
    elif config.teacher.init != "random":
        yield WeightSetting(("teacher", "init"), config.teacher.init, config.teacher.model, "teacher", 0)
    for at, student in enumerate(config.students):
        if student.init not in BEGINNINGS:
            yield WeightSetting(("students", at, "init"), student.init, student.model, student.name, at + 1)


def weight_setting(config: ExperimentConfig, role: str) -> WeightSetting | None:
    """Returns the setting that names the weights of a role; None where there is none."""
    # Of the other roles no file is read: no result of this one depends on their settings.
    if role == "teacher":
        return next((setting for setting in weight_settings(config) if setting.role == role), None)
    for at, student in enumerate(config.students):
        if student.name == role and student.init not in BEGINNINGS:
            return WeightSetting(("students", at, "init"), student.init, student.model, role, at + 1)
    return None


def load_into(network: nn.Module, setting: WeightSetting) -> WeightReport:
    """Loads the weights that a setting names into a network.

    Raises:
        InputError: the file cannot be read, or its weights are not the network's.
    """
    return take_weights(network, setting.path, setting.rules)


def report_on(network: nn.Module, setting: WeightSetting) -> WeightReport:
    """Returns the report of loading the weights that a setting names; the numbers in the file are not read.

    Raises:
        InputError: as of `load_into`.
    """
    return fitting_weights(network, setting.path, setting.rules)


def keep_report(report: WeightReport, folder: Path) -> None:
    """Writes the report on a file of weights into a stage's folder."""
    write_json(folder / TAKEN, report.as_json())


def weight_digest(setting: WeightSetting) -> str:
    """Returns the SHA-256 of the content of a setting's file; of shards, of the list and all that it lists.

    Raises:
        InputError: a file cannot be read.
    """
    parts = [sha256(part, "file of weights") for part in weight_files_of(setting.path)]
    return parts[0] if len(parts) == 1 else digest_of(parts)


def weight_key(setting: WeightSetting) -> Any:
    """Returns the part of a content key that stands for a setting: the digest of its file, and its rules.

    Raises:
        InputError: a file cannot be read.
    """
    content = weight_digest(setting)
    rules = setting.rules
    if rules == WeightRules():
        return content
    return {"content": content, "rename": dict(rules.rename), "except": list(rules.leave_out), "key": rules.key}
