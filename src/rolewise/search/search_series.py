"""A search as a series of jobs: one for each member, or stack of members, and interval; between them the decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rolewise.errors import Interrupted
from rolewise.jobs.job import EndedJob, Job, JobContext, JobDone, JobRaised, SeriesSteps, WorkerDied
from rolewise.machine_memory import without_collection
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


def train_stack(tasks: tuple[MemberTask, ...], context: JobContext) -> list[Outcome]:
    """Carries out the tasks of members that are trained as one.

    Args:
        tasks: the work of each.
        context: as of `train_member`.

    Raises:
        Interrupted: the members were stopped between two steps.
    """
    members = context.residents.setdefault("members", ResidentMembers(context.shared))
    outcomes: list[Outcome] | MemberPaused = members.carry_out_stack(tasks, context.should_stop)
    if isinstance(outcomes, MemberPaused):
        raise Interrupted(f"the members from {tasks[0].member} to {tasks[-1].member} were stopped")
    return outcomes


def search_steps(
    key: str,
    make_member: MakeMember,
    kept: SearchFolder,
    *,
    threads: int,
    on_interval: Callable[[IntervalRecord], None],
) -> SeriesSteps:
    """Returns the steps of a search, from where its folder's record ends; their result is the search's.

    Members that are trained as one are one job. A member stays with one worker, but an idle worker takes over a waiting
    member of another. A task that is lost with its worker is begun again from the member's stored state; a member whose
    task is lost three times is retired.

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
        jobs, begun = _jobs(key, make_member, kept, threads), False
        try:
            while len(kept.outcomes) < run.members:
                ended = yield jobs
                jobs, begun = (), True
                for outcome in _outcomes(ended):
                    kept.keep(outcome)
        except Interrupted as error:
            if not begun and not kept.outcomes:
                raise Interrupted(_stopped(f"after interval {run.done}", kept)) from error
            kept.write_outcomes()
            raise Interrupted(_stopped(f"in interval {run.done + 1}", kept)) from error
        on_interval(kept.commit())
    result: SearchResult = kept.finish()
    return result


@without_collection()
def _jobs(key: str, make_member: MakeMember, kept: SearchFolder, threads: int) -> Sequence[Job]:
    """Returns the jobs that the next interval still needs: one for each member, or for each stack of members."""
    run = kept.run
    return [
        Job(
            f"{key}/{run.done + 1}/{stack[0].member}",
            train_member if run.stacked == 1 else train_stack,
            stack[0] if run.stacked == 1 else stack,
            threads=threads,
            series=key,
            home=stack[0].member,
            shared=make_member,
        )
        for stack in run.in_stacks(kept.tasks())
    ]


def _outcomes(ended: EndedJob) -> list[Outcome]:
    """Returns the outcomes of a job's members; none where it was stopped."""
    end, payload = ended.end, ended.job.payload
    if isinstance(end, JobRaised):
        end.raise_here()
    if isinstance(end, JobDone):
        found: list[Outcome] = end.result if isinstance(end.result, list) else [end.result]
        return [replace(outcome, losses=ended.losses) for outcome in found] if ended.losses else found
    if not isinstance(end, WorkerDied):
        return []
    tasks: Sequence[MemberTask] = payload if isinstance(payload, tuple) else (payload,)
    return [Outcome(task.member, None, end.reason, 0.0, ended.losses) for task in tasks]


def _stopped(place: str, kept: SearchFolder) -> str:
    return f"stopped {place} of {kept.run.intervals}; run the same with {kept.path} again to resume"
