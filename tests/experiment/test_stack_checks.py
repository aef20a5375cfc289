"""Configs whose searches stack their members, or whose networks record graphs: what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch

from rolewise.config import ExperimentConfig, load_experiment_config
from rolewise.experiment.graph_checks import graph_faults
from rolewise.experiment.stack_checks import stack_section_faults
from rolewise.experiment.stage_keys import stage_keys

QUICK = Path(__file__).with_name("quick.yaml")
STUDENT, TEACHER = "students[0].train.", "teacher.train."


def config(overrides: Sequence[str]) -> ExperimentConfig:
    """The experiment, without the checks that try its networks."""
    return load_experiment_config(QUICK, list(overrides))


def texts(faults: Iterable[tuple[tuple[str | int, ...], str]]) -> list[str]:
    return [f"{'.'.join(map(str, path))}: {rule}" for path, rule in faults]


REFUSED = {
    f"{STUDENT}precision=bfloat16": "students.0.train.precision: must be float32 where",
    f"{STUDENT}accumulate=2": "students.0.train.accumulate: must be 1 where",
    f"{STUDENT}distill_gradient=limited": "students.0.train.distill_gradient: must be sum where",
    "students[0].mix={method: mixup}": "students.0.mix: must be without mixing",
    "students[0].quantise={weights: 2, activations: 2}": "students.0.quantise: must be left out where the members",
    "search.scalars={temperature: {low: 1, high: 8}}": "search.scalars.temperature: must be a number of the optimiser",
    "distill.cache={views: clean}": "distill.cache: must be left out",
    "distill.teacher_mode=batch_statistics": "distill.teacher_mode: must be eval",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_cannot_be_stacked_is_named_with_its_place(setting: str) -> None:
    (fault,) = texts(stack_section_faults(config(["search.stacked=3", setting])))
    assert fault.startswith(REFUSED[setting]) and fault.endswith("set search.stacked to 1")
    assert not texts(stack_section_faults(config([setting])))


def test_what_no_search_trains_may_be_as_it_likes() -> None:
    # The teacher's augmentation is a preset here, and no student takes one of its own: nobody searches for it.
    preset = ["arms.teacher=[none]", "arms.student=[none, own]"]
    made = config(["search.stacked=3", f"{TEACHER}precision=bfloat16", *preset])
    assert not texts(stack_section_faults(made))
    own = ["search.stacked=3", "search.scalars={learning_rate: {low: 0.001, high: 0.1, log: true}}"]
    assert not texts(stack_section_faults(config(own)))


def test_a_stack_is_in_the_keys_of_searches_where_there_is_one() -> None:
    plain, stacked = (stage_keys(config(given), read=False) for given in ([], ["search.stacked=3"]))
    different = {name for name in plain if plain[name] != stacked[name]}
    assert any("search" in name for name in different)
    assert {name for name in plain if name.endswith("-trivialaugment")}.isdisjoint(different)


def test_graphs_are_refused_where_no_device_records_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made = config([f"{STUDENT}compile=graphs"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (fault,) = texts(graph_faults(made))
    assert fault.startswith("students.0.train.compile: must be true or false on cpu, got graphs")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not texts(graph_faults(made))
    assert len(texts(graph_faults(config([f"{STUDENT}compile=graphs", "device=cpu"])))) == 1
