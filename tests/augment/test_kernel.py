"""The compiled kernel gives torch's bytes for every operation and plan, and its absence is no fault."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from rolewise.augment import Plan, apply, build_kernel, build_schedule
from rolewise.augment.kernel import apply_by_kernel
from rolewise.augment.kernel_build import SWITCH, _loaded, kernel_library, kernel_path
from rolewise.augment.ops import INDEX, NAMES, OPS
from rolewise.augment.plan_application import apply_in_torch
from rolewise.cli import app
from rolewise.errors import InputError, RunError

FILL = torch.tensor([7, 200, 31], dtype=torch.uint8).view(3, 1, 1)
SINGLE = tuple(name for name in NAMES if name != "mosaic")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kernel, compiled once into a cache folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv(SWITCH, raising=False)
        patch.delenv("CXX", raising=False)
        yield build_kernel()


def images_of(kind: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Images of noise, of few levels, of one level each, or of a gradient: what statistics of levels may meet."""
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    if kind == "few":
        return noise // 100 * 97
    if kind == "even":
        return noise[..., :1, :1].expand(shape).contiguous()
    if kind == "gradient":
        return torch.arange(noise.numel()).div(3, rounding_mode="floor").remainder(256).to(torch.uint8).view(shape)
    return noise


def equal_to_torch(images: torch.Tensor, plan: Plan, interpolation: str = "nearest") -> int:
    """Checks the kernel's bytes, and returns for how many images it did the work."""
    fill = FILL[: images.shape[1]]
    done = apply_by_kernel(images, plan, interpolation, fill)
    assert done is not None
    result, left = done
    oracle = apply_in_torch(images, plan, interpolation, fill)
    kept = torch.ones(len(images), dtype=torch.bool)
    kept[left] = False
    for row in kept.nonzero().view(-1).tolist():
        assert torch.equal(result[row], oracle[row]), plan.describe(row)
    assert torch.equal(apply(images, plan, interpolation=interpolation, fill=fill.view(-1).tolist()), oracle)
    return int(kept.sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE)
def test_every_operation_at_its_extremes(built: Path, name: str) -> None:
    generator = torch.Generator().manual_seed(INDEX[name])
    extremes = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-7, -1e-7, 1.5, 255.0, 256.0, 257.0, -300.0, 1e30, -1e30, 3.4e38]
    for kind in ("noise", "few", "even", "gradient"):
        for channels, height, width in ((3, 32, 32), (1, 5, 9), (3, 1, 2), (1, 3, 3)):
            values = torch.cat(
                [torch.tensor(extremes), (torch.rand(32, generator=generator) * 2 - 1) * OPS[name].range]
            )
            if name in ("resized_crop", "scale"):
                values = values.clamp(-20, 20)  # numpy warns of numbers that overflow
            draws = torch.rand(len(values), 1, 2, generator=generator)
            draws[::3] = 0.0
            draws[1::3] = 1 - 2.0**-24
            images = images_of(kind, (len(values), channels, height, width), generator)
            plan = Plan(torch.full((len(values), 1), INDEX[name]), values.unsqueeze(1), draws)
            done = equal_to_torch(images, plan)
            assert done == len(values) or name in ("autocontrast", "equalize")


