"""The time of a loss of others and of ours, forward and backward, by the processor and in turns.

`official_losses.py --time` asks for it. The tensors are as large as a training's (`official_terms.LARGE`), both sides
get the same ones, and what a loss learns or remembers is made before. A round takes their loss, ours, and theirs once
more, each as often as fills `SHORTEST`: what the last differs from the first by is what the ratio cannot tell. Time is
the processor's and not the clock's, since other work may have the machine, and freed memory stays with the process, so
that no side pays for pages which the other got for nothing.
"""

from __future__ import annotations

import ctypes
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import quiet
import torch
from official_cases import Case
from official_terms import Loss, given

#: Seconds of the processor that a side of a round takes at least.
SHORTEST = 0.003
#: A call above so many seconds has a third of the rounds.
LONG = 0.03
#: A loss of ours that takes longer than this many times theirs has a reason beside it.
LIMIT = 1.2


def keep_memory() -> None:
    """Lets the C library keep freed memory, however large its pieces; nothing where it is another one than glibc."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in ((-3, 2**30), (-1, 2**31 - 1)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            libc.mallopt(option, value)


def spent(run: Callable[[], Any], times: int = 1) -> float:
    """Returns the processor's seconds of a call, mean over so many."""
    start = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - start) / times


def timed(case: Case, module: Any, rounds: int) -> dict[str, Any]:
    """Returns milliseconds of theirs and ours, and the ratios of ours and of theirs once more to theirs.

    Args:
        case: made at the sizes that are in force (`official_terms.sized`).
        module: of their file.
        rounds: that are timed, after a call of each that warms up.
    """
    student, teacher = [one.requires_grad_() for one in given(case.kind, 1)], given(case.kind, 2)

    def run_of(loss: Loss) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(loss(student, teacher), student, allow_unused=True)

    official, own = run_of(case.official(module)), run_of(case.own())
    own()
    official()
    sides = {"official": official, "own": own, "again": official}
    counts = {title: max(1, math.ceil(SHORTEST / spent(run))) for title, run in sides.items()}
    seconds: dict[str, list[float]] = {title: [] for title in sides}
    for _ in range(rounds if min(map(spent, sides.values())) < LONG else math.ceil(rounds / 3)):
        quiet.beat()
        for title, run in sides.items():
            seconds[title].append(spent(run, counts[title]))
    middle = {f"{title}_ms": 1000 * statistics.median(seconds[title]) for title in ("official", "own")}
    ratios = {
        key: quiet.ratio(seconds[title], seconds["official"]) for key, title in (("ratio", "own"), ("again", "again"))
    }
    return {**middle, **ratios}
