"""What this machine can do at the most, and how much of it trainings use: a roofline.

python benchmarks/roofline.py [--threads 1] [--json FILE] [--svg FILE] [--quick]

A roof is the least of two measured rates: the arithmetic of a large matrix product, and the traffic of a copy times
the operations that a piece of work does for each byte. There are two, for a copy in memory and one in the cache: what
the operations of torch read and write, each tensor once for each, comes from either, and no work can lie above the
cache's. Operations are those of convolutions and matrix products, forward and back, a multiplication and an addition
being two. Each rate is the best of several rounds, which other work on the machine disturbs least.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import quiet
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from rolewise.augment import apply, build_schedule
from rolewise.augment.kernel_build import kernel_library
from rolewise.batch import Batch, Context
from rolewise.distill import Distiller, configure
from rolewise.files import write_text
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.report.palette import COLOURS, GREY
from rolewise.report.style import FULL, draw_grid, figure
from rolewise.report.svg import as_svg, standalone
from rolewise.train import Update, train_step

#: Copies within the cache that are timed as one.
_COPIES = 64
#: Operations that give another view of a tensor and move no byte.
_VIEWS = (
    *("view", "t", "transpose", "permute", "expand", "unsqueeze", "squeeze", "slice", "select", "detach", "alias"),
    *("as_strided", "_unsafe_view", "unbind", "split", "empty", "empty_like", "empty_strided"),
)


@dataclass(frozen=True)
class Rate:
    """The measured rate of a piece of work.

    Args:
        name: of the work.
        operations: of one call, in convolutions and matrix products.
        bytes: that the operations of one call read and write.
        seconds: of one call.
    """

    name: str
    operations: float
    bytes: float
    seconds: float

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.operations / self.bytes


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operation and adds its tensors, each once."""
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in _VIEWS:
            found = {id(one): one for one in tree_leaves((args, kwargs, result)) if isinstance(one, Tensor)}
            self.bytes += sum(one.numel() * one.element_size() for one in found.values())
        return result


def measured(name: str, call: Callable[[], object], rounds: int, *, count: tuple[float, float] | None = None) -> Rate:
    """Returns the rate of a call, its operations and bytes counted once, or given."""
    call()
    if count is None:
        with FlopCounterMode(display=False) as operations, Traffic() as traffic:
            call()
        count = float(operations.get_total_flops()), float(traffic.bytes)
    best = float("inf")
    for _ in range(rounds):
        quiet.beat()
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return Rate(name, *count, best)


def roofs(rounds: int) -> list[Rate]:
    """Returns the rates of what does nothing but arithmetic, and nothing but traffic: in memory, then in the cache."""
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    images, weight = torch.rand(32, 64, 32, 32), torch.rand(64, 64, 3, 3)
    large, small, target = torch.rand(2**25), torch.rand(2**16), torch.empty(2**16)

    def copies() -> None:
        for _ in range(_COPIES):
            target.copy_(small)

    return [
        measured("matrix product, 1024", lambda: left @ right, rounds),
        measured("convolution, 64 channels, 32x32", lambda: functional.conv2d(images, weight, padding=1), rounds),
        measured("copy of 128 MiB", lambda: large.clone(), rounds, count=(0.0, 2.0 * 4 * large.numel())),
        measured("copy of 256 KiB in the cache", copies, rounds, count=(0.0, _COPIES * 2.0 * 4 * small.numel())),
    ]


def step(student: tuple[str, Any], teacher: tuple[str, Any] | None, shape: tuple[int, ...]) -> Callable[[], object]:
    """Returns a training step of a student on one batch, by KD where there is a teacher."""
    size, channels, side, _ = shape
    spec = InputSpec((0.5,) * channels, (0.25,) * channels)
    sized: dict[str, Any] = {"num_classes": 10, "channels": channels, "size": (side, side)}
    made = network(student[0], seed=1, **sized, **student[1])
    taught: dict[str, Any] = {} if teacher is None else {"teacher_input": spec}
    other = None if teacher is None else network(teacher[0], seed=2, **sized, **teacher[1])
    distiller = Distiller(other, made, [configure("kd")] if teacher else [], student_input=spec, **taught).train()
    update = Update(distiller, torch.optim.SGD(distiller.trainable_parameters(), lr=1e-3, momentum=0.9))
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, torch.arange(size) % 10)
    return lambda: train_step([update], batch, Context())


