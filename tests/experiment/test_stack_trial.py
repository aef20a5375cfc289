"""Whether a population can be stacked is known when the config is validated: one step of two members is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.config import ConfigError, load_experiment_config
from rolewise.experiment import load
from rolewise.experiment.trial import Trial

QUICK = Path(__file__).with_name("quick.yaml")


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(QUICK.parent)


def test_a_population_that_can_be_stacked_is_said_to_be() -> None:
    trial = Trial()
    assert not list(trial.check(load_experiment_config(QUICK, ["search.stacked=3"])))
    found = [note for note in trial.tables if note.startswith("search.stacked")]
    assert [role in note for role, note in zip(("teacher", "small"), found, strict=True)] == [True, True]
    assert all("can be" in note for note in found)
    plain = Trial()
    assert not list(plain.check(load_experiment_config(QUICK))) and "search.stacked" not in "".join(
        [*plain.notes, *plain.tables]
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["distill.methods=[{name: ps_kd}]", "distill.label_weight=1"], "keep no state"),
        (["students[0].model={name: 'trial_toys:branching'}"], "torch can stack them"),
    ],
)
def test_a_population_that_cannot_be_is_refused_with_the_reason(settings: list[str], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, ["search.stacked=3", *settings])
    [fault] = caught.value.faults
    assert fault.path == "search.stacked" and reason in fault.message and "set it to 1" in fault.message
    load(QUICK, settings)
