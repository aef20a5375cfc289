"""A step of every registered method against a step of plain KD on the same networks, in turns, in one run.

python benchmarks/method_cost.py [--methods kd,crd] [--json FILE] [--rounds 7] [--quick]

Methods on images have ResNet-8 <- ResNet-20; those that need masks, boxes, branches, tokens or several teachers have
networks that give them, and plain KD on these beside them.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import quiet
import torch
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context
from rolewise.distill import METHODS, Distiller, configure
from rolewise.distill.declarations import declaration_of
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.tasks import Classification, Detection, Segmentation, Task
from rolewise.train import Update, train_step

#: The control of a case: plain KD, timed as often as everything else, and once more to show what the ratio cannot tell.
CONTROL, AGAIN = "kd", "kd, again"
#: Networks of each case, teacher and student, each by its arguments.
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "images": ({"name": "resnet20"}, {"name": "resnet8"}),
    "teachers": ({"name": "resnet20"}, {"name": "resnet8"}),
    "tokens": ({"name": "vit_mini"}, {"name": "vit_mini", "distilled": True}),
    "branches": ({"name": "branched", "base": "resnet20"}, {"name": "branched", "base": "resnet8"}),
    "masks": ({"name": "unet", "widths": (16, 32)}, {"name": "unet", "widths": (8, 16)}),
    "boxes": ({"name": "fcos_small", "bins": 8}, {"name": "fcos_small", "bins": 8, "depth": 0}),
}
TOKENS = {"deit_token", "hidden_cosine", "minilm", "minilm_v2", "patient", "tinybert_attention", "tinybert_hidden"}
TOKENS |= {"vitkd", "manifold"}
#: Settings that a method needs on these networks.
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"heads": 4} for name in ("minilm", "minilm_v2", "tinybert_attention")},
    "patient": {"token": "mean"},
    "tinybert_hidden": {"student_taps": ["layer1", "last_layer"], "teacher_taps": ["layer1", "last_layer"]},
    "pearson_kd": {"student_taps": "last_stage", "teacher_taps": "last_stage"},
}
CLASSES = 100


def case_of(name: str) -> str:
    """Returns the case of a method: the networks that it is timed on.

    Args:
        name: the method's key.
    """
    info = METHODS[name]
    if info.targets in ("masks", "boxes"):
        return info.targets
    if "branch_logits" in info.taps:
        return "branches"
    return "tokens" if name in TOKENS else "teachers" if info.taught_by == "several" else "images"


def networks_of(case: str, name: str, size: int) -> tuple[dict[str, nn.Module], nn.Module]:
    """Returns the teachers of a case by role, and its student, with weights of their own for each method."""
    first, second = NETWORKS[case]
    given = {"num_classes": CLASSES, "channels": 3, "size": (size, size)}
    if name == "simkd":
        second = {"name": "reused_head", "body": "resnet8", "width": 64}

    def made(arguments: dict[str, Any], seed: int) -> nn.Module:
        return build(arguments["name"], **given, **{key: v for key, v in arguments.items() if key != "name"}, seed=seed)

    roles = ("big", "old") if case == "teachers" else ("teacher",)
    return {role: made(first, seed + 1) for seed, role in enumerate(roles)}, made(second, 0)


def batch_of(case: str, batch: int, size: int) -> tuple[Batch, Task]:
    """Returns the batch of a case, all views in it, and its task."""
    stream = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=stream)
    rows = torch.arange(batch)
    task: Task = Classification()
    targets: Any = torch.randint(CLASSES, (batch // 2,), generator=stream).repeat_interleave(2)
    if case == "masks":
        task, targets = Segmentation(), torch.randint(CLASSES, (batch, size, size), generator=stream)
    elif case == "boxes":
        task = Detection()
        corners = (size * torch.rand(batch, 2, 2, 2, generator=stream)).sort(2)[0].flatten(2)
        targets = [{"boxes": boxes, "labels": torch.zeros(2, dtype=torch.int64)} for boxes in corners]
    return Batch(images, targets, rows, views=dict.fromkeys(_views(), images.flip(3))), task


def _views() -> set[str]:
    return {view for name in METHODS for view in getattr(METHODS[name].term, "views", ())}


def step_of(name: str, case: str, batch: int, size: int, labels: Tensor) -> Callable[[], None]:
    """Returns one step by a method: both passes, the losses, backward, SGD, and what moves after a step."""
    teachers, student = networks_of(case, name, size)
    given, task = batch_of(case, batch, size)
    alone = METHODS[name].taught_by == "itself"
    several = METHODS[name].taught_by == "several"
    teaching: Any = None if alone else teachers if several else next(iter(teachers.values()))
    method = configure(name, **SETTINGS.get(name, {}))
    distiller = Distiller(teaching, student.train(), [method], example=given.inputs[:2], labels=labels, task=task)
    if not METHODS[name].term or not METHODS[name].term.views:  # type: ignore[union-attr]
        given = Batch(given.inputs, given.targets, given.indices)
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), 1e-4, momentum=0.9, fused=True)
    updates = [Update(distiller, optimizer)]

    def run() -> None:
        train_step(updates, given, Context())

    return run


def measure(methods: Iterable[str], *, batch: int = 64, size: int = 32, rounds: int = 7) -> list[dict[str, Any]]:
    """Returns a row for each method: milliseconds of a step, and its ratio to plain KD with an interval.

    Args:
        methods: their keys.
        batch: number of images.
        size: their height and width.
        rounds: number of timed rounds, after one that warms up; each takes a step of every method in turn.
    """
    # As many as the training set of CIFAR-100, for memories.
    labels = torch.arange(50_000) % CLASSES
    rows = []
    cases: dict[str, list[str]] = {}
    for name in methods:
        cases.setdefault(case_of(name), []).append(name)
    for case, names in cases.items():
        listed = {CONTROL: CONTROL, **{name: name for name in names}, AGAIN: CONTROL}
        steps = {title: step_of(name, case, batch, size, labels) for title, name in listed.items()}
        seconds: dict[str, list[float]] = {title: [] for title in steps}
        for number in range(rounds + 1):
            quiet.beat()
            for title, run in steps.items():
                start = quiet.now()
                run()
                if number:
                    seconds[title].append(quiet.now() - start)
        for title, times in seconds.items():
            middle = 1000 * statistics.median(times)
            cost = declaration_of(listed[title]).cost
            ratio = quiet.ratio(times, seconds[CONTROL])
            rows.append({"case": case, "method": title, "cost": cost, "milliseconds": middle, "ratio_to_kd": ratio})
    return rows


def named(text: str) -> list[str]:
    """Returns the methods of a list, all where it is empty.

    Args:
        text: names separated by commas.

    Raises:
        InputError: a name is unknown.
    """
    names = [name.strip() for name in text.split(",") if name.strip()] or list(METHODS)
    if unknown := [name for name in names if name not in METHODS]:
        raise InputError(f"--methods must be names of methods, got {unknown[0]!r}; rolewise list methods names them")
    return names


def main() -> None:
    parser = quiet.command_line(__doc__)
    parser.add_argument("--methods", default="", help="names separated by commas; all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    names = named(arguments.methods)
    rows = measure(names, rounds=3 if arguments.quick else arguments.rounds)
    for row in rows:
        ratio = row["ratio_to_kd"]
        spread = f"({ratio['low']:.2f} to {ratio['high']:.2f})"
        print(f"{row['case']:<9} {row['method']:<22} {row['cost']:<9} {row['milliseconds']:8.1f} ms  ", end="")
        print(f"x {ratio['median']:.2f} {spread}")
    content = {"threads": arguments.threads, "batch": 64, "size": 32, "rounds": arguments.rounds}
    versions = {"python": platform.python_version(), "torch": torch.__version__, "rolewise": rw.__version__}
    quiet.write(arguments.json, {**content, **versions, "rows": rows}, claim=not arguments.quick)


if __name__ == "__main__":
    main()
