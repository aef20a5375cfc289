"""What is measured on a GPU, in order of worth: pieces, each of a few steps that can be gone on with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_pieces.place import ROOT

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Step:
    """One command. What it made when it was cut off it finds again, or it begins anew and is short.

    Args:
        name: of its results.
        command: what is run, from the repository's root.
        minutes: a guess of its whole time, which counts until there is something to reckon from.
        least: minutes that must be left to begin it, for what cannot be gone on with.
        folder: the run or study folder that it works in, from which progress is read.
        figures: the JSON file that it writes.
        environment: variables beside those of the runner.
    """

    name: str
    command: tuple[str, ...]
    minutes: float
    least: float = 0.3
    folder: Path | None = None
    figures: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """Steps that belong together.

    Args:
        name: of the folder of results.
        title: what is measured, in words.
        steps: in their order.
        reads_data: whether a step reads CIFAR-100.
        apart: whether the steps know nothing of one another, so that one that fails ends none of the others.
    """

    name: str
    title: str
    steps: tuple[Step, ...]
    reads_data: bool = True
    apart: bool = False


@dataclass(frozen=True)
class Setting:
    """How this run of the runner measures.

    Args:
        out: the folder of results.
        device: ``cuda`` or ``cpu``.
        miniature: tiny networks, few images, one epoch: the same code, and figures without meaning.
    """

    out: Path
    device: str
    miniature: bool


def pieces(setting: Setting) -> list[Piece]:
    """Returns all pieces, the one that is worth most first."""
    makers: tuple[Callable[[Setting], Piece], ...]
    makers = (_agreement, _peers, _device, _pair, _role_wise, _reference, _mixing)
    return [make(setting) for make in makers]


def _python(*arguments: str | Path) -> tuple[str, ...]:
    return (sys.executable, *map(str, arguments))


def _rolewise(command: str, config: Path, out: Path, sets: list[str], *more: str) -> tuple[str, ...]:
    given = [part for one in sets for part in ("--set", one)]
    return _python("-m", "rolewise", command, config, "--out", out, *more, *given)


def _script(setting: Setting, piece: str, name: str, script: str, minutes: float, *more: str) -> Step:
    figures = setting.out / piece / f"{name}.figures.json"
    command = _python(ROOT / "benchmarks" / script, "--device", setting.device, "--json", figures, *more)
    return Step(name, command, minutes, 0.1 if setting.miniature else minutes, figures=figures)


def _agreement(setting: Setting) -> Piece:
    tests = _python(
        "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", ROOT / "tests" / "devices" / "test_devices.py"
    )
    steps = [Step("tests", tests, 1.5, 0.2, environment={"ROLEWISE_DEVICE": setting.device})]
    for part, minutes in (("draws", 0.5), ("operations", 1.0), ("losses", 1.0), ("training", 2.0)):
        more = ["--quick"] if setting.miniature else []
        steps.append(_script(setting, "agreement", part, "gpu_part.py", minutes, "--part", part, *more))
    return Piece("agreement", "the tests on the device, and the CPU against it", tuple(steps), False, apart=True)


def _peers(setting: Setting) -> Piece:
    quick = ["--quick"] if setting.miniature else []
    rounds = ["--rounds", "1"] if setting.miniature else []
    steps = (
        _script(setting, "peers", "augment", "augment.py", 2, "--threads", "1", *quick),
        _script(setting, "peers", "step", "step.py", 3, "--threads", "1", *quick, *rounds),
    )
    return Piece("peers", "augmentation against kornia, a step against torchdistill's", steps, False, apart=True)


def _device(setting: Setting) -> Piece:
    quick = ["--quick"] if setting.miniature else []
    steps = [
        _script(setting, "device", part, "gpu_part.py", minutes, "--part", part, *quick)
        for part, minutes in (("triton", 1.0), ("graphs", 3.0))
    ]
    few = ["--members", "3"] if setting.miniature else []
    steps.append(_script(setting, "device", "stacked", "stacked.py", 2.0, "--members", "16", *quick, *few))
    steps.append(_script(setting, "device", "teacher_cache", "teacher_cache.py", 2.0, *quick))
    title = "what makes one device faster: the Triton kernel, CUDA graphs, stacked populations, a teacher's cache"
    return Piece("device", title, tuple(steps), False, apart=True)


def _pair(setting: Setting) -> Piece:
    small = []
    if setting.miniature:
        small = ["data.validation=100", "teacher.model.name=resnet8", "students[0].model.name=resnet8"]
        small += ["teacher.train.epochs=1", "students[0].train.epochs=1", "workers=1"]
    large = []
    for train in ("teacher.train", "students[0].train"):
        large += [f"{train}.batch_size={64 if setting.miniature else 512}", f"{train}.optimizer.learning_rate=0.2"]
        large += [f"{train}.precision=bfloat16", f"{train}.schedule.warmup=0.02"]
        large += [f"{train}.compile=graphs"] if setting.device == "cuda" else []
    steps = []
    # First the large batch, which has a goal of its own: 240 epochs of distillation under 5 minutes.
    for name, minutes, sets in (("batch_512", 12, [*large, *small]), ("run", 45, small)):
        run = setting.out / "pair" / f"{name}_folder"
        command = _rolewise("run", HERE / "resnet56_resnet20.yaml", run, sets)
        steps.append(Step(name, command, minutes, folder=run))
    return Piece("pair", "ResNet-56 -> 20 on CIFAR-100, 240 epochs, end to end", tuple(steps))


def _role_wise(setting: Setting) -> Piece:
    sets = ["seeds=[0]", "arms.teacher=[own]", "arms.student=[none,standard,teacher,own]", "arms.distill=[true]"]
    sets += ["arms.control=standard", "data.download=false"]
    if setting.miniature:
        sets += ["data.validation=100", "teacher.model.name=resnet8", "teacher.train.epochs=1"]
        for place in (0, 1):
            sets += [f"students[{place}].model.name=resnet8", f"students[{place}].train.epochs=1"]
        sets += ["arms.student=[standard,own]", "workers=1"]
        sets += ["search.members=2", "search.intervals=2", "search.teacher_images=100", "search.student_images=100"]
    elif setting.device == "cuda":
        # The students' bits are left in float32, as published; what teaches them is not.
        sets += ["teacher.train.precision=bfloat16"]
        sets += [f"{role}.train.channels_last=true" for role in ("teacher", "students[0]", "students[1]")]
    config, run = ROOT / "configs" / "cifar100_resnet18_w2a2.yaml", setting.out / "role_wise" / "run"
    steps = (
        Step("search_teacher", _rolewise("search", config, run, sets, "--role", "teacher"), 60, folder=run),
        Step("train_teacher", _rolewise("train", config, run, sets), 20, folder=run),
        Step("search_student", _rolewise("search", config, run, sets, "--role", "w2a2"), 120, folder=run),
        Step("run", _rolewise("run", config, run, sets), 300, folder=run),
    )
    return Piece("role_wise", "the role-wise run of the 2-bit ResNet-18, searches first", steps)


def _reference(setting: Setting) -> Piece:
    sets = []
    if setting.miniature:
        sets = ["grid={pair: {a: {}, b: {students.0.model.name: resnet14}}}", *_small_study()]
    study = setting.out / "reference" / "study"
    command = _rolewise("study", HERE / "reference_pairs.yaml", study, sets)
    return Piece("reference", "the pairs of networks that the literature's tables use", (_study(command, study, 400),))


def _mixing(setting: Setting) -> Piece:
    sets = ["seeds=[0]"]
    if setting.miniature:
        sets += ["parts={loss: {grid: {student_mixing: {clean: {}, all: {students.0.mix: {method: mixup}}}}}}"]
        sets += ["questions=[]", "measure=[accuracy, calibration]", *_small_study()]
    study = setting.out / "mixing" / "study"
    command = _rolewise("study", ROOT / "configs" / "studies" / "mixup_cifar100.yaml", study, sets)
    return Piece("mixing", "the decisive cells of the study of mixing, one seed", (_study(command, study, 900),))


def _small_study() -> list[str]:
    inner = ["data.validation=100", "teacher.model.name=resnet8", "teacher.train.epochs=1"]
    inner += ["students[0].model.name=resnet8", "students[0].train.epochs=1"]
    return [f"experiment.{one}" for one in inner]


def _study(command: tuple[str, ...], study: Path, minutes: float) -> Step:
    return Step("study", command, minutes, folder=study)
