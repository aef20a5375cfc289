"""A search as a series of jobs: one for each member and interval, and between the intervals the decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rolewise.errors import Interrupted
from rolewise.jobs.job import EndedJob, Job, JobContext, JobDone, JobRaised, SeriesSteps, WorkerDied
from rolewise.search.lineage import SearchResult
from rolewise.search.member_protocol import MakeMember
from rolewise.search.resident_members import MemberPaused, MemberTask, Outcome, ResidentMembers
from rolewise.search.search_folder import SearchFolder
from rolewise.search.search_record import IntervalRecord


def train_member(task: MemberTask, context: JobContext) -> Outcome:
    """Carries out a member's task in whichever worker it comes to.

    Args:
        task: the work.
        context: brings the function that makes members, and the members that live in the worker.

    Raises:
        Interrupted: the member was stopped between two steps.
    """
    members = context.residents.setdefault("members", ResidentMembers(context.shared))
    outcome: Outcome | MemberPaused = members.carry_out(task, context.should_stop)
    if isinstance(outcome, MemberPaused):
        raise Interrupted(f"member {task.member} was stopped")
    return outcome


def search_steps(
    key: str,
    make_member: MakeMember,
    kept: SearchFolder,
    *,
    threads: int,
    on_interval: Callable[[IntervalRecord], None],
) -> SeriesSteps:
    """Returns the steps of a search, from where its folder's record ends; their result is the search's.

    A member stays with one worker, but an idle worker takes over a waiting member of another. A task that is lost with
    its worker is begun again from the member's stored state; a member whose task is lost three times is retired.

    Args:
        key: key of the series.
        make_member: makes a member.
        kept: the search and its folder.
        threads: threads that torch may use for a member.
        on_interval: called after each interval.

    Raises:
        Interrupted: the search was stopped; its folder holds everything.
        RunError: no member is left.
    """
    run = kept.run
    while not run.over:
        tasks, begun = kept.tasks(), False
        jobs: Sequence[Job] = [
            Job(
                f"{key}/{run.done + 1}/{task.member}",
                train_member,
                task,
                threads=threads,
                series=key,
                home=task.member,
                shared=make_member,
            )
            for task in tasks
        ]
        try:
            while len(kept.outcomes) < run.members:
                ended = yield jobs
                jobs, begun = (), True
                outcome = _outcome(ended)
                if outcome is not None:
                    kept.keep(outcome)
        except Interrupted as error:
            if not begun and not kept.outcomes:
                raise Interrupted(_stopped(f"after interval {run.done}", kept)) from error
            kept.write_outcomes()
            raise Interrupted(_stopped(f"in interval {run.done + 1}", kept)) from error
        on_interval(kept.commit())
    result: SearchResult = kept.finish()
    return result


def _outcome(ended: EndedJob) -> Outcome | None:
    """Returns the outcome of a member's job; None where it was stopped."""
    end, task = ended.end, ended.job.payload
    if isinstance(end, JobRaised):
        end.raise_here()
    if isinstance(end, JobDone):
        outcome: Outcome = replace(end.result, losses=ended.losses) if ended.losses else end.result
        return outcome
    return Outcome(task.member, None, end.reason, 0.0, ended.losses) if isinstance(end, WorkerDied) else None


def _stopped(place: str, kept: SearchFolder) -> str:
    return f"stopped {place} of {kept.run.intervals}; run the same with {kept.path} again to resume"
