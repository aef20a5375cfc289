"""Commands that train: run, study, search, train, distill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from rolewise.cli.options import (
    Address,
    ConfigFile,
    DryRun,
    Extend,
    Fresh,
    Runner,
    RunOption,
    Settings,
    States,
    WorkerCpus,
    WorkerGpus,
    app,
    cluster_of,
    console,
    load_experiment,
)
from rolewise.cli.stage_lines import show_part, show_stage
from rolewise.cli.stopping import HowFar, breakable, study_followed
from rolewise.errors import InputError, RunError


@app.command("run")
def run_command(
    config: ConfigFile,
    out: RunOption,
    settings: Settings = None,
    fresh: Fresh = False,
    extend: Extend = False,
    dry_run: DryRun = False,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="Run this arm alone, such as own+distill, with what it needs.")
    ] = None,
    stages: Annotated[
        list[str] | None, typer.Option("--stage", help="Run this stage alone, such as seed0/teacher-own.")
    ] = None,
    runner: Runner = "processes",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = 0.0,
    states: States = None,
) -> None:
    """Run a whole experiment, or resume it, and write its report.

    --arm and --stage, which may be repeated, run a part; the same command without them runs the rest.

    Example: rolewise run configs/digits.yaml --out runs/digits

    Example: rolewise run configs/digits.yaml --out runs/digits --set seeds=[0,1,2,3,4,5] --extend --dry-run
    """
    part = (tuple(arms or ()), tuple(stages or ()))
    cluster = cluster_of(runner, address, worker_cpus, worker_gpus)
    places = {"cluster": cluster, "states": states}
    experiment = _run(config, out, settings, fresh, None, extend=extend, dry=dry_run, part=part, places=places)
    if dry_run:
        return
    if any(part):
        show_part(experiment, out, *part)
        return
    from rolewise.report import summary

    console.print(summary(out))
    console.print(f"\nResults: {out / 'results.json'}\nReport:  {out / 'report.html'}", soft_wrap=True)


@app.command("study")
def study_command(
    config: Annotated[Path, typer.Argument(help="The study's YAML file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The study folder; created, or resumed.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change the study: --set seeds=[0,1]")] = None,
    fresh: Fresh = False,
    extend: Annotated[bool, typer.Option("--extend", help="Continue in the folder of another study.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed.")] = False,
    dry_run: DryRun = False,
    runner: Runner = "processes",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = 0.0,
    states: States = None,
) -> None:
    """Run a grid over settings of an experiment, or resume it; every distinct training runs once.

    Example: rolewise study configs/studies/temperature_digits.yaml --out runs/temperature
    """
    with breakable() as far:
        how = {"fresh": fresh, "extend": extend, "retry": retry}
        cluster = cluster_of(runner, address, worker_cpus, worker_gpus)
        made = _study(config, out, settings, far, dry_run, **how, cluster=cluster, states=states)
    if made is None:
        return
    from rolewise.report import study_summary

    console.print(study_summary(out))
    console.print(f"\nTable:  {out / 'results.csv'}\nReport: {out / 'report.html'}", soft_wrap=True)
    if not made.parquet:
        console.print('No results.parquet: pyarrow is not installed (pip install "rolewise[study]").')
    if made.failed:
        raise RunError(
            f"{len(made.failed)} of {len(made.rows)} rows failed, the first ({made.failed[0]['cell']}, seed "
            f"{made.failed[0]['seed']}): {made.failed[0]['reason']}\nTry them again with --retry."
        )


@app.command("search")
def search_command(
    config: ConfigFile,
    out: RunOption,
    role: Annotated[str, typer.Option(help="teacher, or a student's name.")] = "teacher",
    settings: Settings = None,
    fresh: Fresh = False,
) -> None:
    """Search one role's augmentation schedule (and what that needs: a student's search needs a teacher).

    Example: rolewise search configs/digits.yaml --out runs/digits --role teacher
    """
    _run(
        config, out, settings, fresh, lambda stage: stage.kind == "search" and stage.role == role, named=("role", role)
    )
    for schedule in sorted(out.glob(f"stages/seed*/{role}-search/schedule.json")):
        console.print(f"Schedule: {schedule}", soft_wrap=True)


@app.command("train")
def train_command(config: ConfigFile, out: RunOption, settings: Settings = None, fresh: Fresh = False) -> None:
    """Train the teachers of an experiment (searching their schedule first, where they train under their own).

    Example: rolewise train configs/digits.yaml --out runs/digits
    """
    _run(config, out, settings, fresh, lambda stage: stage.kind == "teacher")
    for weights in sorted(out.glob("stages/seed*/teacher-*/weights.safetensors")):
        console.print(f"Teacher: {weights}", soft_wrap=True)


@app.command("distill")
def distill_command(
    config: ConfigFile,
    out: RunOption,
    student: Annotated[str, typer.Option(help="The student's name; all by default.")] = "",
    settings: Settings = None,
    fresh: Fresh = False,
) -> None:
    """Train the arms that distil, with everything that they need; the test set stays sealed.

    Example: rolewise distill configs/digits.yaml --out runs/digits --student small
    """
    wanted = student

    def chosen(stage: Any) -> bool:
        return stage.kind == "arm" and bool(stage.distilled) and wanted in ("", stage.role)

    experiment = _run(config, out, settings, fresh, chosen, named=("student", wanted))
    for folder in sorted(out.glob(f"stages/seed*/{student or '*'}-*+distill*")):
        show_stage(experiment, folder)


def _run(
    config: Path,
    out: Path,
    settings: list[str] | None,
    fresh: bool,
    only: Any,
    *,
    extend: bool = False,
    dry: bool = False,
    part: tuple[Sequence[str], Sequence[str]] = ((), ()),
    named: tuple[str, str] = ("", ""),
    places: Mapping[str, Any] | None = None,
) -> Any:
    """Runs an experiment, or a part of it, and returns it."""
    with breakable() as far:
        from rolewise.experiment.pipeline import run as run_pipeline
        from rolewise.experiment.run_progress import Display
        from rolewise.experiment.stage_selection import check_wanted_role, chosen_stages

        experiment = load_experiment(config, settings, out)
        if named[1]:
            check_wanted_role(experiment, only, *named)
        if any(part):
            only = chosen_stages(experiment, *part)
        if dry:
            _count(experiment, out, fresh, extend, only)
            return experiment
        with Display(console, out) as display:

            def update(news: Any) -> None:
                far.begun, far.left = True, far.left - (news.text == "done")
                display.update(news)

            def plan(planned: Any, todo: Any) -> None:
                far.left = len(todo)
                display.plan(planned, todo)

            how = {"fresh": fresh, "extend": extend, "only": only, **(places or {})}
            run_pipeline(experiment, out, **how, on_update=update, on_plan=plan)
    return experiment


def _count(experiment: Any, out: Path, fresh: bool, extend: bool, only: Any) -> None:
    from rolewise.cli.cost_tables import show_extension, show_run_cost, while_timing
    from rolewise.experiment.dry_run import dry_run

    with while_timing():
        plan, extension = dry_run(experiment, out, fresh=fresh, extend=extend, only=only)
    if extension is not None:
        show_extension(extension, plan)
    show_run_cost(plan, experiment)


def _study(config: Path, out: Path, settings: list[str] | None, far: HowFar, dry: bool, **how: Any) -> Any:
    from rolewise.cli.foreign import announced, say
    from rolewise.config.study_file import config_kind
    from rolewise.study import load_study, run_study

    if config_kind(config) == "experiment":
        raise InputError(
            f"{config} must be a study, and is an experiment (it has no grid); run it by: rolewise run {config}, or "
            "name it as the base of a study"
        )
    read = announced(config, settings or [], lambda: load_study(config, settings or [], on_note=say), out)
    if dry:
        from rolewise.cli.cost_tables import show_study_cost, while_timing
        from rolewise.study.dry_study import dry_study

        with while_timing():
            counted_plan = dry_study(read, out, fresh=how["fresh"], extend=how["extend"])
        show_study_cost(counted_plan)
        return None
    with study_followed(out, far) as (on_plan, on_event):
        return run_study(read, out, **how, on_plan=on_plan, on_event=on_event)
