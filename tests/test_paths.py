"""A path is text as well as a path, wherever the public functions take one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import rolewise as rw
from rolewise.augment import MixPlan, Plan, Schedule, build_schedule, load_published
from rolewise.augment.mix import Mix
from rolewise.errors import InputError
from rolewise.files import as_path, read_json, write_json
from rolewise.models import build as network
from rolewise.quant import load_packed, quantise, save_packed

QUICK = Path(__file__).resolve().parent / "experiment" / "quick.yaml"
# Made by the package itself: files that a reader lists, and results.
OWN = {
    "StreamedFiles.__init__",
    "PackedImages.__init__",
    "StudyResult.__init__",
    "SystemResult.__init__",
    "Exported.__init__",
    "Prediction.__init__",
    "NetworkFile.__init__",
    "Distilled.__init__",
    "Feeder.__init__",
    "Comparison.__init__",
    "TrackedRun.__init__",
    "tracked",
}


def public() -> Iterator[tuple[str, Any]]:
    """Gives every function and method that a room or the package offers."""
    rooms = [room.name for room in pkgutil.iter_modules(rw.__path__) if not room.name.startswith("_")]
    for room in ["rolewise", *(f"rolewise.{name}" for name in rooms)]:
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            for inner, value in vars(thing).items() if inspect.isclass(thing) else ():
                function = getattr(value, "__func__", value)
                if inspect.isfunction(function):
                    yield f"{name}.{inner}", function
            if inspect.isfunction(thing):
                yield name, thing


def test_every_public_path_may_be_text() -> None:
    wrong, seen = [], 0
    for name, function in public():
        for parameter in inspect.signature(function).parameters.values():
            kind = str(parameter.annotation)
            if re.search(r"Path\b", kind) and name not in OWN:
                seen += 1
                if "str" not in kind and "AnyPath" not in kind:
                    wrong.append(f"{name}({parameter.name}: {kind})")
    assert seen > 20 and not wrong, wrong


def test_what_is_saved_under_text_is_loaded_from_text(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    schedule = build_schedule("randaugment")
    schedule.save(str(tmp_path / "schedule.json"))
    assert Schedule.load(str(tmp_path / "schedule.json")) == schedule
    assert build_schedule(str(tmp_path / "schedule.json")) == schedule
    plan = schedule.at(0.0).draw(4, (1, 8, 8), generator)
    plan.save(str(tmp_path / "plan.safetensors"))
    assert torch.equal(Plan.load(str(tmp_path / "plan.safetensors")).ops, plan.ops)
    mixed = Mix("mixup").draw(torch.zeros(4).long(), (8, 8), generator, batch_size=4)
    mixed.save(str(tmp_path / "mixed.safetensors"))
    assert torch.equal(MixPlan.load(str(tmp_path / "mixed.safetensors")).ratios, mixed.ratios)
    model = quantise(network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=0), {"weights": 2})
    save_packed(model, str(tmp_path / "packed"))
    again = quantise(network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1), {"weights": 2})
    load_packed(again, str(tmp_path / "packed"))
    write_json(str(tmp_path / "a.json"), [1])
    assert read_json(str(tmp_path / "a.json"), "list") == [1]


def test_a_run_goes_into_a_folder_that_is_text(tmp_path: Path) -> None:
    out = str(tmp_path / "run")

    def enough(plan: object, stages: object) -> None:
        raise rw.Interrupted("enough")

    with pytest.raises(rw.Interrupted, match="enough"):
        rw.run(rw.load(str(QUICK)), out, on_plan=enough)
    assert (tmp_path / "run" / "config.yaml").is_file()
    assert rw.write_report(out) == tmp_path / "run" / "report.html"


def test_what_is_no_path_is_refused() -> None:
    for wrong in (None, 3, b"a", ""):
        with pytest.raises(InputError, match=r"out must be a path, as text or as a pathlib.Path, got "):
            as_path(wrong, "out")  # type: ignore[arg-type]
    for call in (
        lambda: rw.run(rw.load(QUICK), None),  # type: ignore[arg-type]
        lambda: Schedule.load(None),  # type: ignore[arg-type]
        lambda: load_published(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match="must be a path"):
            call()
    with pytest.raises(InputError, match="published log nowhere cannot be read"):
        load_published("nowhere")