def work(rounds: int) -> list[Rate]:
    """Returns the rates of trainings' steps, and of augmentation."""
    found = [
        measured(
            "KD, ResNet-20 <- ResNet-56, 32x32, batch 64",
            step(("resnet20", {}), ("resnet56", {}), (64, 3, 32, 32)),
            rounds,
        ),
        measured(
            "KD, small CNN 16-32 <- 32-64, 8x8, batch 50",
            step(("small_cnn", {"widths": (16, 32)}), ("small_cnn", {"widths": (32, 64)}), (50, 1, 8, 8)),
            10 * rounds,
        ),
        measured(
            "labels, small CNN 8-12, 8x8, batch 50",
            step(("small_cnn", {"widths": (8, 12)}), None, (50, 1, 8, 8)),
            10 * rounds,
        ),
    ]
    kernel = "kernel" if kernel_library() is not None else "torch"
    for side, count in ((32, 2048), (224, 128)):
        stream = torch.Generator().manual_seed(side)
        images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=stream)
        plan = build_schedule("randaugment").at(0.5).draw(count, (3, side, side), stream)
        call = partial(apply, images, plan)
        # What must be read and written, whatever lies between.
        found.append(
            measured(f"RandAugment by the {kernel}, {side}x{side}", call, rounds, count=(0.0, 2.0 * images.numel()))
        )
    return found


def drawn(arithmetic: float, traffic: float, cached: float, rates: list[Rate]) -> str:
    """Returns both rooflines as the text of an SVG file: both axes are logarithmic."""
    points = [one for one in rates if one.operations]
    low, high = 2.0**-4, 2.0**9
    label = "; ".join(
        f"{one.name}: {one.operations / one.seconds / 1e9:.1f} billion operations a second" for one in points
    )
    with figure(FULL, 3.6) as (made, (axis,)):
        for name, rate, line in (("from memory", traffic, "--"), ("from the cache", cached, "-")):
            heights = [low * rate / 1e9, arithmetic / 1e9, arithmetic / 1e9]
            axis.plot([low, arithmetic / rate, high], heights, line, color=GREY, lw=1.6, label=name)
        for number, one in enumerate(points):
            height = one.operations / one.seconds / 1e9
            axis.plot(one.intensity, height, "o", ms=7, color=COLOURS[number % len(COLOURS)], label=one.name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=10)
        axis.set_xlabel("operations for each byte of the tensors that are read and written")
        axis.set_ylabel("billion operations a second")
        axis.legend(fontsize=8)
        draw_grid(axis)
        return standalone(as_svg(made, f"Roofline: {arithmetic / 1e9:.1f} at the most. {label}"))


def main() -> None:
    """Prints a table; with ``--json`` and ``--svg`` writes the figures and their picture too."""
    parser = quiet.command_line(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--svg", type=Path, help="draw the roofline into this file")
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    rounds = 3 if arguments.quick else 20
    peaks = roofs(rounds)
    arithmetic = max(one.operations / one.seconds for one in peaks)
    traffic, cached = (one.bytes / one.seconds for one in peaks[-2:])
    rates = work(rounds)
    print(
        f"at the most {arithmetic / 1e9:.1f} billion operations a second, {traffic / 1e9:.1f} GB a second in memory "
        f"and {cached / 1e9:.1f} in the cache"
    )
    rows = []
    for one in (*peaks, *rates):
        reached = (one.operations if one.operations else one.bytes) / one.seconds
        memory_part, cache_part = (
            reached / (min(arithmetic, one.intensity * rate) if one.operations else rate) for rate in (traffic, cached)
        )
        rows.append({**asdict(one), "of_the_memory_roof": memory_part, "of_the_cache_roof": cache_part})
        unit = "billion operations/s" if one.operations else "GB/s"
        print(
            f"{one.name:<46}{1000 * one.seconds:9.3f} ms{one.intensity:8.2f} for each byte"
            f"{reached / 1e9:9.2f} {unit:<21}{100 * memory_part:6.1f}% of memory's roof, "
            f"{100 * cache_part:.1f}% of the cache's"
        )
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": arguments.threads}
    found = {
        "operations_per_second": arithmetic,
        "memory_bytes_per_second": traffic,
        "cache_bytes_per_second": cached,
        "rates": rows,
    }
    quiet.write(arguments.json, {"benchmark": "roofline", "machine": machine, **found}, claim=not arguments.quick)
    if arguments.svg is not None:
        write_text(arguments.svg, drawn(arithmetic, traffic, cached, rates))


if __name__ == "__main__":
    main()
