"""A search's folder: what is written after each interval, and what a resumed search takes up."""

from __future__ import annotations

import functools
import math
import time
import warnings
from pathlib import Path
from typing import Any

from rolewise.errors import InputError, RunError
from rolewise.jobs.store import StatePath
from rolewise.machine_memory import without_collection
from rolewise.search import member_states, search_record
from rolewise.search.lineage import SearchResult
from rolewise.search.member_states import interval_folder, state_in, state_path
from rolewise.search.resident_members import MemberTask, Outcome
from rolewise.search.search_record import IntervalRecord
from rolewise.search.search_run import SearchRun
from rolewise.search.unfinished_interval import read_outcomes, write_outcomes

_SYNC_SECONDS = 1.0  # short intervals must not wait for the disk: a power cut may cost them this much, a kill nothing


class SearchFolder:
    """A search on disk: record.jsonl, timing.jsonl, state/ and, at the end, lineage.json.

    An interval is over when its line stands in record.jsonl; by then the states after it are in state/. The states of
    the interval before, and of the last one that was synced, stay until then, so that one damaged file loses no search.
    An interval that was stopped leaves the outcomes that it has, and members' states between two steps.

    Args:
        path: the folder; made where it is missing.
        run: the search, at its start; it is brought to where the folder's record ends.
        checkpoint_seconds: time between two writings of an interval that is under way, at least.
        states: the place of the members' states; state/ by default.

    Raises:
        InputError: the folder holds another search, or damaged files that cannot be done without.
    """

    def __init__(
        self, path: Path, run: SearchRun, checkpoint_seconds: float = 15.0, states: StatePath | None = None
    ) -> None:
        self.path, self.run, self._between = path, run, checkpoint_seconds
        own = path / "state"
        self.states: StatePath = own if states is None else states
        self._synced_at = -math.inf
        #: Files of all members' states after an interval; those of the last one are the next one's sources.
        self._saved = functools.lru_cache(maxsize=2)(self._state_files)
        settings = search_record.settle_settings(own / "settings.json", run.settings())
        self._version: int = settings["version"]
        search_record.claim_states(self.states, settings)
        lines = self._lines()
        done = self._newest(lines)
        if done < len(lines):
            run.replay(lines[:done])
        self._synced = done
        member_states.discard_states(self.states, {done + 1, done, done - 1})
        self._timing = self._times()[:done]
        record, timing = self.path / "record.jsonl", self.path / "timing.jsonl"
        if not search_record.holds_lines(record, done):
            search_record.rewrite_lines(record, [line.to_json(self._version) for line in run.lines])
        if not search_record.holds_lines(timing, len(self._timing)):
            search_record.rewrite_lines(timing, self._timing)
        self._unfinished = own / "unfinished.json"
        #: Of the interval under way, by member.
        self.outcomes, self._spent = read_outcomes(
            self._unfinished, done + 1, run.members, last=done + 1 == run.intervals, states=self.states
        )
        self._sync = False
        self._began = self._kept_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent on the intervals that are over."""
        return math.fsum(entry["seconds"] for entry in self._timing)

    @without_collection()
    def tasks(self) -> list[MemberTask]:
        """Returns the work that the next interval still needs."""
        run, interval = self.run, self.run.done + 1
        donors = run.donors
        # A member whose state was damaged is trained again, and with it those that are trained as one with it.
        missing = {member // run.stacked for member in range(run.members) if member not in self.outcomes}
        self.outcomes = {
            member: outcome for member, outcome in self.outcomes.items() if member // run.stacked not in missing
        }
        self._began = time.monotonic()
        # The states of members whose outcomes an earlier process left may not have been synced.
        self._sync = not self.outcomes and self._began - self._synced_at >= _SYNC_SECONDS
        before, after, folder = self._saved(interval - 1), self._saved(interval), interval_folder(self.states, interval)
        return [
            MemberTask(
                member=member,
                genome=run.genomes[member],
                seed=run.seeds[member],
                start=(interval - 1) / run.intervals,
                stop=interval / run.intervals,
                source=before[donors.get(member, member)] if interval > 1 else None,
                replace=member in donors,
                save=after[member] if interval < run.intervals else None,
                sync=self._sync,
                pauses=folder,
                checkpoint_seconds=self._between,
            )
            for member in range(run.members)
            if member not in self.outcomes
        ]

    def keep(self, outcome: Outcome) -> None:
        """Takes an outcome of the interval under way, and writes all that it has where that is due."""
        self.outcomes[outcome.member] = outcome
        if time.monotonic() - self._kept_at > self._between:
            self.write_outcomes()

    def write_outcomes(self) -> None:
        """Writes the outcomes of the interval under way: a search that is resumed does not repeat them."""
        write_outcomes(self._unfinished, self.run.done + 1, self.outcomes.values(), self._seconds_of_interval())
        self._kept_at = time.monotonic()

    @without_collection()
    def commit(self) -> IntervalRecord:
        """Records the outcomes of all members and writes the interval's line.

        Raises:
            RunError: no member is left.
        """
        last, outcomes, sync, seconds = self.run.done, self.outcomes, self._sync, self._seconds_of_interval()
        try:
            line = self.run.record_interval(outcomes)
        except RunError:
            # The cause may be removed, and the interval be done again: nobody's loss is kept.
            self._unfinished.unlink(missing_ok=True)
            raise
        search_record.append_line(self.path / "record.jsonl", line.to_json(self._version), sync=sync)
        if sync:
            self._synced_at, self._synced = time.monotonic(), line.interval
        member_states.discard_states(self.states, {line.interval, last, self._synced})
        members = [round(outcomes[member].seconds, 4) for member in sorted(outcomes)]
        timing: dict[str, Any] = {"interval": line.interval, "seconds": round(seconds, 4), "members": members}
        if losses := {str(member): outcome.losses for member, outcome in outcomes.items() if outcome.losses}:
            timing["losses"] = losses  # not in the record, which they do not change
        search_record.append_line(self.path / "timing.jsonl", timing)
        self._unfinished.unlink(missing_ok=True)
        self.outcomes, self._spent = {}, 0.0
        return line

    def finish(self) -> SearchResult:
        """Writes lineage.json, removes the states and returns the result."""
        result = self.run.result()
        result.save(self.path / "lineage.json")
        member_states.discard_states(self.states, set())
        return result

    def _state_files(self, interval: int) -> list[StatePath]:
        folder = interval_folder(self.states, interval)
        return [state_in(folder, member) for member in range(self.run.members)]

    def _seconds_of_interval(self) -> float:
        return self._spent + time.monotonic() - self._began

    @without_collection()
    def _lines(self) -> list[IntervalRecord]:
        path, run = self.path / "record.jsonl", self.run
        try:
            values = search_record.read_lines(path)
            lines = search_record.parse_lines(values, run.space, run.initial, run.intervals, self._version)
            run.replay(lines)
        except (InputError, RunError) as error:
            raise InputError(f"record {path}: {error}; it is damaged: {self._remedy}") from error
        return lines

    def _newest(self, lines: list[IntervalRecord]) -> int:
        """Returns the newest recorded interval to resume from: all states that it needs are whole."""
        if len(lines) in (0, self.run.intervals):
            return len(lines)
        faults = []
        for interval in reversed(member_states.stored_intervals(self.states)):
            if not 0 < interval <= len(lines):
                continue
            try:
                for member, score in enumerate(lines[interval - 1].scores):
                    if score is not None:
                        member_states.check_state(state_path(self.states, interval, member))
            except InputError as error:
                faults.append(error)
                continue
            if faults:
                warnings.warn(f"{faults[0]}; going on from interval {interval} instead", stacklevel=4)
            return interval
        fault = str(faults[0]) if faults else f"{self.states} holds no members' states"
        raise InputError(f"{fault}; {self._remedy}")

    def _times(self) -> list[dict[str, Any]]:
        try:
            values = search_record.read_lines(self.path / "timing.jsonl")
        except InputError:  # times decide nothing
            return []
        return [value for value in values if isinstance(value, dict) and isinstance(value.get("seconds"), (int, float))]

    @property
    def _remedy(self) -> str:
        return f"remove {self.path} to begin the search anew"
