"""Recorded passes: refused where there is no CUDA, and asked of torch in the right form and at the right moment."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from train_toys import trainee

from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.train import TrainSettings
from rolewise.train.graphs import compile_mode, graph_fault

GRAPHS = TrainSettings(compile="graphs")


def test_a_device_without_graphs_refuses_them() -> None:
    with pytest.raises(InputError, match="compile must be true or false on cpu, got graphs"):
        trainee(compile="graphs")
    assert graph_fault(GRAPHS, "mps") and not graph_fault(GRAPHS, "cuda")
    assert not graph_fault(TrainSettings(compile=True), "cpu")


def test_torch_is_asked_for_graphs_and_told_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    begun: list[int] = []
    monkeypatch.setattr(Distiller, "compile_networks", lambda self, **given: asked.append(given))
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(1))
    plain = trainee(compile=True, epochs=2)
    plain.run_epoch()
    assert asked == [{}] and not begun
    assert compile_mode(GRAPHS, torch.device("cuda")) == {"mode": "reduce-overhead"}
    plain.settings = plain.settings.changed(compile="graphs")
    plain.run_epoch()
    assert len(begun) == plain.steps_per_epoch
