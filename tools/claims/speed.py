"""What benchmarks measured, as the documents of their subjects say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claims.figures import Figures
from claims.telling import Told, aside, paragraph, told


def ratios(figures: Figures, benchmark: str, case: str) -> dict[str, Any]:
    """Returns the ratios of one case of a benchmark, by what was timed."""
    one = next(one for one in figures.json(benchmark)["results"] if one["case"].startswith(case))
    return next(value for key, value in one.items() if key.startswith("ratios"))


def ratio(found: dict[str, Any]) -> str:
    """Returns a median ratio with its interval."""
    return f"{found['median']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


@paragraph("speed_mixing")
def mixing(figures: Figures) -> Iterator[Told]:
    """Mixing's cost."""
    small = ratios(figures, "mixing", "small CNN 16-32, 8x8")
    taught = ratios(figures, "mixing", "small CNN 16-32 <-")
    case = next(one for one in figures.json("mixing")["results"] if "KD" in one["case"])
    milliseconds = case["milliseconds"]
    extra = milliseconds["mixup, isotonic"] - milliseconds["mixup"]
    yield aside(
        "`python benchmarks/mixing.py` times whole epochs with and without, in turns. A chunk of many batches is "
        "drawn and blended at once."
    )
    yield told(
        f"Mixup and CutMix cost {100 * (small['mixup']['median'] - 1):.1f} and "
        f"{100 * (small['cutmix']['median'] - 1):.1f}% of the smallest step (8x8, "
        f"{next(one for one in figures.json('mixing')['results'])['milliseconds']['no mixing']:.0f} ms; CutMix's "
        f"interval ends at {100 * (small['cutmix']['high'] - 1):.1f}%).",
        max(small[name]["median"] for name in ("mixup", "cutmix")) < 1.03,
    )
    yield told(
        "What costs more: `clean_too` trains on 1 + share times the images in each step "
        f"({small['mixup, clean too']['median']:.2f} of it at 8x8; the count of images in results and records stays "
        f"that of the clean ones); `outputs` asks the teacher about B images also then; `isotonic` takes {extra:.1f} "
        f"ms ({100 * (taught['mixup, isotonic']['median'] - 1):.0f}% of a step of {milliseconds['no mixing']:.1f} "
        "ms); entropies take the forward passes above.",
        extra > 0,
    )


@paragraph("speed_losses")
def losses(figures: Figures) -> Iterator[Told]:
    """Losses that read features."""
    held = figures.json("losses")
    found = {one["name"]: one["ratio_to_kd"] for one in held["rows"] if one["case"].startswith("ResNet-20")}
    names = ("attention", "rkd", "kd_svd", "mhgd")
    yield told(
        f"Losses that read features cost more (`python benchmarks/losses.py`: batch {held['batch']}, one thread, "
        f"medians of {held['rounds']} rounds in turns, as ratios to a step of plain `kd`; figures in "
        "`benchmarks/results/losses.json`). ResNet-20 <- ResNet-56, 32x32: "
        f"{', '.join(f'`{name}` {found[name]:.2f}' for name in names)}, all three of `ii_kd` {found['ii_kd']:.2f}, "
        f"and {found['ii_kd, limited']:.2f} with `distill_gradient: limited`, which runs two backward passes.",
        min(found[name] for name in names) > 1,
        found["ii_kd, limited"] > found["ii_kd"],
    )


@paragraph("speed_step")
def step(figures: Figures) -> Iterator[Told]:
    """Below the table of steps."""
    case = figures.json("step")["results"][0]["milliseconds"]
    again = [one["ratios_to_by_hand"]["by hand, again"]["median"] for one in figures.json("step")["results"]]
    yield told(
        f"The last column, two equal sides, is what the measurement cannot tell ({min(again):.3f} to "
        f"{max(again):.3f}). The cost is that of some Python, about {case['rolewise'] - case['by hand']:.1f} ms a "
        "step, and shows where a step takes a few milliseconds.",
        0 < case["rolewise"] - case["by hand"] < 0.2,
    )
    yield aside(
        "torchdistill needs torchvision for networks of its own; where that does not load, the benchmark puts empty "
        "classes in its place, and where torchdistill is not installed it says so and leaves it out."
    )


@paragraph("speed_deploy")
def deploy(figures: Figures) -> Iterator[Told]:
    """ONNX files in integers."""
    held = figures.json("deploy")
    files = held["files"]
    times = {(one["name"], one["threads"], one["batch"]): one["times_as_fast_as_float32"] for one in held["rows"]}
    operators = files["int8"]["operators"]
    low = [times["W4 A8", threads, batch] / times["int8", threads, batch] for threads in (1, 2) for batch in (1, 64)]
    yield told(
        f"`benchmarks/deploy.py`, ResNet-18 on 32x32 images, ONNX Runtime {held['onnxruntime'].rsplit('.', 1)[0]} on "
        f"a CPU with VNNI and AMX, against float32 with its norms folded. All {operators['QLinearConv']} convolutions "
        f"behind the first become QLinearConv and all {operators['QLinearAdd']} sums QLinearAdd. The file has "
        f"{files['int8']['bytes'] / 1e6:.1f} MB, with weights of 4 bits {files['W4 A8']['bytes'] / 1e6:.1f} MB, in "
        f"float32 {files['float32']['bytes'] / 1e6:.1f} MB. int8 was {times['int8', 1, 1]:.1f} and "
        f"{times['int8', 1, 64]:.1f} times as fast as float32 with one thread, at batch 1 and 64, and "
        f"{times['int8', 2, 1]:.1f} and {times['int8', 2, 64]:.1f} times with two (`benchmarks/results/deploy.json`). "
        f"4-bit weights are {min(low):.2f} to {max(low):.2f} times as fast as int8: the runtime multiplies 8-bit "
        "numbers.",
        all(times["int8", threads, batch] > 2 for threads in (1, 2) for batch in (1, 64)),
        max(low) < 1.2,
    )
