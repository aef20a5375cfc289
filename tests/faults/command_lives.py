"""One life of a command that trains: killed soon after so much is done, unless it ends by itself before."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Sequence


def is_killed(command: Sequence[str], begins: str, done: Callable[[], bool], rng: random.Random) -> bool:
    """Starts a command, waits until so much is done and up to 0.3 s more, and kills it; returns False where it ended.

    Args:
        command: the command, which prints a line when its work begins, and exits with 0 at its end.
        begins: what stands in that line.
        done: whether as much is done as the life is to last.
        rng: of the time that follows.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert begins in first, first + process.stdout.read()
        while process.poll() is None and not done():
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.3))
        if process.poll() is None:
            process.kill()
            return True
        assert process.wait() == 0, process.stdout.read()
        return False
