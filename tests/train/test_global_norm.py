"""Batch norms over the rows of two processes against torch's own over the whole batch, in double precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from rolewise.train.global_norm import use_global_norms

pytestmark = pytest.mark.skipif(
    not distributed.is_available(), reason="this torch has no processes that train together"
)
#: Norm, shape of the whole batch, rows of the first process.
CASES = {
    "maps": (lambda: nn.BatchNorm2d(3), (6, 3, 4, 5), 3),
    "uneven": (lambda: nn.BatchNorm2d(3), (5, 3, 4, 5), 3),
    "rows": (lambda: nn.BatchNorm1d(7), (9, 7), 5),
    "sequences": (lambda: nn.BatchNorm1d(4), (6, 4, 8), 2),
    "volumes": (lambda: nn.BatchNorm3d(2), (4, 2, 3, 2, 3), 2),
    "no weight": (lambda: nn.BatchNorm2d(3, affine=False), (6, 3, 4, 5), 3),
    "no running statistics": (lambda: nn.BatchNorm2d(3, track_running_stats=False), (6, 3, 4, 5), 3),
    "mean of all batches": (lambda: nn.BatchNorm2d(3, momentum=None), (6, 3, 4, 5), 3),
    "far from zero": (lambda: nn.BatchNorm2d(3), (6, 3, 4, 5), 4),
}


def drawn(name: str) -> tuple[nn.Module, Tensor, Tensor, int]:
    """Returns a case's norm with drawn weights, its values, and the gradient of what comes out."""
    make, shape, first = CASES[name]
    generator = torch.Generator().manual_seed(0)
    norm = make().double()
    for parameter in norm.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + (1e4 if name == "far from zero" else 2)
    return norm, values, torch.randn(shape, generator=generator, dtype=torch.float64), first


def passed(norm: nn.Module, values: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Returns what comes out of two steps, the second's gradients, and the buffers."""
    norm(values.flip(1) + 1)
    given = values.clone().requires_grad_()
    out = norm(given)
    out.backward(gradient)
    found = {"out": out.detach(), "values": given.grad, **{f"gradient {n}": p.grad for n, p in norm.named_parameters()}}
    return {**found, **dict(norm.named_buffers())}


def work(rank: int, folder: str) -> None:
    """One of two processes: keeps what each case gives it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for name in CASES:
        norm, values, gradient, first = drawn(name)
        use_global_norms(norm)
        part = slice(0, first) if rank == 0 else slice(first, None)
        found[name] = passed(norm, values[part], gradient[part])
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("norms")
    multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.slow  # two processes load torch
@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_normalise_as_one(name: str, halves: list[dict[str, dict[str, Tensor]]]) -> None:
    norm, values, gradient, _ = drawn(name)
    whole = passed(norm, values, gradient)
    first, second = (half[name] for half in halves)
    assert first.keys() == second.keys() == whole.keys()
    for key, expected in whole.items():
        if key in ("out", "values"):
            both = torch.cat([first[key], second[key]])
        elif key.startswith("gradient"):
            both = first[key] + second[key]
        else:
            assert torch.equal(first[key], second[key])
            both = first[key]
        torch.testing.assert_close(both, expected, rtol=1e-9, atol=1e-10)
