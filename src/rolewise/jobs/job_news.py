"""News of work under way: starts, progress, losses and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rolewise.errors import Interrupted
from rolewise.jobs.job import Job, JobSeries

Work: TypeAlias = Job | JobSeries


@dataclass(frozen=True)
class JobNews:
    """A change in the state of a piece of work; of a series' own jobs, only losses are news.

    Args:
        work: the job or the series.
        kind: ``start``; ``moves`` with a line of progress; ``lost`` where a worker died and another one does it again;
            and one of the others at its end.
        value: the line; a `WorkerDied` of lost work; a `JobDone` of ``done``; a `JobRaised`, or a `WorkerDied` where
            it is given up, of ``failed``; the reason as an `Interrupted`, or None, of ``stopped``.
    """

    work: Work
    kind: Literal["start", "moves", "lost", "done", "failed", "stopped"]
    value: Any = None


def raise_or_report(news: JobNews, report: Callable[[str], None]) -> None:
    """Takes the news of a single piece of work: raises what ended it early, and passes on its progress.

    Args:
        news: the news.
        report: takes lines of progress.
    """
    if news.kind == "failed":
        news.value.raise_here()
    if news.kind == "stopped":
        raise news.value or Interrupted(f"{news.work.key} was stopped")
    if news.kind == "moves":
        report(news.value)


def usable_workers(work: Sequence[Work]) -> int:
    """Returns the number of workers that work can use at most, without regard to its needs."""
    return sum(one.width if isinstance(one, JobSeries) else 1 for one in work)
