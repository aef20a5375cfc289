"""What is disturbed: a small run, a small study and a search, each in a process of its own; and what may not change."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from figure_toys import unrendered
from kill_loop import die_at_step
from search_toys import SPACE, SlowFactory
from train_toys import several, trainee
from warm_server import LOADED, begin_server

from rolewise import report
from rolewise.augment import Mix
from rolewise.experiment import load, run
from rolewise.jobs.worker_process import start_context
from rolewise.search import search
from rolewise.study import load_study, run_study
from rolewise.train import Mixing, fit

EXPERIMENTS = Path(__file__).parent.parent / "experiment"
RUN = ["seeds=[0]", "arms.student=[none,own]", "arms.distill=[true]", "teacher.train.epochs=2"]
# A checkpoint after each step: kills fall between any two.
RUN += ["students[0].train.epochs=2", "workers=2", "checkpoint_seconds=0"]
STUDY = ["seeds=[0]", "grid={distill.label_weight: [0.1, 0.5]}", "measure=[accuracy, calibration]", "workers=2"]
STUDY += ["set.checkpoint_seconds=0"]
PRODUCTS = ("results.json", "results.csv", "lineage.json", "record.jsonl", "weights.safetensors", "schedule.json")


def do_run(folder: Path) -> None:
    """Runs the experiment, or goes on with it."""
    run(load(EXPERIMENTS / "quick.yaml", RUN), folder)


def do_study(folder: Path) -> None:
    """Runs the study, or goes on with it; one whose cells failed has failed."""
    if run_study(load_study(EXPERIMENTS / "study.yaml", STUDY), folder, retry=True).failed:
        raise SystemExit(1)


def do_train(folder: Path) -> None:
    """Trains two students with a memory and steps of several batches, or goes on with it; slowly."""
    made = several(accumulate=2, ema=0.5, epochs=4)

    def linger() -> bool:
        time.sleep(0.03)
        return False

    fit(made, folder, should_stop=linger, seconds_between_checkpoints=0)


#: One process that keeps its place at each step: two searches, of which one distils with a memory, by steps of
#: several batches; and a study whose student mixes.
ALONE = [*(setting for setting in RUN if not setting.startswith("workers")), "workers=1", "search.members=2"]
ALONE += ["students[0].train.accumulate=2", "students[0].train.ema=0.5", "students[0].train.batch_size=10"]
ALONE += ["distill.methods=[{name: kd}, {name: crd, negatives: 20, width: 6, weight: 0.05}]"]
MIXED = ["seeds=[0]", "grid={distill.label_weight: [0.1, 0.5]}", "set.checkpoint_seconds=0", "workers=1"]
MIXED += ["set.students[0].mix={method: mixup, alpha: 4, pairs: student_entropy, share: 0.5}"]


def do_run_alone(folder: Path) -> None:
    """Runs an experiment in this process."""
    run(load(EXPERIMENTS / "quick.yaml", ALONE), folder)


def do_study_alone(folder: Path) -> None:
    """Runs a study in this process."""
    if run_study(load_study(EXPERIMENTS / "study.yaml", MIXED), folder, isolate=False).failed:
        raise SystemExit(1)


def do_train_several(folder: Path) -> None:
    """Trains two students and a memory by steps of several batches."""
    fit(several(accumulate=2, ema=0.5, epochs=12), folder, seconds_between_checkpoints=0)


def do_train_mixing(folder: Path) -> None:
    """Trains a student whose images are mixed by its own entropy."""
    made = trainee("adamw", epochs=12, ema=0.9)
    made.mixing = Mixing(Mix("cutmix"), by="student_entropy")
    fit(made, folder, seconds_between_checkpoints=0)


def do_search(folder: Path) -> None:
    """Searches, or goes on with it."""
    folder.mkdir(exist_ok=True)
    pids = folder.with_name(folder.name + "-pids")
    pids.mkdir(exist_ok=True)
    search(SlowFactory(0.02, pids), SPACE, members=6, intervals=5, seed=7, folder=folder, workers=2)


SUBJECTS: dict[str, Callable[[Path], None]] = {
    "run": do_run,
    "study": do_study,
    "search": do_search,
    "train": do_train,
    "run alone": do_run_alone,
    "study alone": do_study_alone,
    "train several": do_train_several,
    "train mixing": do_train_mixing,
}


def quietly(name: str, folder: Path, dies: tuple[int, bool] | None = None) -> None:
    """Does one of the subjects and says nothing: what its processes print as they die is no news."""
    if dies is not None:
        die_at_step(*dies)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    begin_server()
    for page in ("write_report", "write_study_report"):
        setattr(report, page, without_marks(getattr(report, page)))
    SUBJECTS[name](folder)


def without_marks(write: Callable[[Path], object]) -> Callable[[Path], object]:
    """Returns what writes a whole page whose figures are not drawn."""

    def written(root: Path) -> object:
        from matplotlib.figure import Figure

        Figure.savefig = unrendered(Figure.savefig)  # type: ignore[method-assign]
        return write(root)

    return written


class Life:
    """A subject at work in a process of its own, with workers below it."""

    def __init__(self, name: str, folder: Path, dies: tuple[int, bool] | None = None) -> None:
        context = start_context(*LOADED)
        self.process = context.Process(target=quietly, args=(name, folder, dies))  # type: ignore[attr-defined]
        self.process.start()
        self.began = time.monotonic()

    def kill(self, whom: str, after: float, choice: random.Random) -> bool:
        """Kills the process, one of those below it, or all at once; returns whether it still lived then.

        Where one below it is to be killed and there is none yet, the first one is waited for.
        """
        self.process.join(after)
        pid = self.process.pid
        assert pid is not None
        while self.process.exitcode is None and not (below := descendants(pid)) and whom == "worker":
            self.process.join(0.01)
        if self.process.exitcode is not None:
            return False
        victims = {"main": [pid], "worker": below and [choice.choice(below)], "all": [pid, *below]}[whom]
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        return True

    def end(self, seconds: float = 600) -> int:
        """Waits for its end and returns the exit code."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it hangs since {time.monotonic() - self.began:.0f} s"
        return int(self.process.exitcode)


