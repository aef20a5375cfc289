"""Commands that train: run, study, search, train, distill."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rolewise.cli.options import ConfigFile, Fresh, RunOption, Settings, app, console, load_experiment
from rolewise.cli.stopping import HowFar, breakable
from rolewise.errors import InputError, RunError
from rolewise.seals import finished


@app.command("run")
def run_command(config: ConfigFile, out: RunOption, settings: Settings = None, fresh: Fresh = False) -> None:
    """Run a whole experiment, or resume it, and write its report.

    Example: rolewise run configs/digits.yaml --out runs/digits
    """
    _run(config, out, settings, fresh, None)
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
) -> None:
    """Run a grid over settings of an experiment, or resume it; every distinct training runs once.

    Example: rolewise study configs/studies/temperature_digits.yaml --out runs/temperature
    """
    with breakable() as far:
        made = _study(config, out, settings, far, fresh=fresh, extend=extend, retry=retry)
    from rolewise.report import study_summary

    console.print(study_summary(out))
    console.print(f"\nTable:  {out / 'results.csv'}\nReport: {out / 'report.html'}", soft_wrap=True)
    if not made.parquet:
        console.print("No results.parquet: pyarrow is not installed (pip install rolewise[study]).")
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
    _run(config, out, settings, fresh, lambda stage: stage.kind == "search" and stage.role == role, ("role", role))
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

    _run(config, out, settings, fresh, chosen, ("student", wanted))
    for folder in sorted(out.glob(f"stages/seed*/{student or '*'}-*+distill*")):
        done = finished(folder) or {}
        named = next((name for name in done if name.startswith("validation_")), "validation_accuracy")
        shown = named.replace("_", " ")
        console.print(f"{folder}: {shown} {done.get(named, float('nan')):.4f}", soft_wrap=True)


def _run(
    config: Path, out: Path, settings: list[str] | None, fresh: bool, only: Any, named: tuple[str, str] = ("", "")
) -> None:
    with breakable() as far:
        from rolewise.experiment.pipeline import run as run_pipeline
        from rolewise.experiment.run_progress import Display

        experiment = load_experiment(config, settings, out)
        if named[1]:
            _check_role(experiment, only, *named)
        with Display(console, out) as display:

            def update(news: Any) -> None:
                far.begun, far.left = True, far.left - (news.text == "done")
                display.update(news)

            def plan(planned: Any, todo: Any) -> None:
                far.left = len(todo)
                display.plan(planned, todo)

            run_pipeline(experiment, out, fresh=fresh, only=only, on_update=update, on_plan=plan)


def _check_role(experiment: Any, only: Any, option: str, name: str) -> None:
    """Raises InputError where an option names nobody in the experiment, or somebody of whom nothing is wanted."""
    from rolewise.errors import near
    from rolewise.experiment.stage_graph import stages_of

    names = [*(["teacher"] if option == "role" else []), *(student.name for student in experiment.students)]
    if name not in names:
        raise InputError(f"--{option} must be one of {', '.join(names)}, got {name!r}{near(name, names)}")
    if not any(only(stage) for stage in stages_of(experiment)):
        way = "arms.distill is without true; add it"
        if option == "role":
            key = "teacher" if name == "teacher" else "student"
            way = f'no arm trains under a schedule of its own; add "own" to arms.{key}'
        raise InputError(f"--{option} must have a stage to run, and {name!r} has none: {way}")


def _study(config: Path, out: Path, settings: list[str] | None, far: HowFar, **how: bool) -> Any:
    from rolewise.cli.foreign import announced, say
    from rolewise.config.study_file import config_kind
    from rolewise.study import load_study, run_study
    from rolewise.study.study_progress import StudyDisplay

    if config_kind(config) == "experiment":
        raise InputError(
            f"{config} must be a study, and is an experiment (it has no grid); run it by: rolewise run {config}, or "
            "name it as the base of a study"
        )
    read = announced(config, settings or [], lambda: load_study(config, settings or [], on_note=say), out)
    with StudyDisplay(console, out) as display:

        def update(event: Any) -> None:
            far.begun, far.left = True, far.left - (event.update.kind in ("done", "failed"))
            display.update(event)

        def plan(planned: Any, graph: Any) -> None:
            far.left = len(planned.images) + len(planned.measurements)
            display.plan(planned, graph)

        return run_study(read, out, **how, on_plan=plan, on_event=update)
