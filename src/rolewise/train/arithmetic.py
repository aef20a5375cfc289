"""The arithmetic of a training, chosen by its time: precision, memory layout, compiled networks."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rolewise.batch import Context
from rolewise.config.training_sections import ARITHMETIC, TrainSettings
from rolewise.errors import InputError
from rolewise.files import digest_of
from rolewise.seals import read_sealed, write_sealed
from rolewise.train.rule import StepRule
from rolewise.train.step import train_step
from rolewise.train.trainee import Trainee

#: Steps that are timed of each arithmetic, after two that are not.
TIMED = 5
#: The part of the plainer one's time that an arithmetic must not exceed to be chosen in its place.
_WORTH = 0.95
#: Seconds of a whole training below which compiled networks are not tried: compiling takes as long.
_TOO_SHORT = 120.0
#: Calls of which a typical one is taken, and seconds after which a single one is enough.
_CALLS, _LONG = 3, 0.5
#: What counts as plain: it is taken where nothing else is faster.
_PLAIN = {"precision": "float32", "channels_last": False, "compile": False}
_OTHER = {"precision": "bfloat16", "channels_last": True}


@dataclass(frozen=True)
class TimedArithmetic:
    """An arithmetic and its time.

    Args:
        precision: of the forward passes.
        channels_last: whether images and weights have their channels last in memory.
        compile: whether the networks are compiled, or ``graphs``.
        first: seconds of the first two steps, which compile; None where they failed.
        step: seconds of a step, the middle one of five; None where it was not timed.
        note: the reason where it was not timed; empty where it was.
    """

    precision: str
    channels_last: bool
    compile: bool | str
    first: float | None = None
    step: float | None = None
    note: str = ""

    def values(self) -> dict[str, Any]:
        """Returns the settings alone."""
        return {name: getattr(self, name) for name in ARITHMETIC}

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        compiled = "CUDA graphs" if self.compile == "graphs" else "compiled" if self.compile else "not compiled"
        return f"{self.precision}, {layout}, {compiled}"


def plain_settings(settings: TrainSettings) -> TrainSettings:
    """Returns settings with float32, channels first and networks as they are in place of every ``auto``."""
    return settings.changed(**{name: _PLAIN[name] for name in settings.open_arithmetic})


def choose_arithmetic(
    settings: TrainSettings, make: Callable[[TrainSettings], Trainee], *, steps: int, graphs: bool = False
) -> tuple[TimedArithmetic, list[TimedArithmetic]]:
    """Times a few steps of each arithmetic that the settings leave open, and chooses.

    First precisions and layouts, in all combinations; then, with the fastest of them, compiled networks, also with CUDA
    graphs where the device records them, unless the whole training is so short that compiling would take as long. The
    plainer one is chosen where the faster one saves less than 5%; of compiled networks, the time to compile counts.

    Args:
        settings: of the training, with ``auto`` in places.
        make: returns a training by given settings that is thrown away: of networks of its own, on the device.
        steps: of the whole training.
        graphs: whether CUDA graphs are tried as well.

    Returns:
        The choice, and all that was timed.

    Raises:
        Exception: the plainest arithmetic failed; another that fails is noted and not chosen.
    """
    open_names = settings.open_arithmetic
    given = {name: getattr(settings, name) for name in ARITHMETIC if name not in open_names}
    first = TimedArithmetic(**{**_PLAIN, **given})
    varied = [name for name in ("precision", "channels_last") if name in open_names]
    timed = []
    for values in itertools.product(*((_PLAIN[name], _OTHER[name]) for name in varied)):
        changed: dict[str, Any] = dict(zip(varied, values, strict=True))
        candidate = replace(first, **changed)
        timed.append(_timed(settings, candidate, make, must_run=candidate == first))
    best = min((one for one in timed if one.step is not None), key=lambda one: one.step or 0.0)
    plain = timed[0]
    assert best.step is not None and plain.step is not None
    chosen = best if best.step <= _WORTH * plain.step else plain
    if "compile" not in open_names:
        return chosen, timed
    whole, best_whole = steps * (chosen.step or 0.0), float("inf")
    ways: list[bool | str] = [True, "graphs"] if graphs else [True]
    others = [replace(chosen, compile=way, first=None, step=None) for way in ways]
    if whole < _TOO_SHORT:
        note = f"not tried: the training takes about {whole:.0f} s, and compiling about as long"
        return chosen, [*timed, *(replace(one, note=note) for one in others)]
    for other in others:
        compiled = _timed(settings, other, make, must_run=False)
        timed.append(compiled)
        if compiled.first is not None and compiled.step is not None:
            compiled_whole = compiled.first + steps * compiled.step
            if compiled_whole <= min(_WORTH * whole, best_whole):
                chosen, best_whole = compiled, compiled_whole
    return chosen, timed


def kept_arithmetic(
    path: Path,
    settings: TrainSettings,
    make: Callable[[TrainSettings], Trainee],
    *,
    steps: int,
    remedy: str,
    device: torch.device,
) -> TrainSettings:
    """Returns settings with the choice that stands in a file; where there is no file, chooses and writes it.

    Of several processes that choose at the same time, the first one's choice counts for all.

    Args:
        path: the file; it holds the choice, all times, and the machine's processor.
        settings: of the training, with ``auto`` in places.
        make: as of `choose_arithmetic`.
        steps: of the whole training.
        remedy: the remedy where the file is damaged.
        device: of the training.

    Raises:
        InputError: the file is damaged, or names graphs that the device does not record.
    """
    if not path.exists():
        chosen, timed = choose_arithmetic(settings, make, steps=steps, graphs=device.type == "cuda")
        content = {"chosen": chosen.values(), "timed": [asdict(one) for one in timed], "steps": steps}
        keep_arithmetic(path, content)
    found = read_sealed(path, "the chosen arithmetic", remedy)["chosen"]
    if found["compile"] == "graphs" and device.type != "cuda":
        raise InputError(
            f"{path} has CUDA graphs, chosen on a GPU, which {device.type} does not record; go on on a GPU, or {remedy}"
        )
    return settings.changed(**{name: found[name] for name in ARITHMETIC})


def keep_arithmetic(path: Path, content: dict[str, Any]) -> None:
    """Writes a choice unless another process has written its own in the meantime."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.stem}-{os.getpid()}-{digest_of(content)[:8]}")
    write_sealed(own, content)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    finally:
        own.unlink()