@pytest.mark.slow
@settings(max_examples=60)
@given(
    count=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    slots=st.integers(0, 5),
    interpolation=st.sampled_from(["nearest", "bilinear"]),
    kind=st.sampled_from(["noise", "few", "even", "gradient"]),
    reach=st.sampled_from([0.3, 1.0, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_any_plan(built, count, channels, height, width, slots, interpolation, kind, reach, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    ops = torch.randint(-1, len(SINGLE), (count, slots), generator=generator)
    ranges = torch.tensor([*(OPS[name].range for name in NAMES), 1.0])
    values = (torch.rand(count, slots, generator=generator) * 2 - 1) * ranges[ops] * reach
    plan = Plan(ops, values, torch.rand(count, slots, 2, generator=generator))
    equal_to_torch(images_of(kind, (count, channels, height, width), generator), plan, interpolation)


@pytest.mark.slow
@pytest.mark.parametrize("side", [32, 224])
def test_batches_of_users_in_several_threads(built: Path, side: int) -> None:
    generator = torch.Generator().manual_seed(side)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for name in ("randaugment", "trivialaugment"):
            count = 8 if side == 224 else 96
            images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
            plan = build_schedule({"name": name}).at(0.0).draw(count, (3, side, side), generator)
            strided = images.to(memory_format=torch.channels_last)
            assert equal_to_torch(strided, plan) == count
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_mosaic_and_other_numbers_are_left_to_torch(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plan = Plan(torch.full((6, 1), INDEX["mosaic"]), torch.full((6, 1), 0.5), torch.full((6, 1, 2), 0.4))
    assert apply_by_kernel(images, plan, "nearest", FILL) is None
    assert torch.equal(apply(images, plan), apply_in_torch(images, plan))
    whole = Plan(plan.ops * 0, plan.values.double(), plan.draws)
    assert apply_by_kernel(images, whole, "nearest", FILL) is None
    turned = Plan(plan.ops * 0, plan.values, plan.draws)
    assert apply_by_kernel(images, turned, "nearest", FILL) is not None
    monkeypatch.setenv(SWITCH, "off")
    assert apply_by_kernel(images, turned, "nearest", FILL) is None


@pytest.mark.slow
def test_the_command_keeps_no_kernel_that_differs(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(built.parent, kernel_path().parent)
    done = CliRunner().invoke(app, ["build-kernel"])
    assert done.exit_code == 0, done.output
    assert kernel_path().name in done.output.replace("\n", "")
    # Oracle and kernel change places: where torch gives other bytes, the kernel is at fault.
    monkeypatch.setattr("rolewise.augment.plan_application.apply_in_torch", lambda images, *others: images)
    with pytest.raises(RunError, match=r"got others for rotate, .*it is removed"):
        build_kernel()
    assert not kernel_path().exists()


@pytest.mark.slow
@pytest.mark.parametrize("left", [100, 4096, 20000])
def test_a_damaged_kernel_is_passed_over_and_built_again(
    left: int, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading what is left of a library would end the process by a signal."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(built.parent, kernel_path().parent)
    whole = built.read_bytes()
    for damaged in (whole[:left], whole[:left] + bytes([whole[left] ^ 1]) + whole[left + 1 :]):
        kernel_path().unlink()  # a file of its own: this process may hold the other one loaded
        kernel_path().write_bytes(damaged)
        _loaded.cache_clear()
        assert kernel_library() is None
        assert build_kernel().read_bytes() != damaged and kernel_library() is not None


def test_without_a_kernel_torch_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernel_library() is None
    images = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plan = Plan(torch.full((2, 1), INDEX["invert"]), torch.ones(2, 1), torch.zeros(2, 1, 2))
    assert torch.equal(apply(images, plan), 255 - images)
    # A file that is no library, or that others may write, is passed over.
    kernel_path().parent.mkdir()
    kernel_path().write_bytes(b"no library")
    assert torch.equal(apply(images, plan), 255 - images)


def test_a_missing_compiler_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "nosuch++ -m64")
    with pytest.raises(InputError, match=r"CXX must name a C\+\+ compiler that is installed, got 'nosuch\+\+'"):
        build_kernel()
    monkeypatch.delenv("CXX")
    with pytest.raises(RunError, match=r"none of g.., c.., clang.. is installed; install one"):
        build_kernel()
    failing = tmp_path / "g++"
    failing.write_text("#!/bin/sh\necho 'kernel.cpp:1: error: no such thing' >&2\nexit 1\n", encoding="utf-8")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    with pytest.raises(RunError, match=r"could not be compiled by g.+: error: no such thing"):
        build_kernel()
    assert not kernel_path().exists()
