"""Workers on a Ray cluster: one actor each, on as many machines as the cluster has."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rolewise.errors import Interrupted, RunError
from rolewise.freed_memory import keep_freed_memory
from rolewise.jobs.job import MOST_LOSSES, Job, JobEnd, JobRaised, WorkerDied
from rolewise.jobs.job_server import GivenJob, JobServer
from rolewise.jobs.ray_cluster import RayCluster, actor_environment, check_room, connected_ray, free_room
from rolewise.jobs.worker_process import loaded_first
from rolewise.machine_record import WorkersMachines, machine

#: The longest wait for an actor, in seconds: on a busy machine processes of Ray take a minute to start.
_START = 300.0


@dataclass
class _Actor:
    """One actor, its job and what is awaited from it."""

    handle: Any
    ready: Any  # None once it has started
    begun: float
    deaths: int = 0  # while it started
    job: Job | None = None
    end: Any = None
    words: Any = None
    known: dict[str, bool] = field(default_factory=dict)


class _Served:
    """The process of an actor; one of its threads carries jobs out, another one answers meanwhile."""

    def __init__(self, gpus: float, modules: Sequence[str]) -> None:
        keep_freed_memory()
        for module in modules:
            with contextlib.suppress(ImportError):  # a job that needs it says so
                importlib.import_module(module)
        self._server, self._words, self._stopping = JobServer(), list[str](), False
        import torch

        if 0 < gpus < 1 and torch.cuda.is_available():  # Ray makes the GPU visible, and leaves its memory to all
            torch.cuda.set_per_process_memory_fraction(gpus)

    def ready(self) -> dict[str, Any]:
        return machine()

    def carry_out(self, given: GivenJob) -> tuple[list[str], JobEnd]:
        self._stopping = False
        end = self._server.carry_out(given, self._words.append, lambda: self._stopping)
        return self.listen(False), end

    def listen(self, stop: bool) -> list[str]:
        self._stopping = self._stopping or stop
        return [self._words.pop(0) for _ in range(len(self._words))]


class RayActors:
    """Carries out jobs in actors of a Ray cluster (see `rolewise.jobs.workers.Workers`).

    The folders that jobs name lie on a path that all machines share; where they name a store there need be none.

    Args:
        count: number of workers.
        cluster: the cluster.
        should_stop: whether to break off while the workers start.
        modules: names of modules that actors load before they get jobs.

    Raises:
        InputError: Ray is not installed, or the cluster has no room for so many workers.
        Interrupted: ``should_stop`` returned True before any worker was ready.
        RunError: the cluster cannot be reached, or no worker starts.
    """

    def __init__(
        self,
        count: int,
        cluster: RayCluster,
        should_stop: Callable[[], bool] = lambda: False,
        modules: Sequence[str] = (),
    ) -> None:
        cluster = cluster.with_threads(1)
        self._ray = connected_ray(cluster)
        self._own, self._stopping, self._heard = cluster.address is None, False, 0.0
        self._actors: list[_Actor] = []
        self._pickled: dict[str, bytes] = {}
        self._modules, self._machines = loaded_first(modules), WorkersMachines(cluster.gpus > 0)
        try:
            check_room(self._ray, count, cluster)
            self._gpus = cluster.gpus
            self._served = self._ray.remote(
                num_cpus=cluster.cpus,
                num_gpus=cluster.gpus,
                max_restarts=0,
                concurrency_groups={"control": 1},
                runtime_env=actor_environment(),
            )(_Served)
            self._actors = [self._start() for _ in range(count)]
            # One is enough: where a machine is lost meanwhile, or full of other work, those that start do all of it.
            while not self.idle:
                if should_stop():
                    raise Interrupted("stopped while workers were starting on the Ray cluster")
                self._await_start()
        except BaseException:
            self.close(at_once=True)
            raise

    @property
    def idle(self) -> list[int]:
        """See `Workers`."""
        return [place for place, actor in enumerate(self._actors) if actor.job is None and self._has_started(place)]

    @property
    def busy(self) -> bool:
        """See `Workers`; also where all actors have died and those in their place start."""
        return any(actor.job is not None for actor in self._actors) or not self.idle

    def submit(self, place: int, job: Job, losses: int, series: Collection[str]) -> None:
        """See `Workers`."""
        actor = self._actors[place]
        # Ray's own pickling, so that what a script defines reaches processes that never load the script.
        dumps = self._ray.cloudpickle.dumps
        given = GivenJob.packed(job, series, self._pickled, known=actor.known, dumps=dumps)
        actor.job, actor.end = job, actor.handle.carry_out.remote(given)

    def wait(self, seconds: float, report: Callable[[Job, str], None]) -> list[tuple[Job, JobEnd]]:
        """See `Workers`."""
        ray, ended = self._ray, []
        busy = [actor for actor in self._actors if actor.job is not None]
        if not busy:
            self._await_start()
            return []
        ready, _ = ray.wait([actor.end for actor in busy], timeout=seconds)
        ready, _ = ray.wait([actor.end for actor in busy], num_returns=len(busy), timeout=0) if ready else ([], None)
        self._listen([actor for actor in busy if actor.end not in ready], report)
        for place, actor in enumerate(self._actors):
            job = actor.job
            if job is None or actor.end not in ready:
                continue
            actor.job = None
            try:
                words, end = ray.get(actor.end)
                for text in words:
                    report(job, text)
            except ray.exceptions.RayTaskError as error:
                end = JobRaised(error.as_instanceof_cause(), str(error))
            except ray.exceptions.RayError as error:  # also a machine short of memory, or gone with the job's result
                end = WorkerDied(f"its Ray actor ended: {' '.join(str(error).split())[:200]}")
                ray.kill(actor.handle)  # it may be out of reach alone
                # The new one takes jobs once it has started, and where that takes a new machine the others go on.
                self._actors[place] = self._start()
            ended.append((job, end))
        return ended

    def forget_series(self) -> None:
        """See `Workers`."""
        self._pickled, self._stopping = {}, False
        for actor in self._actors:
            actor.known = {}

    def stop(self) -> None:
        """See `Workers`."""
        if not self._stopping:
            self._stopping = True
            self._heard = 0.0  # the next wait tells them

    def close(self, *, at_once: bool = False) -> None:
        """Ends the actors, and a cluster that was started here."""
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors = []
        if self._own:
            self._ray.shutdown()

    def _start(self) -> _Actor:
        handle = self._served.remote(self._gpus, self._modules)
        return _Actor(handle, handle.ready.remote(), time.monotonic())

    def _has_started(self, place: int) -> bool:
        """Returns whether an actor can take jobs. One that dies before is started again, as lost work is."""
        actor = self._actors[place]
        if actor.ready is None or not self._ray.wait([actor.ready], timeout=0)[0]:
            return actor.ready is None
        try:
            self._machines.add(self._ray.get(actor.ready))
            actor.ready = None
        except self._ray.exceptions.RayError as error:
            if actor.deaths + 1 == MOST_LOSSES:
                text = " ".join(str(error).split())[:200]
                raise RunError(
                    f"a worker did not start on the Ray cluster in {MOST_LOSSES} attempts: {text}"
                ) from error
            self._actors[place] = replace(self._start(), deaths=actor.deaths + 1)
        return actor.ready is None

    def _await_start(self) -> None:
        """Waits for a moment where all depends on actors that start."""
        starting = [actor for actor in self._actors if actor.ready is not None]
        if starting and time.monotonic() - min(actor.begun for actor in starting) > _START:
            free = free_room(self._ray)
            raise RunError(f"no worker started on the Ray cluster in {_START:.0f} s; free of other work are {free}")
        self._ray.wait([actor.ready for actor in starting], timeout=0.2)

    def _listen(self, actors: list[_Actor], report: Callable[[Job, str], None]) -> None:
        """Fetches the lines of progress, at most twice a second, and passes on the wish to stop."""
        if time.monotonic() - self._heard < 0.5:
            return
        self._heard = time.monotonic()
        for actor in actors:
            if actor.words is not None:
                ready, _ = self._ray.wait([actor.words], timeout=0)
                if not ready:
                    continue
                try:
                    for text in self._ray.get(actor.words):
                        if actor.job is not None:
                            report(actor.job, text)
                except self._ray.exceptions.RayError:
                    pass  # its death shows at its job
            actor.words = actor.handle.listen.options(concurrency_group="control").remote(self._stopping)
