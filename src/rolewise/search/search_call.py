"""One call for a whole search: in this process, over processes or a Ray cluster; it resumes where it stopped."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path
from rolewise.jobs.job import JobSeries
from rolewise.jobs.job_news import JobNews, raise_or_report
from rolewise.jobs.ray_cluster import RayCluster
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.store import check_reach, store_at
from rolewise.jobs.workers import started_workers
from rolewise.processes import asked_to_stop
from rolewise.search.budget import SearchCost
from rolewise.search.lineage import SearchResult
from rolewise.search.member_protocol import MakeMember
from rolewise.search.search_folder import SearchFolder
from rolewise.search.search_record import IntervalRecord
from rolewise.search.search_run import SearchRun
from rolewise.search.search_series import search_steps
from rolewise.search.space import Genome, Space


@dataclass(frozen=True)
class Progress:
    """The progress of a search.

    Args:
        interval: intervals that are over.
        intervals: all of them.
        best: highest score in the population.
        mean: mean score of the members that have one.
        images: images trained on so far, over all members; 0 where no cost was given.
        seconds: time spent, earlier runs of a resumed search included.
        remaining: estimated seconds that remain, from the intervals of this run.
    """

    interval: int
    intervals: int
    best: float
    mean: float
    images: int
    seconds: float
    remaining: float


def search(
    make_member: MakeMember,
    space: Space,
    *,
    members: int,
    intervals: int,
    seed: int,
    folder: AnyPath,
    workers: int = 1,
    threads: int = 1,
    quantile: float = 0.25,
    initial: Sequence[Genome] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    cost: SearchCost | None = None,
    seconds_between_checkpoints: float = 15.0,
    cluster: RayCluster | None = None,
    states: AnyPath | None = None,
) -> SearchResult:
    """Searches, or resumes the search that ``folder`` holds, or returns its result when it is over.

    After each of ``intervals`` equal parts of the training, all members are scored and `rolewise.search.step` decides
    who copies whom (not after the last). The lineage is a function of the other arguments: neither ``workers`` nor an
    interruption at any moment changes a byte of it.

    Args:
        make_member: makes a member; picklable where ``workers`` > 1.
        space: the space that is searched.
        members: P, at least 1.
        intervals: at least 1.
        seed: of the initial genomes, the members' own seeds and the decisions.
        folder: the folder of record.jsonl, timing.jsonl, state/ and, at the end, lineage.json.
        workers: processes; 1 trains in this one.
        threads: torch's threads in each, this process included.
        quantile: share of the population replaced after each interval, in [0, 0.5]; with 0 nobody copies, and the
            search is one among constant genomes.
        initial: the members' first genomes; drawn from the space where None.
        on_progress: called after each interval; what it raises ends the search, which may be resumed.
        should_stop: called after each member's part of an interval, and between the steps of members that can pause
            there (see `rolewise.search.PausableMember`); where it returns True, the search ends and can be resumed.
        cost: the cost of one member, for the count of images in `Progress`.
        seconds_between_checkpoints: time between two checkpoints within an interval, at least. A process that is killed
            loses what came after the last one; a search that is stopped loses nothing.
        cluster: a Ray cluster that the workers are of; then ``folder`` lies on a path that all its machines share,
            unless ``states`` is the address of a store.
        states: place of the members' states: a folder, or an address of a store that fsspec knows, such as
            ``s3://bucket/search``; state/ in ``folder`` by default. Nobody else writes there.

    Raises:
        InputError: an argument is wrong, or ``folder`` holds another search or damaged files.
        Interrupted: Ctrl-C was pressed, or ``should_stop`` returned True; the next call resumes.
        RunError: no member is left, or a worker does not start.
    """
    for name, value in (("workers", workers), ("threads", threads)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
    run = SearchRun(space, members=members, intervals=intervals, seed=seed, quantile=quantile, initial=initial)
    place = None if states is None else store_at(str(states))
    if place is not None:
        check_reach(place, workers, apart=cluster is not None)
    kept = SearchFolder(as_path(folder, "folder"), run, seconds_between_checkpoints, place)
    if run.over:
        return kept.finish()
    workers = min(workers, members)
    if workers > 1 or cluster is not None:
        _check_factory(make_member, workers)
    images = (cost.images if cost else 0) * members
    earlier, first, began = kept.seconds, run.done, time.monotonic()

    def on_interval(line: IntervalRecord) -> None:
        if on_progress is not None:
            scores = [score for score in line.scores if score is not None]
            spent = time.monotonic() - began
            remaining = spent / (run.done - first) * (intervals - run.done)
            mean = math.fsum(scores) / len(scores)
            done = images * run.done // intervals
            on_progress(Progress(run.done, intervals, max(scores), mean, done, earlier + spent, remaining))

    def on_news(news: JobNews) -> None:
        raise_or_report(news, lambda text: None)

    steps = search_steps("search", make_member, kept, threads=threads, on_interval=on_interval)
    modules = (__name__, type(make_member).__module__, getattr(make_member, "__module__", ""))
    placed = None if cluster is None else cluster.with_threads(threads)
    with asked_to_stop(lambda: "this step") as interrupted:

        def stopping() -> bool:
            return interrupted.is_set() or should_stop()

        with started_workers(workers, stopping, modules=modules, cluster=placed) as pool:
            run_jobs([JobSeries("search", lambda report: steps)], pool, should_stop=stopping, on_news=on_news)
    return kept.run.result()


def _check_factory(make_member: MakeMember, workers: int) -> None:
    try:
        pickle.dumps(make_member)
    except Exception as error:
        raise InputError(
            f"make_member must be picklable to reach {workers} worker processes, got {make_member!r}: {error}; "
            "define it at the top of a module, or use one worker"
        ) from error