def call_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Returns the seconds of a call; on one thread of a CPU, other programs take no part in them.

    Args:
        call: the work.
        device: the device that it runs on.
    """
    start, own = time.perf_counter(), time.process_time()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    taken = time.perf_counter() - start
    if device.type == "cpu" and torch.get_num_threads() == 1:
        # What the processor gave to others meanwhile is not the work's.
        taken = min(taken, time.process_time() - own)
    return taken


def typical_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Returns the seconds of one of a few calls, the middle one, since the first also loads what it needs.

    Args:
        call: the work.
        device: the device that it runs on.
    """
    seconds: list[float] = []
    while len(seconds) < _CALLS and not (seconds and min(seconds) > _LONG):
        seconds.append(call_seconds(call, device))
    return max(statistics.median(seconds), 1e-9)


def _timed(
    settings: TrainSettings,
    candidate: TimedArithmetic,
    make: Callable[[TrainSettings], Trainee],
    *,
    must_run: bool,
) -> TimedArithmetic:
    # No step may lead to weights that are not finite.
    slow = settings.optimizer.changed(learning_rate=1e-9)
    chosen = settings.changed(**candidate.values(), optimizer=slow, groups=())
    try:
        trainee = make(chosen)
        trainee.distiller.train()
        batch = next(iter(trainee.feed.batches(0)))
        graphs = chosen.compile == "graphs"
        rule = StepRule(chosen.precision, trainee.scaler, chosen.clip_norm, chosen.gradient_ratio(0), graphs=graphs)
        context = Context(0.0, 0, 0.0, trainee.seed)

        def step() -> None:
            train_step(trainee.updates, batch, context, rule)

        first = call_seconds(step, trainee.device) + call_seconds(step, trainee.device)
        seconds = statistics.median(call_seconds(step, trainee.device) for _ in range(TIMED))
    except Exception as error:
        if must_run:
            raise
        lines = str(error).strip().splitlines()
        return replace(candidate, note=f"failed: {type(error).__name__}: {lines[0] if lines else ''}")
    return replace(candidate, first=round(first, 6), step=seconds)
