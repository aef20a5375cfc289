"""Phases of a student in a config: what they train, what they share, and faults with their key and line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolewise.config import ConfigError, as_values
from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.stage_keys import stage_keys
from rolewise.report.curves_figures import curves_figure

QUICK = Path(__file__).with_name("quick.yaml")
PHASED = """extends: {quick}
seeds: [0]
teacher: {{train: {{epochs: 1}}}}
students:
  - name: small
    model: {{name: small_cnn, arguments: {{widths: [4, 6]}}}}
    images: 100
    train: {{epochs: 4, batch_size: 50, optimizer: {{name: adam, learning_rate: 0.01}}}}
    phases:
      - name: paraphraser
        epochs: 0.25
        methods: [{{name: ft, weight: 0}}]
        train: [{{role: terms, match: ft.estimator}}]
        label_weight: 0
        stop_at: last_stage
      - name: transfer
        epochs: 2
        methods: [{{name: ft}}, kd]
        freeze: [{{role: terms, match: ft.estimator}}]
      - {{schedule: {{name: constant}}}}
arms: {{teacher: [none], student: [none], distill: [true, false]}}
"""


def written(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = PHASED.format(quick=QUICK)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "phased.yaml"
    path.write_text(text)
    return path


def test_a_run_goes_through_the_phases_and_shows_them(tmp_path: Path) -> None:
    run(load(written(tmp_path)), tmp_path / "run", only=lambda stage: stage.kind != "test")
    folder = tmp_path / "run/stages/seed0"
    record = [json.loads(line) for line in (folder / "small-none+distill/record.jsonl").read_text().splitlines()]
    assert [line["phase"] for line in record] == ["paraphraser", "transfer", "transfer", "phase 3"]
    assert [set(line["terms"]) for line in record] == [
        {"ft", "ft_estimator"},
        *[{"labels", "ft", "ft_estimator", "kd"}] * 2,
        {"labels", "kd"},
    ]
    # The paraphraser is trained in the first phase alone.
    assert record[0]["train_loss"] == record[0]["terms"]["ft_estimator"]
    alone = [json.loads(line) for line in (folder / "small-none/record.jsonl").read_text().splitlines()]
    assert all("phase" not in line and set(line["terms"]) == {"labels"} for line in alone)
    caption = curves_figure({"small": {"none+distill": [record], "none": [alone]}}).caption
    assert "phases of small under distillation: paraphraser to 25%, transfer to 75%, phase 3 to 100%" in caption


def test_keys_without_phases_stay_and_phases_count_where_something_is_distilled(tmp_path: Path) -> None:
    plain = load(written(tmp_path, (PHASED[PHASED.index("    phases:") : PHASED.index("arms:")].format(), "")))
    assert "phases" not in as_values(plain)["students"][0]
    keys = [stage_keys(config, read=False) for config in (plain, load(written(tmp_path)))]
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {"seed0/small-none+distill"}


#: A part of the config, what stands there instead, and the fault: its key below students[0].phases, and its message.
WRONG = [
    ("epochs: 0.25", "epochs: 3", "[2].epochs", "must leave an epoch to every phase, got -1 of"),
    ("{name: ft, weight: 0}", "{name: fit}", "[0].methods[0].name", "must be a method, got 'fit'"),
    (
        "train: [{role: terms,",
        "train: [{match: no}, {role: terms,",
        "[0].train[0].match",
        "must be a path",
    ),
    ("stop_at: last_stage", "stop_at: stage1", "[0].stop_at", "must be a tap that the phase's methods read"),
    ("label_weight: 0", "label_weight: 1", "[0].label_weight", "must be 0 where the student's pass stops"),
    (
        "[{name: ft}, kd]",
        "[{name: ft, rate: 1}, kd]",
        "[1].methods[0]",
        "must have the same rate",
    ),
    (
        "{name: constant}",
        "{name: linear, warmup: 2 epochs}",
        "[2].schedule.warmup",
        "must be shorter than",
    ),
]


@pytest.mark.parametrize(("old", "new", "key", "message"), WRONG)
def test_a_fault_is_named_with_key_and_line(old: str, new: str, key: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, (old, new))
    with pytest.raises(ConfigError) as caught:
        load(path)
    faults = {fault.path: fault for fault in caught.value.faults}
    assert f"students[0].phases{key}" in faults, list(faults)
    fault = faults[f"students[0].phases{key}"]
    assert message in fault.message and fault.place.file == str(path) and fault.place.line > 1


def test_phases_that_do_not_fit_a_search_s_epochs_are_refused_with_their_rule(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            written(tmp_path, ("student: [none]", "student: [own]")),
            ["students[0].phases=[{epochs: 2, label_weight: 1}, {}]", "search.student_epochs=2"],
        )
    (fault,) = caught.value.faults
    assert fault.message.startswith(
        "must leave an epoch to every phase, got 0 of the training's 2 for one in the search"
    )


def test_searched_numbers_that_phases_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a number of the mixing where students have phases"):
        load(written(tmp_path), ["search.scalars={label_weight: {low: 0.0, high: 1.0}}"])


@pytest.mark.slow
def test_a_search_through_phases_that_is_stopped_makes_the_same_bytes(tmp_path: Path) -> None:
    config = load(
        written(tmp_path, ("student: [none]", "student: [own]"), ("distill: [true, false]", "distill: [true]"))
    )
    config = config.changed(search=config.search.changed(members=2))
    run(config, tmp_path / "whole")
    for limit in (2, 4, 6):
        updates = iter(range(limit))

        def stop(update: StageUpdate, updates: Iterator[int] = updates) -> None:
            if next(updates, None) is None:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt, Interrupted):
            run(config, tmp_path / "stopped", on_update=stop)
    run(config, tmp_path / "stopped")
    for path in (tmp_path / "whole").rglob("weights.safetensors"):
        assert path.read_bytes() == (tmp_path / "stopped" / path.relative_to(tmp_path / "whole")).read_bytes()
