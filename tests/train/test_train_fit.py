"""Fitting: the same bytes wherever it is stopped; checkpoints that are damaged or of another training."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from train_toys import trainee, weights

from rolewise.distill import Distiller
from rolewise.errors import InputError, Interrupted
from rolewise.train import fit, load_checkpoint, load_weights, save_checkpoint, save_weights


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("record.jsonl", "weights.safetensors")}


def test_a_fit_that_is_stopped_anywhere_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert fit(trainee(), tmp_path / "whole", validate=lambda: 0.5)
    for every in (4, 7):
        folder = tmp_path / str(every)
        count = 0

        def stop(every: int = every) -> bool:
            nonlocal count
            count += 1
            return count % every == 0

        rounds = 0
        while not fit(trainee(), folder, validate=lambda: 0.5, should_stop=stop):
            rounds += 1
            # What a killed process wrote after its last checkpoint, the last line half.
            with (folder / "record.jsonl").open("a") as file:
                file.write('{"epoch": 99}\n{"ep')
        assert rounds >= 1 and contents(folder) == contents(tmp_path / "whole")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    made = trainee()
    for epoch in (1, 2, 3):
        made.run_epochs(epoch - 1, epoch)
        save_checkpoint(tmp_path, epoch, made.state_dict())
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["epoch-000002.pt", "epoch-000003.pt"]
    newest = load_checkpoint(tmp_path)
    assert newest is not None and newest["epoch"] == 3
    for name in ("epoch-000003.safetensors", "epoch-000003.pt"):
        path = tmp_path / name
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"", b"\x80\x04garbage", bytes(len(content))):
            path.write_bytes(damaged)
            older = load_checkpoint(tmp_path)
            assert older is not None and older["epoch"] == 2
        path.write_bytes(content)
    fresh = trainee()
    fresh.load_state_dict(newest)
    assert torch.equal(weights(fresh), weights(made))
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"none")
    with pytest.raises(InputError, match=r"no checkpoint .* can be used"):
        load_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path / "nowhere") is None


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    made = trainee(distilled=False)
    fit(made, tmp_path)
    load_weights(trainee(distilled=False).model, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="another network"):
        load_weights(nn.Linear(2, 2), tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(b"12")
    with pytest.raises(InputError, match="damaged"):
        load_weights(made.model, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(made.model, tmp_path / "missing")


class Killed(BaseException):
    """Ends a training where a kill might."""


#: Of 33: the first, the second file of a checkpoint within an epoch, and the last; 10 is that of one at an end.
SOME = (1, 6, 33)


@pytest.mark.parametrize(
    ("settings", "kills"),
    [
        ({}, SOME),
        ({"ema": 0.5}, (10,)),
        pytest.param({"epochs": 2}, range(1, 18), marks=pytest.mark.slow),
        pytest.param({"epochs": 2, "ema": 0.5}, range(1, 18), marks=pytest.mark.slow),
    ],
    ids=["plain", "ema", "plain, all", "ema, all"],
)
def test_killed_at_a_rename_it_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], kills: Sequence[int]
) -> None:
    often = {"seconds_between_checkpoints": 0.0}
    replace, calls = os.replace, 0
    kill_at, before = 0, True

    def replacing(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == kill_at and before:
            raise Killed
        replace(source, target)
        if calls == kill_at:
            raise Killed

    monkeypatch.setattr("rolewise.files.os.replace", replacing)
    fit(trainee("adam", **settings), tmp_path / "whole", **often)
    epochs = settings.get("epochs", 4)
    # The record and times begun, a checkpoint of two files after each of 4 steps an epoch but the last, the weights.
    assert calls == 2 + (4 * epochs - 1) * 2 + 1
    for kill_at in kills:
        for before in (True, False):
            folder, calls = tmp_path / f"{kill_at}-{before}", 0
            with pytest.raises(Killed):
                fit(trainee("adam", **settings), folder, **often)
            calls = -1000
            assert fit(trainee("adam", **settings), folder, **often)
            assert contents(folder) == contents(tmp_path / "whole"), (kill_at, before)
            assert len((folder / "timing.jsonl").read_text().splitlines()) == epochs


def test_the_record_holds_a_line_an_epoch_and_no_times(tmp_path: Path) -> None:
    told: list[str] = []
    fit(trainee(), tmp_path, validate=lambda: 0.25, validations=2, on_epoch=told.append)
    record = [json.loads(text) for text in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in record] == [1, 2, 3, 4]
    assert [entry.get("validation_accuracy") for entry in record] == [None, 0.25, None, 0.25]
    assert set(record[0]) == {"epoch", "progress", "train_loss", "terms", "learning_rate", "gradients"}
    assert set(record[0]["terms"]) == {"labels", "kd", "fitnets"}
    # The total is the weighted sum: the labels count 1, kd 0.9, fitnets 0.1.
    terms = record[0]["terms"]
    total = terms["labels"] + 0.9 * terms["kd"] + 0.1 * terms["fitnets"]
    assert record[0]["train_loss"] == pytest.approx(total, rel=1e-5)
    times = [json.loads(text) for text in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert all(entry["seconds"] > 0 and entry["images_per_second"] > 0 for entry in times)
    assert told[0].startswith("epoch 1/4, loss ") and told[0].endswith(" images/s, about 1 s remaining")
    assert told[-1].startswith("epoch 4/4, loss ") and told[-1].endswith(" images/s")


def test_what_is_left_is_not_reckoned_from_an_epoch_that_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Distiller, "compile_networks", lambda self, **settings: None)
    told: list[str] = []
    fit(trainee(compile=True), tmp_path, on_epoch=told.append)
    assert ["remaining" in line for line in told] == [False, True, True, False]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_with_recorded_passes_no_gradients_are_measured() -> None:
    # A second pass back through what CUDA graphs recorded would keep what the first lets go.
    measured = trainee().run_epoch(measured=True)
    recorded = trainee()
    recorded.settings = recorded.settings.changed(compile="graphs")
    found = recorded.run_epoch(measured=True)
    assert measured is not None and found is not None
    assert measured.pop("gradients") and "gradients" not in found and found == measured


def test_ctrl_c_at_an_epoch_s_end_ends_there_with_a_checkpoint(tmp_path: Path) -> None:
    fit(trainee(), tmp_path / "whole")

    def press(text: str) -> None:
        if text.startswith("epoch 2/"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match=r"stopped after epoch 2 of 4; run the same with .* again"):
        fit(trainee(), tmp_path / "cut", on_epoch=press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = trainee()
    assert fit(resumed, tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_ctrl_c_within_an_epoch_ends_after_the_step(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fit(trainee(), tmp_path / "whole")
    made, steps = trainee(), 0

    def press(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 7:
            signal.raise_signal(signal.SIGINT)

    made.distiller.register_forward_pre_hook(press)
    with pytest.raises(Interrupted, match=r"stopped after step 3 of 4 in epoch 2 of 4; run the same with .* again"):
        fit(made, tmp_path / "cut")
    assert (
        steps == 7
        and "Stopping after this step; everything is kept. Ctrl-C again breaks off at once.\n" in capfd.readouterr().err
    )
    names = sorted(path.name for path in (tmp_path / "cut" / "checkpoints").iterdir())
    assert names == ["epoch-000001-step-000000003.pt", "epoch-000001-step-000000003.safetensors"]
    assert len((tmp_path / "cut" / "record.jsonl").read_text().splitlines()) == 1
    assert fit(trainee(), tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_generations_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    state = trainee().state_dict()
    for epoch, step in ((1, 0), (1, 2), (1, 10), (2, 0), (2, 1)):
        save_checkpoint(tmp_path, epoch, {**state, "epoch": epoch, "at": step}, step=step)
        newest = load_checkpoint(tmp_path)
        assert newest is not None and (newest["epoch"], newest["at"]) == (epoch, step)
        assert len(list(tmp_path.glob("*.pt"))) == (1 if (epoch, step) == (1, 0) else 2)


def test_a_second_ctrl_c_breaks_off(tmp_path: Path) -> None:
    def press(text: str) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(trainee(), tmp_path, on_epoch=press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_whoever_handles_ctrl_c_goes_on_to_do_so(tmp_path: Path) -> None:
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        assert fit(trainee(epochs=1), tmp_path, on_epoch=lambda text: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT]


def test_a_checkpoint_of_another_network_falls_back_to_the_one_before(tmp_path: Path) -> None:
    fit(trainee(), tmp_path / "whole")
    folder = tmp_path / "cut"
    assert not fit(trainee(), folder, should_stop=lambda: True)
    other = trainee(distilled=False)
    other.run_epochs(0, 2)
    save_checkpoint(folder / "checkpoints", 2, {**other.state_dict(), "record": []})
    # Whole, but without what the loop adds.
    save_checkpoint(folder / "checkpoints", 3, trainee().state_dict())
    with pytest.raises(InputError, match=r"no checkpoint .* can be used"):
        fit(trainee(), folder)
    (folder / "checkpoints" / "epoch-000002.pt").unlink()
    again = tmp_path / "again"
    assert not fit(trainee(), again, should_stop=lambda: True)
    save_checkpoint(again / "checkpoints", 2, {**other.state_dict(), "record": []})
    assert fit(trainee(), again)
    assert contents(again) == contents(tmp_path / "whole")


def test_what_a_kill_left_in_the_folder_is_removed(tmp_path: Path) -> None:
    for name in (".epoch-000001.pt.0f.tmp", "epoch-000000.safetensors"):
        (tmp_path / name).write_bytes(b"half")
    save_checkpoint(tmp_path, 1, trainee().state_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000001.pt", "epoch-000001.safetensors"]


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    save_weights(tied, tmp_path / "tied.safetensors")
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    load_weights(other, tmp_path / "tied.safetensors")
    assert torch.equal(other[0].weight, tied[0].weight) and torch.equal(other[1].weight, tied[0].weight)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"sha256": Bomb()}, tmp_path / "epoch-000001.pt")
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "executed").exists()
