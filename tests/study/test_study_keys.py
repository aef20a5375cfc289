"""What a stage depends on: by changing every setting, and by watching what a stage reads."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rolewise.augment import build_schedule
from rolewise.config import ExperimentConfig, as_values, dotted
from rolewise.config.measure_entries import MeasureEntry
from rolewise.config.section import Section
from rolewise.experiment import load
from rolewise.experiment.run_folder import RunFolder, open_run
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stage_work import run_stage
from rolewise.models import build as build_network
from rolewise.study.keys import measure_key, stage_keys
from rolewise.train import save_weights

QUICK = Path(__file__).parent.parent / "experiment" / "quick.yaml"
ONE = ("seeds=[0]", "arms.student=[none, own]", "students[0].quantise={weights: 4, activations: 4}")
SEARCH, TEACHER, STUDENT_SEARCH = "teacher-search", "teacher-own", "small-search"
TAUGHT, OWN_TAUGHT, PLAIN, OWN = "small-none+distill", "small-own+distill", "small-none", "small-own"
ALL = {SEARCH, TEACHER, STUDENT_SEARCH, TAUGHT, OWN_TAUGHT, PLAIN, OWN}
STUDENTS = {STUDENT_SEARCH, TAUGHT, OWN_TAUGHT, PLAIN, OWN}
SEARCHED = {STUDENT_SEARCH, OWN_TAUGHT, OWN}

#: By the beginning of a setting's path: the stages whose result changes with it, and those that need a changed one.
READ_BY: dict[str, set[str]] = {
    **{name: set() for name in ("name", "seeds", "workers", "checkpoint_seconds", "retrain_on_validation")},
    **dict.fromkeys(("data", "device", "threads"), ALL),
    "teacher": ALL - {PLAIN},
    "students": STUDENTS,
    "distill": STUDENTS - {PLAIN},
    **dict.fromkeys(("augment.interpolation", "augment.fill"), ALL),
    "augment": ALL - {PLAIN},
    "search": ALL - {PLAIN},
    **dict.fromkeys(("search.student_epochs", "search.student_images"), SEARCHED),
    "search.screen": set(),
}
#: Another value for every setting.
OTHER: dict[str, Any] = {
    "name": "other",
    "seeds": [0, 3],
    "device": "cpu",
    "data.name": "mnist",
    "data.root": "elsewhere",
    "data.arguments": {"threshold": 3},
    "data.limit": 400,
    "teacher.weights": str(QUICK),
    "*.model.name": "resnet8",
    "*.model.arguments": {"widths": [3]},
    "*.model.arguments.widths": [3],
    "*.model.mean": [0.4],
    "*.model.std": [0.4],
    "*.model.size": [9, 9],
    "*.train.optimizer.name": "sgd",
    "*.train.optimizer.betas": [0.8, 0.9],
    "*.train.schedule.name": "constant",
    "*.train.schedule.milestones": [0.5],
    "*.train.groups": [{"weight_decay": 0.0}],
    "*.train.freeze": [{"match": "classifier"}],
    "*.train.ema": 0.9,
    "*.train.clip_norm": 1.0,
    "*.train.distill_gradient": "limited",
    "*.train.precision": "bfloat16",
    "students[0].name": "small",
    "students[0].init": "teacher",
    "students[0].quantise.quantiser": "dorefa",
    "students[0].quantise.keep": ["first"],
    "students[0].quantise.layers": {"classifier": {"weights": 2}},
    "distill.methods": [{"name": "kd", "temperature": 2.0}],
    "distill.view": "clean",
    "distill.mixed_targets": "outputs",
    "distill.teacher_mode": "batch_statistics",
    "*.mix.method": "mixup",
    "*.mix.share_kind": "legacy",
    "*.mix.ratio": "batch",
    "*.mix.pairs": "within",
    "*.mix.entropy_rule": "unix",
    "augment.ops": ["rotate"],
    "augment.counts": [0.5, 0.5],
    "augment.magnitude": "fixed",
    "augment.scale": "pba",
    "augment.ranges": {"rotate": 5.0},
    "augment.base": ["crop"],
    "augment.interpolation": "nearest",
    "search.initial": "zeros",
    "search.scalars": {"learning_rate": {"low": 0.1, "high": 0.2}},
    "search.teacher_epochs": 3,
    "search.student_epochs": 3,
    "search.teacher_images": 50,
    "search.student_images": 50,
    "arms.teacher": ["own", "none"],
    "arms.student": ["none", "own", "randaugment"],
    "arms.distill": [False, True],
    "arms.control": "own",
}


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Gives every setting: mappings that are settings themselves, and lists other than that of the students, whole."""
    whole = dotted(path) in OTHER or dotted(path).endswith("arguments")
    if isinstance(value, dict) and not whole:
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    elif path == ("students",):
        yield from leaves(value[0], ("students", 0))
    else:
        yield path, value


