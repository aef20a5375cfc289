"""Sums of three processes, directly and through torch: the same in each of them, and an error where one ends."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from rolewise import process_sums
from rolewise.process_sums import greatest_of_processes, sum_over_processes

pytestmark = [
    pytest.mark.slow,  # processes load torch
    pytest.mark.skipif(not distributed.is_available(), reason="this torch has no processes that train together"),
]
PROCESSES = 3
#: Tensor of a process by its rank, and whether sockets carry it.
CASES = {
    "numbers": (lambda rank: torch.tensor([1e8, -2.5, rank]) / (rank + 3), True),
    "one number": (lambda rank: torch.tensor(0.1 * rank), True),
    "none": (lambda rank: torch.zeros(0), False),
    "double": (lambda rank: torch.full((2, 3), 1 / 3 + rank, dtype=torch.float64), True),
    "counts": (lambda rank: torch.tensor([2**53 + rank, -rank]), True),
    "the largest": (lambda rank: torch.full((2**14,), 1.5 + rank), True),
    "a larger one": (lambda rank: torch.full((2**14 + 1,), 1.5 + rank), False),
    "bytes": (lambda rank: torch.tensor([rank, 7], dtype=torch.uint8), False),
}


def summed(value: Tensor) -> dict[str, Tensor]:
    total, greatest = value.clone(), value.clone()
    sum_over_processes(total)
    greatest_of_processes(greatest)
    return {"total": total, "greatest": greatest}


def work(rank: int, folder: str, temporary: str | None) -> None:
    """One process: keeps the sums of every case, in a first group and in a second one."""
    torch.set_num_threads(1)
    if temporary is not None and rank == 0:
        tempfile.tempdir = temporary
    for name in ("first", "second"):
        distributed.init_process_group("gloo", init_method=f"file://{folder}/{name}", rank=rank, world_size=PROCESSES)
        found = {case: summed(make(rank)) for case, (make, _) in CASES.items()}
        lines = process_sums._lines
        torch.save({"sums": found, "direct": bool(lines and lines.others)}, f"{folder}/{name}{rank}.pt")
        distributed.destroy_process_group()


def run(folder: Path, temporary: Path | None = None) -> list[dict[str, dict[str, dict[str, Tensor]]]]:
    multiprocessing.spawn(work, (str(folder), None if temporary is None else str(temporary)), nprocs=PROCESSES)
    return [torch.load(folder / f"{name}{rank}.pt") for name in ("first", "second") for rank in range(PROCESSES)]


def check(results: list[dict[str, dict[str, dict[str, Tensor]]]]) -> None:
    for name, (make, _) in CASES.items():
        values = [make(rank) for rank in range(PROCESSES)]
        found = [result["sums"][name] for result in results]
        for one in found:
            torch.testing.assert_close(one["total"], torch.stack(values).sum(0, dtype=values[0].dtype))
            assert torch.equal(one["greatest"], torch.stack(values).amax(0))
            assert torch.equal(one["total"], found[0]["total"])


def test_every_process_has_the_same_sum(tmp_path: Path) -> None:
    results = run(tmp_path)
    check(results)
    assert all(result["direct"] for result in results)


@pytest.mark.parametrize("exists", [True, False])
def test_processes_that_cannot_reach_each_other_sum_through_torch(exists: bool, tmp_path: Path) -> None:
    """A socket's path has about a hundred characters at most: none can be made here, as between two machines."""
    far = tmp_path / ("far" * 40)
    if exists:
        far.mkdir()
    results = run(tmp_path, far)
    check(results)
    assert not any(result["direct"] for result in results)
    assert not (exists and list(far.iterdir()))


def test_large_tensors_and_other_kinds_go_through_torch() -> None:
    assert {case: process_sums._is_direct(make(0)) for case, (make, _) in CASES.items()} == {
        case: direct for case, (_, direct) in CASES.items()
    }


def wait_in_vain(rank: int, folder: str) -> None:
    """The last process sends nothing to a sum; the others keep what they get when its time is over."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=3)
    )
    sum_over_processes(torch.ones(1))
    try:
        if rank == 0:
            sum_over_processes(torch.ones(1))
        else:
            time.sleep(6)
    except RuntimeError as error:
        Path(folder, "error").write_text(str(error))
    os._exit(0)


def test_a_sum_waits_as_long_as_its_group_does(tmp_path: Path) -> None:
    multiprocessing.spawn(wait_in_vain, (str(tmp_path),), nprocs=2)
    assert "timed out" in (tmp_path / "error").read_text()


def leave(rank: int, folder: str) -> None:
    """The last process ends after a first sum; the others keep what they get from the second."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    sum_over_processes(torch.ones(1))
    if rank == PROCESSES - 1:
        os._exit(0)
    try:
        sum_over_processes(torch.ones(1))
    except RuntimeError as error:
        Path(folder, f"error{rank}").write_text(str(error))
    os._exit(0)


def test_a_process_that_ends_is_an_error_of_the_others(tmp_path: Path) -> None:
    multiprocessing.spawn(leave, (str(tmp_path),), nprocs=PROCESSES)
    for rank in range(PROCESSES - 1):
        assert "ended or does not answer" in (tmp_path / f"error{rank}").read_text()
