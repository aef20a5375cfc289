"""Distillation on mixed pairs out of ordinary experiments: levels, their settings, and a stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rolewise.errors import Interrupted
from rolewise.experiment import load
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, experiment_rows
from rolewise.systems.stkd.stkd_system import CONFIG, StkdSettings

SHORT = StkdSettings(seeds=(3,), images=60, epochs=1, teacher_epochs=1)


def test_every_level_is_a_valid_config_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def instead(path: Path, settings: Sequence[str], levels: Any, context: JobContext) -> list[dict[str, Any]]:
        seen.append(load(path, settings))
        return [{"student": "small", "accuracy": 0.5, "loss": 1.0}]

    monkeypatch.setattr("rolewise.systems.stkd.stkd_system.experiment_rows", instead)
    quiet = JobContext(lambda line: None, lambda: False)
    rows = [SYSTEMS["stkd"].train(piece, SHORT, quiet) for piece in SYSTEMS["stkd"].pieces(SHORT)]
    assert rows == [[{"accuracy": 0.5, "loss": 1.0}]] * 6
    assert [config.seeds for config in seen] == [[3]] * 6 or [tuple(config.seeds) for config in seen] == [(3,)] * 6
    mixes = [config.students[0].mix for config in seen]
    assert [mix.method for mix in mixes] == ["none", "mixup", "none", "mixup", "mixup", "mixup"]
    assert [mix.clean_too for mix in mixes] == [False, False, False, False, False, True]
    assert [config.distill.mixed_targets for config in seen] == [*["image"] * 4, "outputs", "image"]
    assert [config.arms.distill for config in seen] in (
        [*[(False,)] * 2, *[(True,)] * 4],
        [*[[False]] * 2, *[[True]] * 4],
    )
    assert all(config.teacher.mix.method == "none" for config in seen)


@pytest.mark.slow
def test_an_experiment_gives_its_rows_and_hears_a_stop() -> None:
    over = ["students[0].images=60", "students[0].train.epochs=1", "teacher.train.epochs=1"]

    def rows(should_stop: Callable[[], bool]) -> list[dict[str, Any]]:
        return experiment_rows.experiment_rows(CONFIG, over, {"images": "clean"}, JobContext(print, should_stop))

    found = rows(lambda: False)
    assert [row["student"] for row in found] == ["small"] and found[0]["images"] == "clean"
    assert 0 <= found[0]["accuracy"] <= 1 and found == rows(lambda: False)
    with pytest.raises(Interrupted):
        rows(lambda: True)