def descendants(pid: int) -> list[int]:
    """Returns the processes below one, whoever started them."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return sorted(found)


def products(folder: Path) -> dict[str, bytes]:
    """Returns what may not change: tables, weights, records, schedules, lineages."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in PRODUCTS and path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


Damage = Callable[[bytes, random.Random, list[bytes]], bytes | None]


def _flipped(content: bytes, choice: random.Random, others: list[bytes], bits: int = 1) -> bytes | None:
    changed = bytearray(content)
    for _ in range(bits if content else 0):
        changed[choice.randrange(len(changed))] ^= 1 << choice.randrange(8)
    return bytes(changed)


def _block(content: bytes, choice: random.Random, others: list[bytes], zero: bool = True) -> bytes | None:
    start = choice.randrange(len(content) + 1)
    size = min(choice.choice((1, 16, 512)), len(content) - start)
    return content[:start] + (bytes(size) if zero else choice.randbytes(size)) + content[start + size :]


#: From what a file holds to what it holds then; None: it is gone.
DAMAGES: dict[str, Damage] = {
    "one bit": _flipped,
    "many bits": functools.partial(_flipped, bits=40),
    "zeros": _block,
    "noise": functools.partial(_block, zero=False),
    "cut off": lambda content, choice, others: content[: choice.randrange(len(content) + 1)],
    "longer": lambda content, choice, others: content + choice.randbytes(choice.choice((1, 100))),
    "empty": lambda content, choice, others: b"",
    "gone": lambda content, choice, others: None,
    "another's": lambda content, choice, others: choice.choice(others) if others else b"{}",
}


def damaged(folder: Path, choice: random.Random) -> tuple[Path, str]:
    """Damages a file of a folder and returns which and how; every kind of file has the same chance."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    kind = choice.choice(sorted({path.name for path in files}))
    path = choice.choice([path for path in files if path.name == kind])
    others = [other.read_bytes() for other in files if other.suffix == path.suffix and other != path]
    how = choice.choice(sorted(DAMAGES))
    content = DAMAGES[how](path.read_bytes(), choice, others)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    return path, how


@contextlib.contextmanager
def stopped_at(update: int) -> Iterator[Callable[[object], None]]:
    """Gives what presses Ctrl-C when it is told something for the so-manieth time."""
    told = [0]

    def tell(_: object) -> None:
        told[0] += 1
        if told[0] == update:
            signal.raise_signal(signal.SIGINT)

    yield tell
