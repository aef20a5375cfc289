"""The scheduler of all work: order, series side by side, errors, stops; and the same results over any workers."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_toys import SPACE, FailingFactory, climber

from rolewise.errors import InputError, Interrupted
from rolewise.jobs.job import EndedJob, Job, JobContext, JobDone, JobRaised, JobSeries, SeriesSteps, only_job
from rolewise.jobs.job_news import JobNews, raise_or_report, usable_workers
from rolewise.jobs.job_queue import JobQueue
from rolewise.jobs.job_server import GivenJob, JobServer
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.this_process import ThisProcess
from rolewise.jobs.workers import Workers, started_workers
from rolewise.search import search
from rolewise.search.search_folder import SearchFolder
from rolewise.search.search_run import SearchRun
from rolewise.search.search_series import search_steps


def note(payload: Any, context: JobContext) -> Any:
    """A job that returns its payload, or raises it."""
    context.report(f"at {payload}")
    if isinstance(payload, BaseException):
        raise payload
    return payload


def add(number: int, context: JobContext) -> tuple[int, int]:
    """A job that adds to a value which lives on in its worker."""
    context.residents["sum"] = context.residents.get("sum", context.shared) + number
    return context.residents["sum"], os.getpid()


@pytest.fixture(scope="module", params=[1, 2], ids=["this process", "two processes"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with started_workers(request.param, lambda: False, modules=(__name__,)) as started:
        yield started


def news_of(work: Sequence[Any], workers: Workers, **named: Any) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    run_jobs(
        work,
        workers,
        **{"should_stop": lambda: False, "on_news": lambda one: seen.append((one.work.key, one.kind)), **named},
    )
    return seen


def test_work_begins_by_priority_after_its_needs_and_never_after_a_failure() -> None:
    work = [
        Job("late", note, 1, priority=(2,)),
        Job("needy", note, 1, needs=("late", "elsewhere"), priority=(0,)),
        Job("first", note, 1, priority=(1,)),
        Job("bad", note, KeyError("a"), priority=(3,)),
        Job("never", note, 1, needs=("bad",)),
    ]
    seen = news_of(work, ThisProcess(lambda: False))
    assert [name for name, kind in seen if kind == "start"] == ["first", "late", "needy", "bad"]
    assert ("bad", "failed") in seen and [name for name, kind in seen if kind == "done"] == ["first", "late", "needy"]
    assert usable_workers([*work, JobSeries("s", lambda report: only_job(work[0]), width=4)]) == 9


def rounds(key: str, start: int, sums: list[tuple[int, int]]) -> SeriesSteps:
    """Yields three rounds of two jobs each, whose values live on, and returns the sums of the last."""
    for number in range(3):
        jobs: Sequence[Job] = [Job(f"{key} {number} {at}", add, 1, series=key, shared=start) for at in range(2)]
        sums.clear()
        for _ in range(2):
            ended: EndedJob = yield jobs
            jobs = ()
            assert isinstance(ended.end, JobDone) and ended.losses == 0
            sums.append(ended.end.result)
    return sorted(sums)


def test_the_queue_gives_what_a_search_through_all_of_it_would() -> None:
    """Against a plain list: the first that lives there or nowhere, else another's last; lost work first."""
    draws = random.Random(3)
    queue, plain, homes = JobQueue(), list[Job](), dict[int, int]()
    for number in range(600):
        if draws.random() < 0.6 or not plain:
            home = draws.choice([None, *range(20)])
            home = None if any(job.home == home for job in plain) else home  # of one value there is one job at a time
            job = Job(f"{number}", note, 1, series=draws.choice("ab"), home=home)
            job = replace(job, series="a") if home is not None else job
            if draws.random() < 0.2:
                queue.put_first(job)
                plain.insert(0, job)
            else:
                queue.extend([job])
                plain.append(job)
        else:
            place = draws.randrange(5)
            at = [place if job.home is None else homes.get(job.home, place) for job in plain]
            wanted = plain.pop(at.index(place) if place in at else -1)
            assert queue.pop(place) is wanted
            queue.begun(wanted, place)
            if wanted.home is not None:
                homes[wanted.home] = place
        assert bool(queue) == bool(plain)
    queue.drop_series("a")
    plain = [job for job in plain if job.series != "a"]
    assert [queue.pop(0) for _ in plain] == plain and not queue


def test_series_side_by_side_share_workers_and_nothing_else(workers: Workers) -> None:
    found: dict[str, list[tuple[int, int]]] = {}

    def on_news(one: JobNews) -> None:
        if one.kind == "done":
            found[one.work.key] = one.value.result

    work = [
        JobSeries(key, lambda report, key=key, start=start: rounds(key, start, []), 2)
        for key, start in (("a", 0), ("b", 100))
    ]  # type: ignore[misc]
    assert run_jobs(work, workers, should_stop=lambda: False, on_news=on_news)
    by_worker = {key: {pid for _, pid in sums} for key, sums in found.items()}
    for key, start in (("a", 0), ("b", 100)):
        # What lives on is of the series alone: whoever did all six jobs counted to six, and otherwise to less.
        last = max(value for value, _ in found[key]) - start
        assert last == 6 if len(by_worker[key]) == 1 and workers.idle == [0] else 1 <= last <= 6
    # The next series finds nothing of the last.
    assert news_of([JobSeries("a", lambda report: rounds("a", 0, []))], workers)[-1] == ("a", "done")


