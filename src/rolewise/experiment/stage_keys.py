"""Content keys: what a stage's result depends on, so that a stage that is the same is not run twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from rolewise.config import ExperimentConfig, as_values
from rolewise.config.schema import SEARCHES
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.arms import arms_of, control_of, specs
from rolewise.experiment.class_maps import map_key
from rolewise.experiment.input_digests import data_inputs, module_inputs
from rolewise.experiment.own_code import code_read_by, own_code
from rolewise.experiment.role_section import section_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.weight_sources import BEGINNINGS, weight_key, weight_setting
from rolewise.files import digest_of

#: Raised when the same config comes to train something else.
VERSION = 3
#: Settings that no result depends on, or that stages read through parts of their own, below. What is not named here
#: or there is in every key: a setting that a later release adds is shared too rarely rather than wrongly.
_ASIDE = (
    *("name", "seeds", "workers", "decoders", "checkpoint_seconds", "track", "arms", "retrain_on_validation"),
    *("teacher", "students", "distill", "augment", "search", "metrics", "primary"),
)
#: Of a key, in characters.
_LENGTH = 32
#: Settings of a student that act only where it is distilled.
_DISTILLED = ("phases", "teachers", "peers", "data_free")
#: Settings that only a search draws policies by; a training reads the schedule that came of them.
_POLICIES = ("ops", "copies", "counts", "magnitude", "scale", "ranges", "base")


class ConfigParts:
    """The parts of an experiment that the keys of all its stages are made of, each worked out once.

    Args:
        config: the experiment.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.values = as_values(config)
        self.named = own_code(config)
        self.reward = builders.configured_reward(config)
        self._config, self._presets = config, dict[str, dict[str, Any]]()
        self._kept: dict[tuple[str, ...], Any] = {(name,): value for name, value in self.values.items()}
        self._texts: dict[int, str] = {}

    def kept(self, name: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """Returns a part of the keys of several stages, worked out once.

        Args:
            name: a name of it, of several words.
            make: works it out.
        """
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def digest(self, values: Mapping[str, Any]) -> str:
        """Returns a key as `digest` does; parts of several keys are put into JSON once.

        Args:
            values: of the key, of which any may be a part that is kept here.
        """
        known, texts = {id(part) for part in self._kept.values() if isinstance(part, (dict, list))}, dict[str, str]()
        marked = dict(values)
        for name, value in values.items():
            if id(value) in known:
                if id(value) not in self._texts:
                    self._texts[id(value)] = json.dumps(value, sort_keys=True)
                texts[name], marked[name] = self._texts[id(value)], f"\0{name}"
        text = json.dumps(marked, sort_keys=True)
        for name, part in texts.items():
            text = text.replace(json.dumps(f"\0{name}"), part)
        return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]

    def preset(self, augmentation: str) -> dict[str, Any]:
        """Returns the content of a preset, or of a schedule's file."""
        if augmentation not in self._presets:
            made = builders.preset(self._config, specs(self._config)[augmentation]).to_json()
            self._presets[augmentation] = {name: value for name, value in made.items() if name != "name"}
        return self._presets[augmentation]


def stage_keys(config: ExperimentConfig, *, read: bool = True) -> dict[str, str]:
    """Returns the content key of every search and training of an experiment, by the stage's name.

    Args:
        config: the experiment.
        read: take in the images and the user's own modules; without them keys distinguish stages of one study, but not
            what they are made from.

    Raises:
        InputError: something cannot be read.
    """
    keys: dict[str, str] = {}
    parts = ConfigParts(config)
    for stage in stages_of(config):
        if stage.kind != "test":
            made_from = _read(config, stage, parts) if read else {}
            keys[stage.name] = parts.digest({**dependencies(config, stage, keys, parts), "read": made_from})
    return keys


def run_keys(config: ExperimentConfig) -> dict[str, str]:
    """Returns the content key of every stage of a run: those of `stage_keys`, and of each seed's test.

    Raises:
        InputError: something cannot be read.
    """
    keys = stage_keys(config)
    parts = ConfigParts(config)
    values, arms = parts.values, [arm for student in config.students for arm in arms_of(config, student.name)]
    settings = {name: value for name, value in values.items() if name not in _ASIDE or name in ("metrics", "primary")}
    controls = {f"{arm.student}-{arm.name}": control_of(config, arm) for arm in arms}
    stages = stages_of(config)
    for stage in (one for one in stages if one.kind == "test"):
        trained = {
            one.name: keys[one.name] for one in stages if one.seed == stage.seed and one.kind in ("teacher", "arm")
        }
        known = {**settings, "version": VERSION, "kind": "test", "seed": stage.seed, "trained": trained}
        # With one seed, a test also compares networks within it.
        known |= {"controls": controls, "one_seed": len(config.seeds) == 1}
        keys[stage.name] = digest({**known, "read": _read(config, stage, parts)})
    return keys


