"""Measures what a search of 1,000 members and a study of 1,000 cells cost beside their trainings, which are simulated.

    python benchmarks/growth.py search --members 1000 --intervals 50
    python benchmarks/growth.py study --cells 1000

A search's members train nothing: their outcomes are made up in the workers' place. A study's stages are marked as done
with made-up results, so that planning, the table's growth and the page are real and nothing is trained. Seconds are
those that the processor gave to this process; memory is the most that it held. ``--json FILE`` keeps the figures.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import quiet

from rolewise.jobs.job import Job, JobDone, JobEnd, JobSeries
from rolewise.jobs.job_news import raise_or_report
from rolewise.jobs.scheduler import run_jobs
from rolewise.search import PolicySpace, ScalarGene, Space
from rolewise.search.resident_members import Outcome
from rolewise.search.search_folder import SearchFolder
from rolewise.search.search_run import SearchRun
from rolewise.search.search_series import search_steps

OPS = (
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y", "autocontrast", "equalize", "invert", "solarize"),
    *("posterize", "contrast", "brightness", "sharpness", "cutout"),
)
SPACE = Space({"augmentation": PolicySpace(OPS, copies=2), "rate": ScalarGene(0.001, 0.1, log=True)})


class Simulated:
    """Workers whose members are trained at once.

    Args:
        count: number of workers.
    """

    def __init__(self, count: int) -> None:
        self.jobs: list[Job | None] = [None] * count
        self.scores = random.Random(0)

    @property
    def idle(self) -> list[int]:
        """The places without a job."""
        return [place for place, job in enumerate(self.jobs) if job is None]

    @property
    def busy(self) -> bool:
        """Whether any has one."""
        return any(job is not None for job in self.jobs)

    def submit(self, place: int, job: Job, losses: int, series: Collection[str]) -> None:
        """Takes a job."""
        self.jobs[place] = job

    def wait(self, seconds: float, report: Callable[[Job, str], None]) -> list[tuple[Job, JobEnd]]:
        """Ends all of them."""
        ended: list[tuple[Job, JobEnd]] = []
        for place, job in enumerate(self.jobs):
            if job is not None:
                outcome = Outcome(job.payload.member, self.scores.random(), "", 0.1)
                ended.append((job, JobDone(outcome, 0.1)))
                self.jobs[place] = None
        return ended

    def forget_series(self) -> None:
        """Nothing is kept."""

    def stop(self) -> None:
        """Nothing is under way."""

    def close(self, *, at_once: bool = False) -> None:
        """Nothing was started."""


@dataclass
class Figures:
    """What was measured, printed as it comes."""

    found: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """Does some work and keeps its seconds."""
        began = time.process_time()
        made = work()
        self.keep(f"{name}, s", time.process_time() - began)
        quiet.beat()
        return made

    def keep(self, name: str, value: float) -> None:
        """Keeps a figure."""
        self.found[name] = round(value, 4)
        print(f"{name:<44} {value:12.3f}", flush=True)


def grown_search(root: Path, members: int, intervals: int, workers: int, figures: Figures) -> None:
    """Searches, reopens the record, and reads its result."""
    figures.keep("memory before, MB", memory())

    def opened() -> SearchFolder:
        return SearchFolder(root, SearchRun(SPACE, members=members, intervals=intervals, seed=7, quantile=0.25))

    rounds = rounds_of(figures.timed("open", opened), workers)
    figures.keep("a round, median, ms", 1e3 * statistics.median(rounds))
    figures.keep("a round, worst, ms", 1e3 * max(rounds))
    figures.keep("record, MB", (root / "record.jsonl").stat().st_size / 1e6)
    kept = figures.timed("reopen", opened)
    figures.timed("populations of the result", lambda: kept.run.result().populations())


def rounds_of(kept: SearchFolder, workers: int) -> list[float]:
    """Searches, and returns the seconds of each interval."""
    ends = [time.process_time()]
    steps = search_steps("search", _nobody, kept, threads=1, on_interval=lambda line: ends.append(time.process_time()))
    run_jobs(
        [JobSeries("search", lambda report: steps, kept.run.members)],
        Simulated(workers),
        should_stop=lambda: False,
        on_news=lambda news: raise_or_report(news, print),
    )
    return [after - before for before, after in itertools.pairwise(ends)]


def _nobody(member: int, genome: object, seed: int) -> Any:
    raise AssertionError("nobody trains here")


def memory() -> float:
    """Returns the most that this process has held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Measures one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("search", "study"))
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--intervals", type=int, default=50)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args()
    quiet.begin(1)
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "search":
            grown_search(Path(folder) / "search", given.members, given.intervals, given.workers, figures)
            settings = {"members": given.members, "intervals": given.intervals, "workers": given.workers}
        else:
            from growth_study import grown_study  # what a search does not load

            grown_study(Path(folder), given.cells, figures)
            settings = {"cells": given.cells}
    figures.keep("memory, MB", memory())
    quiet.write(given.json, {"settings": settings, "figures": figures.found})


if __name__ == "__main__":
    main()
