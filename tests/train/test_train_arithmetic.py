"""Precision, layout and compilation that are chosen by time: once, written down, and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from train_toys import data, trainee

import rolewise as rw
from rolewise.errors import InputError
from rolewise.models import build as network
from rolewise.seals import read_sealed
from rolewise.train import Trainee, TrainSettings, arithmetic
from rolewise.train.arithmetic import TimedArithmetic, choose_arithmetic, keep_arithmetic, kept_arithmetic

CPU = torch.device("cpu")
OPEN = TrainSettings(epochs=2, batch_size=16, precision="auto", channels_last="auto", compile="auto")


def no_training(settings: TrainSettings) -> Trainee:
    raise AssertionError("nothing may be timed here")


def times(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[TimedArithmetic], float | None]) -> None:
    """Replaces the timing: seconds of a step by arithmetic, None where it fails; compiling takes 30 s."""

    def timed(settings: Any, one: TimedArithmetic, make: Any, *, must_run: bool) -> TimedArithmetic:
        step = seconds(one)
        if step is None:
            return replace(one, note="failed")
        return replace(one, first=30.0 if one.compile else 2 * step, step=step)

    monkeypatch.setattr(arithmetic, "_timed", timed)


def chosen(steps: int = 100, settings: TrainSettings = OPEN) -> tuple[str, list[TimedArithmetic]]:
    found, timed = choose_arithmetic(settings, no_training, steps=steps)
    return str(found), timed


def test_the_fastest_is_chosen_and_the_plain_one_where_little_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    times(monkeypatch, lambda one: 1.0 - 0.3 * one.channels_last + 0.5 * (one.precision == "bfloat16"))
    best, timed = chosen()
    assert best == "float32, channels last, not compiled"
    assert len(timed) == 5 and timed[-1].step is None and "not tried: the training takes about 70 s" in timed[-1].note
    times(monkeypatch, lambda one: 1.0 - 0.04 * one.channels_last)
    assert chosen()[0] == "float32, channels first, not compiled"
    times(monkeypatch, lambda one: None if one.precision == "bfloat16" else 1.0)
    assert chosen()[0] == "float32, channels first, not compiled"
    # What the settings give stays.
    times(monkeypatch, lambda one: 1.0 - 0.5 * one.channels_last)
    assert chosen(settings=OPEN.changed(precision="float16"))[0] == "float16, channels last, not compiled"


def test_compiled_networks_are_chosen_only_where_compiling_is_repaid(monkeypatch: pytest.MonkeyPatch) -> None:
    times(monkeypatch, lambda one: 0.8 if one.compile else 1.0)
    # 30 s to compile: after 130 steps 20% of 130 s are saved, and after 1,000 steps 20% of 1,000.
    assert chosen(steps=130)[0].endswith("not compiled")
    assert chosen(steps=1000)[0].endswith(", compiled")
    times(monkeypatch, lambda one: None if one.compile else 1.0)
    best, timed = chosen(steps=1000)
    assert best.endswith("not compiled") and timed[-1].note == "failed"


def test_graphs_are_tried_where_the_device_records_them_and_chosen_where_they_are_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds: dict[bool | str, float | None] = {False: 1.0, True: 0.9, "graphs": 0.5}
    times(monkeypatch, lambda one: seconds[one.compile])

    def found() -> tuple[str, list[TimedArithmetic]]:
        best, timed = choose_arithmetic(OPEN, no_training, steps=1000, graphs=True)
        return str(best), timed

    assert found()[0].endswith("CUDA graphs") and [one.compile for one in found()[1]][-2:] == [True, "graphs"]
    assert chosen(steps=1000)[0].endswith(", compiled")
    seconds["graphs"] = 0.95
    assert found()[0].endswith(", compiled")
    seconds["graphs"] = None
    assert found()[0].endswith(", compiled") and found()[1][-1].note == "failed"


def test_real_steps_are_timed_of_networks_that_are_thrown_away() -> None:
    settings = OPEN.changed(compile=False)
    made: list[Trainee] = []

    def make(one: TrainSettings) -> Trainee:
        made.append(trainee(epochs=2, precision=one.precision, channels_last=one.channels_last))
        return made[-1]

    _, timed = choose_arithmetic(settings, make, steps=8)
    assert [(one.precision, one.channels_last) for one in timed] == [
        ("float32", False),
        ("float32", True),
        ("bfloat16", False),
        ("bfloat16", True),
    ]
    assert all(one.step is not None and 0 < one.step < 5 and one.note == "" for one in timed) and len(made) == 4


def test_one_that_fails_is_noted_and_the_plain_one_must_run() -> None:
    def make(one: TrainSettings) -> Trainee:
        if one.precision == "bfloat16":
            raise RuntimeError("no kernel\nsecond line")
        return trainee(epochs=2)

    settings = OPEN.changed(compile=False, channels_last=False)
    _, timed = choose_arithmetic(settings, make, steps=8)
    assert timed[1].note == "failed: RuntimeError: no kernel" and timed[1].step is None
    with pytest.raises(AssertionError, match="nothing may be timed"):
        choose_arithmetic(settings, no_training, steps=8)


def test_a_choice_that_is_written_is_never_made_again(tmp_path: Path) -> None:
    path, remedy = tmp_path / "arithmetic/small.json", "delete it"
    first = {"precision": "bfloat16", "channels_last": True, "compile": False}
    keep_arithmetic(path, {"chosen": first, "timed": []})
    # Another process that chose at the same time finds the first one's.
    keep_arithmetic(path, {"chosen": {**first, "precision": "float32"}, "timed": []})
    assert [one.name for one in path.parent.iterdir()] == ["small.json"]
    found = kept_arithmetic(path, OPEN, no_training, steps=8, remedy=remedy, device=CPU)
    assert (found.precision, found.channels_last, found.compile) == ("bfloat16", True, False)
    assert found.changed(precision="auto", channels_last="auto", compile="auto") == OPEN
    keep_arithmetic(tmp_path / "graphs.json", {"chosen": {**first, "compile": "graphs"}, "timed": []})
    with pytest.raises(InputError, match="CUDA graphs, chosen on a GPU, which cpu does not record; go on on a GPU, or"):
        kept_arithmetic(tmp_path / "graphs.json", OPEN, no_training, steps=8, remedy=remedy, device=CPU)
    path.write_text(path.read_text().replace("bfloat16", "float32"))
    with pytest.raises(InputError, match="delete it"):
        kept_arithmetic(path, OPEN, no_training, steps=8, remedy=remedy, device=CPU)


def test_a_trainee_takes_no_open_arithmetic() -> None:
    with pytest.raises(InputError, match='channels_last must be chosen before a Trainee is made, got "auto"'):
        trainee(channels_last="auto")


def test_distillation_in_one_call_chooses_and_its_folder_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = data().images.float().div(255)

    def distilled() -> rw.train.Distilled:
        student, teacher = (network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=s) for s in (1, 2))
        given = {"epochs": 2, "batch_size": 16, "folder": tmp_path / "kd"}
        return rw.distill(teacher, student, (images, data().labels), channels_last="auto", precision="auto", **given)

    first = distilled()
    found = read_sealed(tmp_path / "kd/arithmetic.json", "the choice", "")
    assert first.settings is not None and not first.settings.open_arithmetic
    assert found["chosen"]["precision"] == first.settings.precision and len(found["timed"]) == 4
    monkeypatch.setattr(arithmetic, "_timed", no_training)
    again = distilled()
    assert again.settings == first.settings
    assert all(map(torch.equal, again.student.state_dict().values(), first.student.state_dict().values()))
