"""A system from its settings to its rows and its page; stopped or killed, it resumes with the pieces that are left."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rolewise.begun_folder import holds_other_files
from rolewise.csv_cells import as_csv
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.experiment.folder_damage import (
    PIECE_REMEDY,
    PIECES,
    SYSTEM,
    SYSTEM_REMEDY,
    read_piece,
    read_system_record,
)
from rolewise.experiment.run_folder import RunFolder, held, move_aside
from rolewise.experiment.run_state import StateRecord, recorded_state
from rolewise.files import AnyPath, as_path, write_json, write_text
from rolewise.jobs.job import Job, JobContext, JobRaised
from rolewise.jobs.job_news import JobNews
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.workers import started_workers
from rolewise.machine_record import machine
from rolewise.processes import asked_to_stop
from rolewise.seals import write_sealed
from rolewise.statistics.questions import Answer
from rolewise.systems.known_systems import SYSTEMS, system_settings
from rolewise.systems.system import Piece, Row, System
from rolewise.systems.system_result import SystemResult, answers_of, verdict_of

#: The version of a system's record and results, and that of a piece, which holds its digest since the second one.
VERSION, PIECE_VERSION = 1, 2


def run_system(
    name: str,
    out: AnyPath,
    overrides: Sequence[str] = (),
    *,
    fresh: bool = False,
    workers: int | None = None,
    on_plan: Callable[[int, int], None] = lambda left, pieces: None,
    on_news: Callable[[JobNews], None] = lambda news: None,
) -> SystemResult:
    """Runs a system, or resumes it, and writes its table, its results and its page.

    Args:
        name: the system's name (`rolewise.systems.SYSTEMS`).
        out: its folder.
        overrides: settings such as ``seeds=[0,1]``.
        fresh: start again; the present content is moved aside.
        workers: processes that pieces are done in; None for this machine's cores.
        on_plan: called with the numbers of pieces that are left and of all.
        on_news: called with every change of a piece's state.

    Raises:
        InputError: the system is unknown, a setting is wrong, or the folder holds another run.
        Interrupted: it was stopped; the pieces that are done are kept.
        RunError: a piece failed; the others are kept.
    """
    system = SYSTEMS[name]
    settings = system_settings(system, overrides)
    root = as_path(out, "out")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise InputError(f"workers must be a whole number from 1 on, got {workers!r}")
    if fresh and root.exists():
        move_aside(root)
    record = {"version": VERSION, "system": name, "settings": settings.model_dump(mode="json")}
    _open(root, record)
    pieces = list(system.pieces(settings))
    with (
        held(RunFolder(root)),
        recorded_state(root, "system") as state,
        asked_to_stop(lambda: "the pieces under way are broken off") as asked,
    ):
        left = [piece for piece in pieces if not _path(root, piece).exists()]
        on_plan(len(left), len(pieces))
        if left:
            _do(root, record, left, workers or _cores(), asked.is_set, state, on_news)
        rows = [row for piece in pieces for row in _rows(root, piece)]
        answers = answers_of(system, rows)
        _write(root, record, system, rows, answers)
        from rolewise.systems.system_page import system_page

        result = SystemResult(root, system, settings, rows, answers)
        write_text(root / "report.html", system_page(result))
    return result


def do_piece(payload: tuple[str, Mapping[str, Any], Piece, str], context: JobContext) -> None:
    """Does a piece of work and writes its rows; it runs in a worker.

    Args:
        payload: the system's name, its settings as plain values, the piece, and the folder.
        context: the surroundings.
    """
    name, plain, piece, root = payload
    system = SYSTEMS[name]
    rows = system.train(piece, system.settings(**plain), context)
    whole = [{"seed": piece.seed, **piece.levels, **row} for row in rows]
    write_sealed(_path(Path(root), piece), {"version": PIECE_VERSION, "rows": whole})


def _open(root: Path, record: Mapping[str, Any]) -> None:
    """Makes the folder, or checks that it holds the same system with the same settings."""
    path = root / SYSTEM
    if not path.exists():
        if (root / PIECES).is_dir():
            raise InputError(f"{path} is missing; {SYSTEM_REMEDY}")
        if holds_other_files(root):
            raise InputError(f"--out {root} must be a new folder or one of this system; choose another one")
        root.mkdir(parents=True, exist_ok=True)
        write_json(path, record)
        return
    found = read_system_record(path)
    if found == record:
        return
    theirs, wanted = (found.get(key) if isinstance(found, dict) else None for key in ("settings", "system"))
    if wanted != record["system"] or not isinstance(theirs, dict):
        raise InputError(f"--out {root} holds another run ({wanted}); choose another folder, or start again by --fresh")
    other = [key for key in record["settings"] if theirs.get(key) != record["settings"][key]]
    differs = ", ".join(f"{key} is {theirs.get(key)} there and {record['settings'][key]} here" for key in other)
    raise InputError(f"--out {root} was begun with other settings: {differs}; choose another folder, or --fresh")


def _do(
    root: Path,
    record: Mapping[str, Any],
    left: Sequence[Piece],
    workers: int,
    asked: Callable[[], bool],
    state: StateRecord,
    on_news: Callable[[JobNews], None],
) -> None:
    failed: list[tuple[str, Any]] = []

    def on(news: JobNews) -> None:
        if news.kind in ("start", "moves", "done", "failed"):
            state.update(news.work.key, news.value if news.kind == "moves" else news.kind)
        if news.kind == "failed":
            failed.append((news.work.key, news.value))
        on_news(news)

    jobs = [Job(piece.name, do_piece, (record["system"], record["settings"], piece, str(root))) for piece in left]
    state.plan(dict.fromkeys((job.key for job in jobs), 0.0), 0.0)
    with started_workers(min(workers, len(left)), asked, modules=[__name__]) as started:
        finished = run_jobs(jobs, started, should_stop=asked, on_news=on)
    if failed:
        key, end = failed[0]
        if isinstance(end, JobRaised) and len(failed) == 1 and isinstance(end.error, (InputError, RunError)):
            end.raise_here()
        why = f"{type(end.error).__name__}: {end.error}" if isinstance(end, JobRaised) else end.reason
        raise RunError(f"{len(failed)} of {len(left)} pieces failed, the first ({key}): {why}; the others are kept")
    if not finished:
        raise Interrupted(f"stopped; run the same command again to resume in {root}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _path(root: Path, piece: Piece) -> Path:
    return root / PIECES / f"{piece.name}.json"


def _rows(root: Path, piece: Piece) -> list[Row]:
    path = _path(root, piece)
    value = read_piece(path)
    rows = value.get("rows") if value.get("version") in (VERSION, PIECE_VERSION) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} is damaged; {PIECE_REMEDY}")
    return rows


def _write(
    root: Path, record: Mapping[str, Any], system: System, rows: Sequence[Row], answers: Sequence[Answer]
) -> None:
    columns = ["seed", *system.axes, *(info.key for info in system.metrics)]
    write_text(root / "results.csv", as_csv(rows, columns))
    claims = [
        {"claim": claim.question, "verdict": verdict_of(answer), "sentence": answer.sentence}
        for claim, answer in zip(system.claims, answers, strict=True)
    ]
    write_json(root / "environment.json", machine())
    write_json(
        root / "results.json",
        {
            **record,
            "title": system.title,
            "origin": system.first_line,
            "axes": list(system.axes),
            "metrics": [info.as_json() for info in system.metrics],
            "rows": list(rows),
            "claims": claims,
        },
    )
