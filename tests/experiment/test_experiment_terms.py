"""Experiments with methods that keep state: the config alone gives them what they need, also in searches."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rolewise.config import ConfigError
from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.builders import _trained_labels
from rolewise.experiment.executor import StageUpdate

QUICK = Path(__file__).with_name("quick.yaml")
METHODS = (
    "distill.methods=[{name: kd, weight: 0.9}, {name: crd, negatives: 20, width: 6, weight: 0.05}, "
    "{name: review_kd, middle: 4, weight: 0.5}, {name: vid, weight: 0.1}]"
)
SHORT = ("seeds=[0]", METHODS, "teacher.train.epochs=1", "students[0].train.epochs=2")


def products(folder: Path) -> dict[str, bytes]:
    files = [path for name in ("weights.safetensors", "record.jsonl") for path in folder.rglob(name)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in (*files, folder / "results.json")}


def test_a_config_alone_gives_methods_what_they_need(tmp_path: Path) -> None:
    config = load(QUICK, [*SHORT, "arms={teacher: [none], student: [none], distill: [true]}"])
    run(config, tmp_path / "run", only=lambda stage: stage.kind != "test")
    record = tmp_path / "run/stages/seed0/small-none+distill/record.jsonl"
    assert set(json.loads(record.read_text().splitlines()[-1])["terms"]) == {"labels", "kd", "crd", "review_kd", "vid"}


@pytest.mark.slow
def test_a_search_with_memories_that_is_stopped_makes_the_same_bytes(tmp_path: Path) -> None:
    arms = "arms={teacher: [none], student: [own], distill: [true]}"
    config = load(QUICK, [*SHORT, arms, "search.members=2"])
    run(config, tmp_path / "whole")
    for limit in (3, 5, 7):
        updates = iter(range(limit))

        def stop(update: StageUpdate, updates: Iterator[int] = updates) -> None:
            if next(updates, None) is None:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt, Interrupted):
            run(config, tmp_path / "stopped", on_update=stop)
    run(config, tmp_path / "stopped")
    assert len(products(tmp_path / "whole")) > 3 and products(tmp_path / "stopped") == products(tmp_path / "whole")


def test_only_images_that_are_trained_on_have_a_class_for_memories() -> None:
    indices = torch.tensor([4, 1])
    assert _trained_labels(torch.tensor([3, 5, 0, 1, 2]), indices).tolist() == [-1, 5, -1, -1, 2]
    # Several labels and numbers are no classes.
    assert _trained_labels(torch.rand(5, 3), indices).tolist() == [-1, 0, -1, -1, 0]


def test_a_setting_that_cannot_work_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, ["distill.methods=[{name: crd, negatives: 0}]"])
    said = {fault.path: fault.message for fault in caught.value.faults}
    assert "whole number of at least 1, got 0" in said["distill.methods[0].negatives"]
    with pytest.raises(ConfigError, match=r"distill.methods\[0\].*momentum.* must be at most 0.9999, got 1"):
        load(QUICK, ["distill.methods=[{name: crd, momentum: 1}]"])
    with pytest.raises(ConfigError, match=r"variance.* must be above 1e-05, got 1e-06"):
        load(QUICK, ["distill.methods=[{name: vid, variance: 1e-6}]"])