def _read(config: ExperimentConfig, stage: Stage, parts: ConfigParts) -> dict[str, str]:
    """Returns the digests of the images, and of the user's own code that the stage runs; a teacher has its own key."""
    data = parts.kept(("data", "read"), lambda: data_inputs(config))
    return {**data, **module_inputs(*code_read_by(config, stage, parts.named))}


def digest(values: Mapping[str, Any]) -> str:
    """Returns a key of plain values."""
    return digest_of(values)[:_LENGTH]


def dependencies(
    config: ExperimentConfig, stage: Stage, keys: Mapping[str, str], parts: ConfigParts | None = None
) -> dict[str, Any]:
    """Returns everything that a stage's result depends on, as plain values.

    A setting that does not act is left out: the number of epochs of training where a search has its own, the methods
    where nothing is distilled, the operations where the schedule is a preset that draws none.

    Args:
        config: the experiment.
        stage: a search or a training of it.
        keys: those of the stages that it needs.
        parts: of the experiment, where they are known already.
    """
    parts = parts or ConfigParts(config)
    values = parts.values
    role = parts.kept(("role", stage.role), lambda: _role(config, values, stage.role))
    found = {name: value for name, value in values.items() if name not in _ASIDE}
    found |= {"version": VERSION, "kind": stage.kind, "seed": stage.seed, "role": role}
    if stage.distilled:
        found["distill"] = values["distill"]
    else:
        found["role"] = parts.kept(
            ("role", stage.role, "alone"),
            lambda: {name: value for name, value in role.items() if name not in _DISTILLED},
        )
    if parts.reward is not None:
        found["reward"] = parts.reward
    if stage.teacher is not None:
        found["teacher"] = keys[stage.teacher]
    if stage.others:
        found["teachers"] = {role: keys[name] for role, name in stage.others}
    if stage.kind == "search":
        return found | _of_search(config, stage, values)
    found["augment"] = parts.kept(
        ("augment", "of a training"),
        lambda: {name: value for name, value in values["augment"].items() if name not in _POLICIES},
    )
    found["schedule"] = _schedule(parts, stage, keys)
    if stage.role == "teacher" and config.teacher.weights is not None:
        # It is taken as it is: of its own section only the network counts.
        mapped = {} if config.teacher.label_map is None else {"label_map": map_key(config)}
        found["role"] = {"model": role["model"], "weights": _content(config, "teacher"), **mapped}
        return found
    everything = section_of(config, stage.role).images is None
    found["with_validation"] = everything and config.retrain_on_validation and not stage.unseen
    return found


def _role(config: ExperimentConfig, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the settings of a role with its name; the content of a file in place of its path."""
    named = (student for student in values["students"] if student["name"] == name)
    role: dict[str, Any] = next(named, {**values["teacher"], "name": "teacher"})
    return role if role.get("init", "random") in BEGINNINGS else {**role, "init": _content(config, name)}


def _of_search(config: ExperimentConfig, stage: Stage, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the dependencies of a search: its own numbers of epochs and images take the place of the training's."""
    who = "teacher" if stage.role == "teacher" else "student"
    section, search = section_of(config, stage.role), values["search"]
    dropped = {"teacher_epochs", "student_epochs", "teacher_images", "student_images"}
    if stage.strategy not in ("screen", "screened_search"):
        dropped.add("screen")
    role = values["teacher"] if who == "teacher" else values["students"][config.students.index(section)]
    if section.init not in BEGINNINGS:
        role = {**role, "init": _content(config, stage.role)}
    train = {**role["train"], "epochs": search[f"{who}_epochs"] or section.train.epochs}
    return {
        "subject": stage.subject,
        "strategy": stage.strategy,
        "role": {**role, "train": train, "images": search[f"{who}_images"] or section.images},
        "augment": values["augment"],
        "search": {name: value for name, value in search.items() if name not in dropped},
    }


def _schedule(parts: ConfigParts, stage: Stage, keys: Mapping[str, str]) -> dict[str, Any]:
    """Returns the dependencies of a training's augmentation: a search's key, or the content of a preset or file."""
    if stage.schedule is not None:
        how = {"shuffled": stage.augmentation == "own_shuffled", "scalars": stage.augmentation in SEARCHES}
        return {"search": keys[stage.schedule], **how}
    return parts.preset(stage.augmentation)


def _content(config: ExperimentConfig, role: str) -> Any:
    setting = weight_setting(config, role)
    assert setting is not None
    try:
        return weight_key(setting)
    except InputError:
        return f"{setting.file}, which cannot be read"
