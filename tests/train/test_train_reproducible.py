"""Trainings on a GPU ask for kernels that give the same result each time, and put torch's settings back."""

from __future__ import annotations

import os

import pytest
import torch
from torch.utils import deterministic

from rolewise.errors import InputError
from rolewise.train.reproducible import reproducible

GPU = torch.device("cuda", 3)


def settings() -> tuple[bool, bool, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    kinds = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    return (*kinds, cudnn.benchmark, cudnn.deterministic, deterministic.fill_uninitialized_memory)


@pytest.fixture
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLEWISE_DETERMINISTIC", raising=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize("benchmark", [False, True])
def test_on_a_gpu_kernels_of_one_order_are_chosen_and_settings_put_back(benchmark: bool) -> None:
    kept = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = benchmark
    try:
        before = settings()
        with pytest.raises(ZeroDivisionError), reproducible(GPU):
            assert settings() == (True, True, False, True, False)
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
            raise ZeroDivisionError
        assert settings() == before and before[2] is benchmark
    finally:
        torch.backends.cudnn.benchmark = kept


@pytest.mark.usefixtures("_kept")
def test_on_a_cpu_or_where_it_is_switched_off_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings()
    with reproducible(torch.device("cpu")):
        assert settings() == before
    monkeypatch.setenv("ROLEWISE_DETERMINISTIC", "off")
    with reproducible(GPU):
        assert settings() == before and "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_another_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLEWISE_DETERMINISTIC", "maybe")
    with pytest.raises(InputError, match="ROLEWISE_DETERMINISTIC must be on or off, got 'maybe'"), reproducible(GPU):
        pass