def test_two_searches_side_by_side_are_the_two_alone(tmp_path: Path, workers: Workers) -> None:
    work = []
    for name, seed in (("a", 7), ("b", 8)):
        search(climber, SPACE, members=4, intervals=3, seed=seed, folder=tmp_path / f"{name} alone")
        run = SearchRun(SPACE, members=4, intervals=3, seed=seed, quantile=0.25)
        kept = SearchFolder(tmp_path / name, run)
        steps = search_steps(name, climber, kept, threads=1, on_interval=lambda line: None)
        work.append(JobSeries(name, lambda report, steps=steps: steps, 4))  # type: ignore[misc]
    assert [kind for _, kind in news_of(work, workers)].count("done") == 2
    for name in ("a", "b"):
        for file in ("lineage.json", "record.jsonl"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / f"{name} alone" / file).read_bytes()


def test_an_error_in_one_search_lets_the_other_keep_what_it_has(tmp_path: Path, workers: Workers) -> None:
    make = {"a": climber, "b": FailingFactory((1,), "input", at=0.0)}
    work = []
    for name in make:
        kept = SearchFolder(tmp_path / name, SearchRun(SPACE, members=2, intervals=9, seed=7, quantile=0.25))
        steps = search_steps(name, make[name], kept, threads=1, on_interval=lambda line: None)
        work.append(JobSeries(name, lambda report, steps=steps: steps, 2))  # type: ignore[misc]
    work[0], work[1] = work[1], work[0]
    with pytest.raises(InputError, match="rate must be smaller"):
        run_jobs(work, workers, should_stop=lambda: False, on_news=lambda news: raise_or_report(news, print))
    assert not workers.busy, "nothing is under way any more"
    assert search(climber, SPACE, members=2, intervals=9, seed=7, folder=tmp_path / "a").history


def test_a_listener_that_fails_is_no_failure_of_the_job() -> None:
    seen: list[str] = []

    def on_news(one: JobNews) -> None:
        seen.append(one.kind)
        if one.kind == "moves":
            raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        run_jobs([Job("a", note, 1)], ThisProcess(lambda: False), should_stop=lambda: False, on_news=on_news)
    assert seen == ["start", "moves"]


def stopping(payload: None, context: JobContext) -> None:
    """A job that stops of itself."""
    raise Interrupted("here")


def test_work_that_stops_is_not_finished(workers: Workers) -> None:
    work = [Job("a", stopping, None), Job("b", note, 1, needs=("a",))]
    assert not run_jobs(work, workers, should_stop=lambda: False, on_news=lambda news: None)
    series = JobSeries("s", lambda report: only_job(Job("s/1", stopping, None, series="s")))
    with pytest.raises(Interrupted, match="s was stopped"):
        run_jobs([series], workers, should_stop=lambda: True, on_news=lambda news: raise_or_report(news, print))


def test_a_series_that_is_broken_off_is_closed() -> None:
    closed: list[bool] = []

    def steps() -> SeriesSteps:
        try:
            yield from only_job(Job("s/1", note, KeyboardInterrupt(), series="s"))
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_jobs(
            [JobSeries("s", lambda report: steps())],
            ThisProcess(lambda: False),
            should_stop=lambda: False,
            on_news=lambda news: None,
        )
    assert closed == [True]


def test_a_shared_value_is_sent_once_and_forgotten_with_its_series() -> None:
    server, pickled = JobServer(), dict[str, bytes]()

    def give(series: str, known: bool, under_way: set[str]) -> Any:
        given = GivenJob.packed(
            Job("k", add, 1, series=series, shared=10), under_way, pickled, known={series: True} if known else {}
        )
        assert (given.shared is None) == known and given.job.shared is None
        end = server.carry_out(given, lambda text: None, lambda: False)
        return end.result[0] if isinstance(end, JobDone) else end

    assert [give("a", False, {"a", "b"}), give("b", False, {"a", "b"}), give("a", True, {"a", "b"})] == [11, 11, 12]
    assert give("b", True, {"b"}) == 12 and set(server.shared) == set(server.residents) == set(pickled) == {"b"}
    assert isinstance(give("a", True, {"a"}), JobRaised), "it is gone, and nobody sent it again"


def test_a_series_may_share_a_value_after_a_job_that_shares_none(workers: Workers) -> None:
    def steps() -> SeriesSteps:
        yield from only_job(Job("s/first", note, "alone", series="s"))
        sums = []
        for number in (1, 2, 3, 4):
            # Each lives where the last one lived, and the first job's worker is among them.
            sums.append((yield from only_job(Job(f"s/{number}", add, number, series="s", home=0, shared=10)))[0])
        return sums

    ends: list[Any] = []
    news_of([JobSeries("s", lambda report: steps())], workers, on_news=lambda one: ends.append(one.value))
    assert isinstance(ends[-1], JobDone) and ends[-1].result == [11, 13, 16, 20]
