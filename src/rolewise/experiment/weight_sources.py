"""The weights that a config names: the teacher's, and those that students begin from; which files, and what of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.network_sections import Weights
from rolewise.config.schema import ExperimentConfig
from rolewise.files import digest_of, sha256, write_json
from rolewise.models.weight_file import weight_files_of
from rolewise.models.weight_names import WeightRules
from rolewise.models.weight_transfer import WeightReport, fitting_weights, take_weights

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
        role: ``teacher``, or the name of the student that begins from them.
        place: number of its network: 0 for the teacher, then the students.
    """

    steps: Steps
    value: Weights
    role: str
    place: int

    @property
    def file(self) -> str:
        """The file, as the config names it."""
        return weight_file_named(self.value)


def weight_settings(config: ExperimentConfig) -> Iterator[WeightSetting]:
    """Yields every setting of an experiment that names weights."""
    if config.teacher.weights is not None:
        yield WeightSetting(("teacher", "weights"), config.teacher.weights, "teacher", 0)
    for at, student in enumerate(config.students):
        if student.init not in BEGINNINGS:
            yield WeightSetting(("students", at, "init"), student.init, student.name, at + 1)


def weight_file_named(value: Weights) -> str:
    """Returns the file of a setting, as the config names it."""
    return value if isinstance(value, str) else value.file


def rules_of(value: Weights) -> WeightRules:
    """Returns the rules of a setting: names that change, and tensors that are left out."""
    if isinstance(value, str):
        return WeightRules()
    return WeightRules(value.rename, value.leave_out, value.key)


def path_of(value: Weights) -> Path:
    """Returns the path of a setting's file."""
    return Path(weight_file_named(value))


def load_into(network: nn.Module, value: Weights) -> WeightReport:
    """Loads the weights that a setting names into a network.

    Raises:
        InputError: the file cannot be read, or its weights are not the network's.
    """
    return take_weights(network, path_of(value), rules_of(value))


def report_on(network: nn.Module, value: Weights) -> WeightReport:
    """Returns the report of loading the weights that a setting names; the numbers in the file are not read.

    Raises:
        InputError: as of `load_into`.
    """
    return fitting_weights(network, path_of(value), rules_of(value))


def keep_report(report: WeightReport, folder: Path) -> None:
    """Writes the report on a file of weights into a stage's folder."""
    write_json(folder / TAKEN, report.as_json())


def weight_digest(value: Weights) -> str:
    """Returns the SHA-256 of the content of a setting's file; of shards, of the list and all that it lists.

    Raises:
        InputError: a file cannot be read.
    """
    parts = [sha256(part, "file of weights") for part in weight_files_of(path_of(value))]
    return parts[0] if len(parts) == 1 else digest_of(parts)


def weight_key(value: Weights) -> Any:
    """Returns the part of a content key that stands for a setting: the digest of its file, and its rules.

    Raises:
        InputError: a file cannot be read.
    """
    content = weight_digest(value)
    rules = rules_of(value)
    if rules == WeightRules():
        return content
    return {"content": content, "rename": dict(rules.rename), "except": list(rules.leave_out), "key": rules.key}