def other(path: tuple, value: Any) -> Any:
    name = dotted(path)
    known = [name, name.replace("teacher.", "*.", 1), name.replace("students[0].", "*.", 1)]
    for key in known:
        if key in OTHER:
            return OTHER[key]
    assert isinstance(value, (int, float)), f"say another value of {name} in OTHER"
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else (value + 0.5) / 2


def changed(config: ExperimentConfig, path: tuple, value: Any) -> ExperimentConfig:
    values = copy.deepcopy(as_values(config))
    target = values
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    if path[-1] in ("mean", "std"):
        target["mean"], target["std"] = target["mean"] or [0.5], target["std"] or [0.5]
    return ExperimentConfig.model_validate_json(json.dumps(values), strict=True)


def keys(config: ExperimentConfig) -> dict[str, str]:
    return {
        name.removeprefix("seed0/"): key
        for name, key in stage_keys(config, read=False).items()
        if name.startswith("seed0/")
    }


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if after.get(name) != before[name]}


# Every default written out, so that no two sections are one object.
CONFIG = changed(load(QUICK, ONE), ("name",), "quick")
# A student of another name has other stages; there is a test of that below.
SETTINGS = [path for path, _ in leaves(as_values(CONFIG)) if path != ("students", 0, "name")]


def test_every_stage_has_a_key_of_its_own() -> None:
    found = keys(CONFIG)
    assert set(found) == ALL and len(set(found.values())) == len(ALL)
    assert len(SETTINGS) > 90


def test_further_arms_leave_the_stages_of_the_others_alone() -> None:
    for name in ("teacher", "student", "distill", "control"):
        path = ("arms", name)
        more = keys(changed(CONFIG, path, OTHER[dotted(path)]))
        assert set(keys(CONFIG).values()) <= set(more.values())


@pytest.mark.parametrize("path", [path for path in SETTINGS if path[0] != "arms"], ids=dotted)
def test_a_setting_changes_the_keys_of_the_stages_that_read_it(path: tuple) -> None:
    value = dict(leaves(as_values(CONFIG)))[path]
    name = dotted(path)
    expected = READ_BY[max((key for key in READ_BY if name == key or name.startswith((f"{key}.", f"{key}["))), key=len)]
    new = other(path, value)
    assert new != value, f"OTHER must hold another value of {name}"
    assert moved(keys(CONFIG), keys(changed(CONFIG, path, new))) == expected


def test_every_stage_s_key_depends_on_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs every stage while each access to a setting is written down: each setting read must move the stage's key."""
    run = open_run(tmp_path / "r", CONFIG)
    watch = Watch(CONFIG)
    monkeypatch.setattr(RunFolder, "config", lambda self: CONFIG)
    unread, count = [], 0
    for stage in stages_of(CONFIG):
        if stage.kind == "test":
            continue
        with monkeypatch.context() as patched:
            watch.begin(patched)
            run_stage(run, stage, lambda text: None, lambda: False)
        name = stage.name.removeprefix("seed0/")
        for path in watch.seen:
            if path[0] in ("name", "seeds", "workers", "checkpoint_seconds", "arms") or path == ("students", 0, "name"):
                continue
            count += 1
            after = keys(changed(CONFIG, path, other(path, dict(leaves(as_values(CONFIG)))[path])))
            if after.get(name) == keys(CONFIG)[name]:
                unread.append((name, dotted(path)))
    assert count > 200
    # Read and of no effect: the number of images is given, so that nothing is added to them; a preset without
    # operations does not draw from those that are read beside it; a search has epochs and images of its own; a stage
    # finds its file of weights among those of all roles.
    no_effect = {
        "students[0].init",
        "retrain_on_validation",
        "augment.ops",
        "augment.ranges",
        "augment.base",
        "search.screen",
    }
    assert {path for _, path in unread if not path.startswith("search.screen")} <= no_effect, unread
    assert {name for name, path in unread if path.startswith("augment")} <= {PLAIN, TAUGHT, STUDENT_SEARCH}


