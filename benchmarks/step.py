"""A distillation step of the Distiller against the same step written by hand, and against torchdistill.

    python benchmarks/step.py [--json FILE] [--quick] [--threads N] [--device cuda]

Each side has its own copy of the same networks and an optimiser of its own. In every round each side takes its turn, in
an order that rotates, so that the machine's moods fall on all alike; figures are ratios of one round, their median over
all rounds, and a 95% interval of that median. That all sides compute the same loss is checked first.
"""

from __future__ import annotations

import copy
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import quiet
import torch
import torchdistill_box
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill import Distiller, configure
from rolewise.inputs import InputSpec
from rolewise.models import build

Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One pair of networks and what is distilled."""

    title: str
    student: str
    teacher: str
    arguments: dict[str, Any]
    teacher_arguments: dict[str, Any]
    batch: int
    classes: int
    channels: int
    size: tuple[int, int]
    taps: tuple[str, ...]
    steps: int
    rounds: int
    temperature: float = 4.0
    kd_weight: float = 0.9
    label_weight: float = 0.1
    attention_weight: float = 100.0
    learning_rate: float = 0.001


def cases(quick: bool, own: int | None = None) -> list[Case]:
    """What is measured: a step of a millisecond, where overhead shows most, and one of a usual size."""
    widths: tuple[dict[str, Any], dict[str, Any]] = ({"widths": [16, 32]}, {"widths": [32, 64]})
    small = ("small_cnn", "small_cnn", *widths)
    rounds = own or (60 if quick else 400)
    large = own or (4 if quick else 24)
    batch = 16 if quick else 128
    stages = ("stages.0", "stages.1", "stages.2")
    return [
        Case("small CNN 16-32 <- 32-64, 8x8, KD", *small, 128, 10, 1, (8, 8), (), 5, rounds),
        Case("small CNN 16-32 <- 32-64, 8x8, KD + AT", *small, 128, 10, 1, (8, 8), stages[:2], 5, rounds),
        Case(
            "ResNet-20 <- ResNet-56, 32x32, KD", "resnet20", "resnet56", {}, {}, batch, 100, 3, (32, 32), (), 1, large
        ),
        Case(
            "ResNet-20 <- ResNet-56, 32x32, KD + AT",
            "resnet20",
            "resnet56",
            {},
            {},
            batch,
            100,
            3,
            (32, 32),
            stages,
            1,
            large,
        ),
    ]


def by_hand(case: Case, teacher: nn.Module, student: nn.Module, prepare: Callable[[Tensor], Tensor]) -> Step:
    """The step as one writes it without a library: hooks where features are read, everything else in line."""
    seen: dict[tuple[str, str], Tensor] = {}
    for role, network in (("student", student), ("teacher", teacher)):
        for path in case.taps:
            key = (role, path)
            network.get_submodule(path).register_forward_hook(
                lambda _m, _i, output, key=key: seen.update({key: output})
            )
    optimizer = torch.optim.SGD(student.parameters(), lr=case.learning_rate, momentum=0.9)
    temperature = case.temperature

    def attention(features: Tensor) -> Tensor:
        return functional.normalize(features.pow(2).mean(1).flatten(1))

    def step(images: Tensor, labels: Tensor) -> Tensor:
        inputs = prepare(images)
        with torch.no_grad():
            teacher_logits = teacher(inputs)
        logits = student(inputs)
        soft = functional.kl_div(
            functional.log_softmax(logits / temperature, dim=1),
            functional.softmax(teacher_logits / temperature, dim=1),
            reduction="batchmean",
        )
        total = case.label_weight * functional.cross_entropy(logits, labels) + case.kd_weight * temperature**2 * soft
        for path in case.taps:
            maps = attention(seen["student", path]), attention(seen["teacher", path])
            total = total + case.attention_weight * (maps[0] - maps[1]).pow(2).mean()
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        return total.detach()

    return step


def by_distiller(case: Case, teacher: nn.Module, student: nn.Module, spec: InputSpec) -> Step:
    """The five lines."""
    methods = [configure("kd", temperature=case.temperature, weight=case.kd_weight)]
    if case.taps:
        taps = list(case.taps)
        methods.append(configure("attention", weight=case.attention_weight, student_taps=taps, teacher_taps=taps))
    distiller = Distiller(
        teacher, student, methods, label_weight=case.label_weight, teacher_input=spec, student_input=spec
    )
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=case.learning_rate, momentum=0.9)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        terms = distiller(images, labels)
        terms.total.backward()
        optimizer.step()
        optimizer.zero_grad()
        return terms.total.detach()

    return step


def sides_of(case: Case, box: Any | None, device: torch.device) -> dict[str, Step]:
    """Returns the contenders, each with networks of its own."""
    shape: dict[str, Any] = {"num_classes": case.classes, "channels": case.channels, "size": case.size}
    teacher = build(case.teacher, seed=0, **shape, **case.teacher_arguments).eval().requires_grad_(False).to(device)
    student = build(case.student, seed=1, **shape, **case.arguments).train().to(device)
    spec = InputSpec((0.4,) * case.channels, (0.3,) * case.channels)
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) * 255 for values in (spec.mean, spec.std))

    def prepare(images: Tensor) -> Tensor:
        return (images.float() - mean) / std

    def pair() -> tuple[nn.Module, nn.Module]:
        return copy.deepcopy(teacher), copy.deepcopy(student)

    sides = {"by hand": by_hand(case, *pair(), prepare), "rolewise": by_distiller(case, *pair(), spec)}
    # The hand-written step a second time: how far two equal sides come apart is what this machine cannot tell.
    sides["by hand, again"] = by_hand(case, *pair(), prepare)
    if box is not None:
        sides["torchdistill"] = torchdistill_box.make_step(box, *pair(), list(case.taps), prepare, case)
    return sides


def measure(case: Case, box: Any | None, device: torch.device) -> dict[str, Any]:
    """Times all sides in turns; milliseconds for each step, and ratios to the hand-written one."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.batch, case.channels, *case.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)
    labels = torch.randint(0, case.classes, (case.batch,), generator=generator).to(device)
    sides = sides_of(case, box, device)
    losses = {name: [float(step(images, labels)) for _ in range(3)] for name, step in sides.items()}
    for name, values in losses.items():
        if any(abs(value - hand) > 1e-4 * abs(hand) for value, hand in zip(values, losses["by hand"], strict=True)):
            raise SystemExit(
                f"{case.title}: {name} computes another loss than by hand, {values} and {losses['by hand']}"
            )
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(case.rounds):
        quiet.beat()
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = quiet.now(device)
            for _ in range(case.steps):
                sides[name](images, labels)
            seconds[name].append((quiet.now(device) - start) / case.steps)
    ratios = {name: quiet.ratio(values, seconds["by hand"]) for name, values in seconds.items() if name != "by hand"}
    return {
        "case": case.title,
        "batch": case.batch,
        "rounds": case.rounds,
        "milliseconds": {name: 1000 * statistics.median(values) for name, values in seconds.items()},
        "ratios_to_by_hand": ratios,
    }


def main() -> None:
    """Prints a table; with ``--json`` writes it too."""
    parser = quiet.command_line(__doc__)
    parser.add_argument("--rounds", type=int, help="of every case; by default as many as its size wants")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch's threads")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    box, note = None, ""
    try:
        box, note = torchdistill_box.box_class()
    except ImportError as error:
        note = f"torchdistill left out: {error}"
    print(note)
    found = []
    for case in cases(arguments.quick, arguments.rounds):
        found.append(measure(case, box, arguments.device))
        print(f"\n{case.title}, batch {case.batch}, {case.rounds} rounds")
        for name, milliseconds in found[-1]["milliseconds"].items():
            other = found[-1]["ratios_to_by_hand"].get(name)
            compared = f"{other['median']:.3f} ({other['low']:.3f} to {other['high']:.3f})" if other else "1"
            print(f"  {name:16s} {milliseconds:9.3f} ms   x {compared}")
    machine: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__}
    machine |= {"threads": arguments.threads, "device": quiet.name_of(arguments.device)}
    quiet.write(
        arguments.json,
        {"benchmark": "step", "torchdistill": note, "machine": machine, "results": found},
        claim=not arguments.quick,
    )


if __name__ == "__main__":
    main()
