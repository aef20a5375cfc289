"""The local runner: trains a population in this process or over worker processes; the lineage is the same either way."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from rolewise.errors import InputError, Interrupted
from rolewise.files import read_json, write_json, write_text
from rolewise.search.crew import Crew, RemoteCrew, WorkerDied
from rolewise.search.lineage import SearchResult
from rolewise.search.member import MakeMember
from rolewise.search.population import Decision, step
from rolewise.search.space import Genome, Space
from rolewise.seeds import generator


@dataclass(frozen=True)
class Progress:
    """What a search tells after each interval.

    Args:
        interval: how many are done.
        intervals: of how many.
        best: the best score of this interval.
        seconds: since the search was started or gone on with.
        remaining: estimated seconds.
    """

    interval: int
    intervals: int
    best: float
    seconds: float
    remaining: float


@dataclass
class _State:
    """The search between two intervals."""

    done: int
    genomes: list[Genome]
    history: list[dict[str, Any]] = field(default_factory=list)
    #: Members whose process died: "interval/member" -> reason. They are retired there without being trained again.
    forced: dict[str, str] = field(default_factory=dict)


def search(
    make_member: MakeMember,
    space: Space,
    *,
    members: int,
    intervals: int,
    seed: int,
    folder: Path,
    workers: int = 1,
    threads: int = 1,
    quantile: float = 0.25,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    seconds_between_checkpoints: float = 15.0,
) -> SearchResult:
    """Runs a population based search, or goes on with one.

    All members train one interval; the population steps (see `rolewise.search.population.step`); and so on. After the
    last interval nobody is copied. The draws of each step are those of the stream (seed, "step", interval), so that the
    lineage depends neither on the number of workers nor on interruptions.

    Args:
        make_member: makes a member; it must be possible to send it to another process.
        space: how genomes begin and mutate.
        members: P, at least 2.
        intervals: how often scores are compared, at least 1.
        seed: of all draws.
        folder: gets ``record.jsonl``, ``timing.jsonl``, ``state/`` and at the end ``lineage.json``.
        workers: processes; 1 trains here.
        threads: torch threads of one member. Results may depend on it, so it does not depend on ``workers``.
        quantile: share of the population that is replaced at each step.
        on_progress: told after each interval.
        should_stop: asked after each interval.
        seconds_between_checkpoints: at least, so that short searches do not spend their time on writing.

    Returns:
        The result; `SearchResult.segments` is the schedule.

    Raises:
        Interrupted: ``should_stop`` said yes; the state is kept.
        RunError: every member was retired.
        InputError: an argument is wrong, or the folder's state is damaged.
    """
    for name, value, least in (("members", members, 2), ("intervals", intervals, 1), ("workers", workers, 1)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    if (folder / "lineage.json").is_file():
        return SearchResult.load(folder / "lineage.json")
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        fleet = _Fleet(make_member, space, members, seed, folder / "state", workers, threads)
        try:
            result = _run(fleet, space, intervals, seed, folder, quantile, on_progress, should_stop, seconds_between_checkpoints)
        except WorkerDied as death:
            fleet.state.forced[f"{fleet.interval}/{death.member}"] = str(death)
            fleet.remember_death()
            continue
        finally:
            fleet.close()
        result.save(folder / "lineage.json")
        shutil.rmtree(folder / "state", ignore_errors=True)
        return result


def _run(
    fleet: _Fleet,
    space: Space,
    intervals: int,
    seed: int,
    folder: Path,
    quantile: float,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    seconds_between_checkpoints: float,
) -> SearchResult:
    state = fleet.state
    record, timing = folder / "record.jsonl", folder / "timing.jsonl"
    write_text(record, "".join(_line(entry) for entry in state.history))
    begun, first = time.monotonic(), state.done
    written = begun
    scores: list[float] = []
    while state.done < intervals:
        began = time.monotonic()
        scores, retired = fleet.advance(state.done, intervals)
        last = state.done + 1 == intervals
        decision = Decision((), tuple(state.genomes))
        if not last or retired:
            stepped = step(
                state.genomes, scores, generator(seed, "step", state.done), space, quantile=quantile, retired=retired
            )
            decision = decision if last else stepped
        entry = {
            "fraction": (state.done + 1) / intervals,
            "scores": [None if score != score else score for score in scores],
            "genomes": state.genomes,
            "events": [vars(copy) for copy in decision.copies],
            "retired": {str(member): reason for member, reason in sorted(retired.items())},
        }
        state.history.append(entry)
        fleet.take(decision)
        state.done += 1
        with record.open("a", encoding="utf-8") as file:
            file.write(_line(entry))
        now = time.monotonic()
        with timing.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"interval": state.done, "seconds": round(now - began, 3)}) + "\n")
        stopping = should_stop() and not last
        if not last and (stopping or now - written > seconds_between_checkpoints):
            fleet.save()
            written = now
        each = (now - begun) / (state.done - first)
        best = max((score for score in scores if score == score), default=float("nan"))
        on_progress(Progress(state.done, intervals, best, now - begun, each * (intervals - state.done)))
        if stopping:
            raise Interrupted("the search was stopped; run it again to go on")
    return SearchResult(tuple(float("nan") if s is None else s for s in state.history[-1]["scores"]), tuple(state.history))


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True) + "\n"


class _Fleet:
    """The whole population over its crews, and its state on disk."""

    def __init__(
        self, make_member: MakeMember, space: Space, members: int, seed: int, folder: Path, workers: int, threads: int
    ) -> None:
        self.folder, self.interval = folder, 0
        saved = self._read()
        if saved is None:
            genomes = [space.first(generator(seed, "first", member)) for member in range(members)]
            self.state = _State(0, genomes)
        else:
            self.state = saved
            if len(saved.genomes) != members:
                raise InputError(f"{folder} must hold {members} members, got {len(saved.genomes)}; choose another folder")
        forced = self._read_deaths()
        self.state.forced |= forced
        count = min(workers, members)
        shares = [list(range(members))[number::count] for number in range(count)]
        kind = Crew if count == 1 else RemoteCrew
        self.crews = [kind(make_member, share, self.state.genomes, seed, threads) for share in shares]
        self._crew_of = {member: crew for crew in self.crews for member in crew.members}
        if saved is not None:
            self._restore()

    def advance(self, done: int, intervals: int) -> tuple[list[float], dict[int, str]]:
        """Trains every member for one interval; returns scores and who is retired, and why."""
        self.interval = done
        span = done / intervals, (done + 1) / intervals
        members = len(self.state.genomes)
        scores, retired = [float("nan")] * members, {}
        queues: list[list[int]] = []
        for crew in self.crews:
            queue = []
            for member in crew.members:
                reason = self.state.forced.get(f"{done}/{member}")
                if reason is None:
                    queue.append(member)
                else:
                    retired[member] = reason
            queues.append(queue)

        def note(member: int, outcome: tuple[float, str | None]) -> None:
            scores[member] = outcome[0]
            if outcome[1] is not None:
                retired[member] = outcome[1]

        remote = {}
        for crew, queue in zip(self.crews, queues, strict=True):
            if isinstance(crew, Crew):
                for member in queue:
                    note(member, crew.advance(member, *span))
            elif queue:
                crew.ask("advance", queue[0], *span)
                remote[crew.connection] = (crew, queue)
        while remote:
            for ready in wait(list(remote)):
                crew, queue = remote[ready]  # type: ignore[index]
                note(queue.pop(0), crew.answer())
                if queue:
                    crew.ask("advance", queue[0], *span)
                else:
                    del remote[ready]  # type: ignore[arg-type]
        return scores, retired

    def take(self, decision: Decision) -> None:
        """Copies states and hands out genomes as decided."""
        states = {copy.donor: self._call(copy.donor, "export", copy.donor) for copy in decision.copies}
        for copy in decision.copies:
            self._call(copy.target, "adopt", copy.target, states[copy.donor], decision.genomes[copy.target])
        self.state.genomes = [dict(genome) for genome in decision.genomes]

    def _call(self, member: int, command: str, *arguments: Any) -> Any:
        crew = self._crew_of[member]
        return getattr(crew, command)(*arguments) if isinstance(crew, Crew) else crew.call(command, *arguments)

    def save(self) -> None:
        """Writes the members' states, then the population that names them; what is older goes last."""
        names = [f"members-{self.state.done:05d}-{number}.pt" for number in range(len(self.crews))]
        for crew, name in zip(self.crews, names, strict=True):
            self._call(crew.members[0], "save", self.folder / name)
        content = {
            "done": self.state.done,
            "genomes": self.state.genomes,
            "history": self.state.history,
            "files": names,
        }
        write_json(self.folder / "population.json", content)
        for old in self.folder.glob("members-*.pt"):
            if old.name not in names:
                old.unlink(missing_ok=True)

    def _read(self) -> _State | None:
        path = self.folder / "population.json"
        if not path.is_file():
            return None
        content = read_json(path, "the search's state")
        try:
            self._files = [str(name) for name in content["files"]]
            return _State(int(content["done"]), list(content["genomes"]), list(content["history"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error!r}); delete {self.folder} to search anew") from error

    def _restore(self) -> None:
        states: dict[int, bytes] = {}
        for name in self._files:
            path = self.folder / name
            try:
                content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
                for member, state in content.items():
                    buffer = io.BytesIO()
                    torch.save(state, buffer)
                    states[int(member)] = buffer.getvalue()
            except Exception as error:
                # A damaged archive fails in whatever way the bytes happen to lead to.
                raise InputError(f"{path} is damaged ({error}); delete {self.folder} to search anew") from error
        for crew in self.crews:
            self._call(crew.members[0], "load", {member: states[member] for member in crew.members})
            for member in crew.members:
                self._call(member, "adopt", member, None, self.state.genomes[member])

    def remember_death(self) -> None:
        """Writes down whose process died, so that the search does not train that member there again."""
        write_json(self.folder / "deaths.json", self.state.forced)

    def _read_deaths(self) -> dict[str, str]:
        path = self.folder / "deaths.json"
        return dict(read_json(path, "the search's record of deaths")) if path.is_file() else {}

    def close(self) -> None:
        """Lets the members go."""
        for crew in self.crews:
            crew.close()