class Watch:
    """Writes down which settings of a config are read.

    Args:
        config: the config.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.known: dict[int, tuple[Any, tuple]] = {}
        self.settings = {path for path, _ in leaves(as_values(config))}
        self._find(config, ())
        self.seen: set[tuple] = set()

    def _find(self, section: Any, path: tuple) -> None:
        if isinstance(section, Section):
            self.known[id(section)] = section, path
            for name in type(section).model_fields:
                self._find(section.__dict__[name], (*path, name))
        elif isinstance(section, tuple):
            for place, part in enumerate(section):
                self._find(part, (*path, place))

    def begin(self, patched: pytest.MonkeyPatch) -> None:
        self.seen = set()
        copied, dumped = Section.model_copy, Section.model_dump
        watch = self

        def read(section: Any, name: str) -> Any:
            value = object.__getattribute__(section, name)
            known = watch.known.get(id(section))
            if known is not None and known[0] is section:
                watch.seen |= {path for path in [(*known[1], name)] if path in watch.settings}
            return value

        def copy_of(section: Any, **how: Any) -> Any:
            made = copied(section, **how)
            if id(section) in watch.known:
                watch.known[id(made)] = made, watch.known[id(section)][1]
            return made

        def dump_of(section: Any, **how: Any) -> Any:
            _, above = watch.known.get(id(section), (None, ("nowhere",)))
            watch.seen |= {path for path in watch.settings if path[: len(above)] == above}
            return dumped(section, **how)

        patched.setattr(Section, "__getattribute__", read)
        patched.setattr(Section, "model_copy", copy_of)
        patched.setattr(Section, "model_dump", dump_of)


def test_the_watch_sees() -> None:
    watch = Watch(CONFIG)
    with pytest.MonkeyPatch.context() as patched:
        watch.begin(patched)
        assert CONFIG.data.limit is None and CONFIG.students[0].train.model_copy(update={"epochs": 3}).batch_size == 50
        CONFIG.search.screen.model_dump()
    assert watch.seen == {
        ("data", "limit"),
        ("students", 0, "train", "batch_size"),
        *(("search", "screen", name) for name in ("candidates", "repeats", "images")),
    }


def test_a_seed_and_a_role_have_streams_of_their_own() -> None:
    found = stage_keys(load(QUICK, ["seeds=[0, 1]", *ONE[1:]]))
    assert not {k for n, k in found.items() if "seed0" in n} & {k for n, k in found.items() if "seed1" in n}
    renamed = keys(changed(CONFIG, ("students", 0, "name"), "other"))
    assert renamed["teacher-own"] == keys(CONFIG)["teacher-own"]
    assert renamed["other-none"] != keys(CONFIG)["small-none"]


def test_validation_images_count_where_they_are_trained_on() -> None:
    open_ended = changed(CONFIG, ("students", 0, "images"), None)
    assert moved(keys(open_ended), keys(changed(open_ended, ("retrain_on_validation",), True))) == {
        *(PLAIN, OWN, TAUGHT, OWN_TAUGHT)
    }


def test_a_search_s_own_numbers_take_the_place_of_the_training_s() -> None:
    own = changed(changed(CONFIG, ("search", "student_epochs"), 3), ("search", "student_images"), 50)
    for name in ("images", "train"):
        new = 60 if name == "images" else {**as_values(CONFIG)["students"][0]["train"], "epochs": 9}
        assert moved(keys(own), keys(changed(own, ("students", 0, name), new))) == STUDENTS - {STUDENT_SEARCH}


def test_a_given_teacher_is_its_file_s_content(tmp_path: Path) -> None:
    settings = ["seeds=[0]", "arms.teacher=[none]", "arms.student=[none]"]
    weights = tmp_path / "w.safetensors"
    network = build_network("small_cnn", num_classes=10, channels=1, size=(8, 8), widths=[8, 12])
    save_weights(network, weights)
    given = load(QUICK, [*settings, f"teacher.weights={weights}"])
    first = keys(given)
    assert moved(first, keys(changed(given, ("teacher", "train", "epochs"), 9))) == set()
    elsewhere = tmp_path / "v.safetensors"
    save_weights(network, elsewhere)
    assert keys(changed(given, ("teacher", "weights"), str(elsewhere))) == first
    torch.nn.init.zeros_(next(network.parameters()))
    save_weights(network, weights)
    assert moved(first, keys(given)) == {"teacher-none", "small-none+distill"}


def test_a_schedule_file_is_its_content(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    build_schedule("trivialaugment").save(path)
    config = load(QUICK, ["seeds=[0]", "arms.teacher=[none]", f"arms.student=[none, {path}]", "arms.distill=[false]"])
    first = keys(config)
    build_schedule({"name": "randaugment", "strength": 0.3}).save(path)
    assert moved(first, keys(config)) == {"small-schedule"}


def test_measurements_belong_to_a_network_and_to_what_is_measured() -> None:
    plain, other, stronger = MeasureEntry("accuracy"), MeasureEntry("x:y"), MeasureEntry("robustness", {"radii": [16]})
    wanted = [("a", [plain]), ("b", [plain]), ("a", [other]), ("a", [stronger]), ("a", [MeasureEntry("robustness")])]
    assert len({measure_key(training, measure, read=False) for training, measure in wanted}) == 5
