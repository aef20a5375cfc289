"""The Triton kernel, by its interpreter on a CPU, gives torch's bytes; the switch, and what is left to torch."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rolewise.augment import Plan, apply, build_schedule, triton_kernel
from rolewise.augment.kernel import STEP_NUMBERS
from rolewise.augment.ops import INDEX, NAMES, OPS
from rolewise.augment.plan_application import apply_in_torch
from rolewise.augment.triton_kernel import TRITON_SWITCH, apply_by_triton, check_triton, wants_triton
from rolewise.errors import InputError, RunError

FILL = torch.tensor([7, 200, 31], dtype=torch.uint8).view(3, 1, 1)
SLOTS = "rolewise.augment.triton_slots"
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture(scope="module")
def interpreted() -> Iterator[None]:
    """Triton's interpreter, which counts when functions are made: its own, at its import, and those of the module.

    Other libraries may have imported Triton before; all but its compiled part is imported anew.
    """

    def found() -> list[str]:
        return [name for name in sys.modules if f"{name}.".startswith("triton.") and not name.startswith("triton._C")]

    before = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        for name in [*before, SLOTS]:
            patch.delitem(sys.modules, name, raising=False)
        yield
    sys.modules.pop(SLOTS, None)
    # What the tests imported beside belongs to the modules that are gone.
    for name in set(found()) - set(before):
        del sys.modules[name]


def images_of(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Images of noise; the first is of few levels, the second of a single one."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    images[0] = images[0] // 100 * 97
    images[1] = 5
    return images


@needs_triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "mosaic"])
def test_every_operation_gives_torch_s_bytes(name: str) -> None:
    generator = torch.Generator().manual_seed(INDEX[name])
    for channels, height, width in ((3, 9, 14), (1, 40, 33)):
        images = images_of((4, channels, height, width), INDEX[name])
        low = -1.0 if OPS[name].signed else 0.0
        values = torch.rand(4, 1, generator=generator) * (1 - low) + low
        plan = Plan(torch.full((4, 1), INDEX[name]), values * OPS[name].range, torch.rand(4, 1, 2, generator=generator))
        done = apply_by_triton(images, plan, "nearest", FILL[:channels])
        assert done is not None and not len(done[1])
        assert torch.equal(done[0], apply_in_torch(images, plan, "nearest", FILL[:channels]))


@needs_triton
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_whole_plans_and_what_is_left_to_torch(interpolation: str) -> None:
    images = images_of((12, 3, 16, 16), 3)
    given = images.clone()
    plan = build_schedule("randaugment").at(0.5).draw(12, (3, 16, 16), torch.Generator().manual_seed(3))
    done = apply_by_triton(images, plan, interpolation, FILL)
    assert done is not None and torch.equal(images, given)
    expected, left = apply_in_torch(images, plan, interpolation, FILL), done[1].tolist()
    kept = [row for row in range(12) if row not in left]
    assert kept and torch.equal(done[0][kept], expected[kept])
    assert bool(left) == (interpolation == "bilinear")
    # What changes nothing is a copy; a mosaic sees other images; a pixel's neighbours must be there.
    none = Plan(torch.full((12, 2), -1), torch.zeros(12, 2), torch.zeros(12, 2, 2))
    copied = apply_by_triton(images, none, "nearest", FILL)
    assert copied is not None and torch.equal(copied[0], images)
    mosaic = Plan(torch.full((12, 1), INDEX["mosaic"]), torch.full((12, 1), 0.5), torch.zeros(12, 1, 2))
    assert apply_by_triton(images, mosaic, "nearest", FILL) is None
    assert apply_by_triton(images[..., :2], none, "nearest", FILL) is None


@needs_triton
@pytest.mark.usefixtures("interpreted")
def test_a_kernel_that_differs_from_torch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = importlib.import_module(SLOTS)
    for name, number in STEP_NUMBERS.items():
        assert getattr(slots, name.upper()).value == number
    monkeypatch.setattr(triton_kernel, "apply_by_triton", lambda images, *others: (images, []))
    with pytest.raises(RunError, match=r"must give torch's bytes on cpu, got others for rotate, .*ROLEWISE_TRITON=off"):
        check_triton.__wrapped__("cpu")


#: Prints the assembly of both functions. In a process of its own: the interpreter leaves its mark on Triton's language.
COMPILE = """
import sys
from triton import compiler
from triton.backends.compiler import GPUTarget
from rolewise.augment import triton_slots as slots

first = {"source": "*u8", "steps": "*i32", "values": "*fp32", "tables": "*u8", "middles": "*fp32"}
second = {**first, "target": "*u8", "draws": "*fp32", "maps": "*i64", "fill": "*u8", "half_side": "fp32"}
numbers = dict.fromkeys(("slot", "slots", "pixels", "height", "width"), "i32")
constants = {"CHANNELS": int(sys.argv[1]), "BLOCK": 1024}
for function, types in ((slots.fill_tables, first), (slots.apply_slot, second)):
    known = {**numbers, **types, **dict.fromkeys(constants, "constexpr")}
    source = compiler.ASTSource(function, {name: known[name] for name in function.arg_names}, constants)
    made = compiler.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": False})
    print("FUNCTION", made.asm["ptx"])
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_it_compiles_for_a_gpu_without_fused_products_and_sums(channels: int, tmp_path: Path) -> None:
    settings = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, str(channels)],
        env={**settings, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    _, *functions = done.stdout.split("FUNCTION")
    assert len(functions) == 2
    assert all("ld.global" in function and "fma." not in function for function in functions)


def test_it_is_used_on_gpus_alone_unless_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 7)
    checked: list[str] = []
    monkeypatch.setattr(triton_kernel, "check_triton", checked.append)
    for value, tried in (("on", True), ("auto", importlib.util.find_spec("triton") is not None), ("off", False)):
        triton_kernel._is_usable.cache_clear()
        monkeypatch.setenv(TRITON_SWITCH, value)
        assert not wants_triton(cpu) and wants_triton(gpu) == tried
        assert checked == ["cuda:7"] * tried
        checked.clear()
    monkeypatch.setenv(TRITON_SWITCH, "yes")
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(InputError, match="ROLEWISE_TRITON must be on, off or auto, got 'yes'"):
        apply(images, Plan(torch.full((1, 1), -1), torch.zeros(1, 1), torch.zeros(1, 1, 2)))


def test_where_it_differs_and_is_not_asked_for_torch_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(device: str) -> None:
        raise RunError(f"the kernel differs on {device}")

    monkeypatch.setattr(triton_kernel, "check_triton", fails)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv(TRITON_SWITCH, raising=False)
    gpu = torch.device("cuda", 7)
    triton_kernel._is_usable.cache_clear()
    with pytest.warns(UserWarning, match="images on cuda:7 are augmented by torch alone: the kernel differs on cuda:7"):
        assert not wants_triton(gpu)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        assert not wants_triton(gpu)
    triton_kernel._is_usable.cache_clear()


def test_a_missing_triton_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, SLOTS, None)
    with pytest.raises(InputError, match=r'Triton must be installed .*pip install "rolewise\[triton\]"'):
        check_triton.__wrapped__("cpu")
