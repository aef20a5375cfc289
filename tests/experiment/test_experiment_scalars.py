"""Searched numbers by dotted path: which may move, what is refused, and a search that moves them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from rolewise import report
from rolewise.advice.proposed_config import TrainedTeacher, overlay
from rolewise.config import ConfigError, as_values
from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.searched_scalars import searched_scalars
from rolewise.report.run_data import RunData
from rolewise.report.searched_numbers import searched_numbers
from rolewise.study.keys import stage_keys

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).with_name("quick.yaml")
SMALL = [
    *("seeds=[0]", "arms.teacher=[none]", "arms.student=[own]", "arms.distill=[true]", "students[0].train.epochs=2"),
    *("teacher.train.epochs=2", "teacher.images=50", "students[0].images=50", "data.test=100"),
    "search={members: 2, intervals: 2, initial: random, quantile: 0.5}",
]
DECAY, TEMPERATURE = "train.optimizer.weight_decay", "distill.methods.kd.temperature"
MOVED = (
    "search.scalars={train.optimizer.weight_decay: {low: 0.0001, high: 0.1, log: true}, "
    "distill.methods.0.temperature: {low: 1, high: 8}}"
)


def files_of(root: Path) -> dict[str, bytes]:
    """Returns all that two equal runs have alike."""
    names = ("scalars.json", "schedule.json", "lineage.json", "weights.safetensors", "record.jsonl", "results.json")
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.name in names}


def test_a_search_moves_a_temperature_and_a_decay_and_resumes_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "write_report", lambda root: None)  # it takes longer than all of the rest
    config = load(QUICK, [*SMALL, MOVED])
    run(config, tmp_path / "whole")
    folder = tmp_path / "whole/stages/seed0/small-search"
    for _, values in json.loads((folder / "scalars.json").read_text()):
        assert sorted(values) == [TEMPERATURE, DECAY]
        assert 1 <= values[TEMPERATURE] <= 8 and 0.0001 <= values[DECAY] <= 0.1
    lineage = json.loads((folder / "lineage.json").read_text())
    assert TEMPERATURE in lineage["initial"][0] and any(TEMPERATURE in event["changes"] for event in lineage["events"])

    def stop(update: StageUpdate) -> None:
        if update.stage == "seed0/small-search" and "interval 1/2" in update.text:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run(config, tmp_path / "resumed", on_update=stop)
    assert (tmp_path / "resumed/stages/seed0/small-search/state").is_dir()
    run(config, tmp_path / "resumed")
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "resumed")


def test_the_page_names_what_was_searched() -> None:
    data = RunData(Path(), "run", "", None, None, {})
    data.scalars["seed0/small-search"] = [
        [0.0, {DECAY: 0.5, "temperature": 4}],
        [0.5, {DECAY: 0.5, "temperature": 2.5}],
    ]
    assert searched_numbers(data) == [
        {"stage": "seed0/small-search", "name": DECAY, "values": "0.5 from 0%"},
        {"stage": "seed0/small-search", "name": "temperature", "values": "4 from 0%, 2.5 from 50%"},
    ]


def test_roles_have_the_numbers_of_their_own_sections() -> None:
    settings = [
        "students[0].mix.method=mixup",
        "students[0].train.optimizer={name: sgd}",
        "distill.methods=[{name: ii_kd}, {name: kd}]",
        "search.scalars={mix.share: {low: 0, high: 1}, train.optimizer.momentum: {low: 0.5, high: 0.9}, "
        "distill.methods.1.weight: {low: 0, high: 1}, distill.methods.kd_svd.weight: {low: 0, high: 9}, "
        "distill.label_weight: {low: 0, high: 1}, learning_rate: {low: 0.1, high: 0.2}}",
    ]
    config = load(QUICK, settings)
    assert list(searched_scalars(config, "teacher")) == ["learning_rate"]
    assert list(searched_scalars(config, "small")) == [
        *("mix.share", "train.optimizer.momentum", "distill.methods.kd.weight", "distill.methods.kd_svd.weight"),
        *("distill.label_weight", "learning_rate"),
    ]


def test_short_names_keep_values_and_keys() -> None:
    config = load(QUICK, ["search.scalars={temperature: {low: 1, high: 8}}"])
    assert as_values(config)["search"]["scalars"] == {"temperature": {"low": 1.0, "high": 8.0, "log": False}}
    assert stage_keys(config, read=False)["seed0/small-search"] == SHORT_KEY


#: Of the release before there were paths.
SHORT_KEY = "8b5c716379700348526c4254f070bcf1"


@pytest.mark.parametrize(
    ("name", "space", "path", "message"),
    [
        (
            "train.batch_size",
            "{low: 1, high: 9}",
            "",
            "may change during a training, got 'train.ba",
        ),
        (
            "train.optimizer.momentum",
            "{low: 0.1, high: 0.9}",
            "",
            "search one of train.optimizer.learning_rate, train.optimizer.weight_decay",
        ),
        ("mix.share", "{low: 0, high: 1}", "", "may change during a training, got 'mix.share'"),
        (
            "distill.methods.kd.bits",
            "{low: 0, high: 1}",
            "",
            "got 'distill.methods.kd.bits'",
        ),
        ("distill.methods.1.temperature", "{low: 1, high: 2}", "", "got 'distill.methods.1.temperature'"),
        ("distill.methods.kd.temperatur", "{low: 1, high: 2}", "", "did you mean distill.methods.kd.temperature?"),
        ("model.arguments.widths", "{low: 1, high: 2}", "", "or the path of a setting within a role or within distill"),
        ("train.optimizer.weight_decay", "{low: -1, high: 2}", ".low", "must be at least 0, got -1"),
        ("distill.methods.kd.temperature", "{low: 1, high: 5000}", ".high", "must be at most 1,000, got 5000"),
        ("distill.label_weight", "{low: -1, high: 1}", ".low", "must be a number of at least 0, got -1"),
        ("train.label_smoothing", "{low: 0, high: 1}", ".high", "must be below 1, got 1"),
        (
            "train.optimizer.learning_rate",
            "{low: 1, high: 2}",
            "",
            "searched once, got 'learning_rate' beside it",
        ),
        (
            "temperature",
            "{low: 1, high: 2}",
            "",
            "searched once, got 'distill.methods.0.temperature' beside it",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_at_its_line(name: str, space: str, path: str, message: str, tmp_path: Path):
    beside = {
        "train.optimizer.learning_rate": "    learning_rate: {low: 0.1, high: 1}\n",
        "temperature": "    distill.methods.0.temperature: {low: 1, high: 2}\n",
    }.get(name, "")
    text = QUICK.read_text().replace("search: {members: 3, intervals: 2, initial: random}\n", "")
    text += f"search:\n  members: 3\n  scalars:\n{beside}    {name}: {space}\n"
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "bad.yaml")
    fault, *more = caught.value.faults
    assert not more and message in fault.message and fault.path == f"search.scalars.{name}{path}"
    assert fault.place.line == len(text.splitlines())


def test_advice_keeps_the_methods_whose_numbers_are_searched() -> None:
    proposed = {"methods": [{"name": "dkd"}], "label_weight": 0.5}
    advice = SimpleNamespace(overlay={"mix": {"method": "none"}, "augmentation": "standard", "distill": proposed})
    teacher = TrainedTeacher("weights.safetensors", None, None)
    for scalars, expected in (
        ("search.scalars={temperature: {low: 1, high: 8}}", proposed),
        ("search.scalars={distill.methods.kd.weight: {low: 0, high: 1}}", {"label_weight": 0.5}),
    ):
        assert overlay(load(QUICK, [scalars]), "small", teacher, advice)["distill"] == expected  # type: ignore[arg-type]
