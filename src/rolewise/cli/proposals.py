"""The commands that advise: advise and regret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rolewise.cli.options import app, console
from rolewise.errors import InputError
from rolewise.words import print_sentences

#: Exit code of ``advise --check`` where a fault was found.
FAULTY = 3


@app.command("advise")
def advise_command(
    config: Annotated[Path, typer.Argument(help="The experiment's YAML file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="A folder, or one file: .json, .md or .yaml.", show_default=False)],
    teacher: Annotated[
        Path | None, typer.Option("--teacher", help="The teacher's weights (safetensors).", show_default=False)
    ] = None,
    run: Annotated[
        tuple[Path, str] | None,
        typer.Option("--run", help="A run's finished teacher: RUN seed0/teacher-own.", show_default=False),
    ] = None,
    student: Annotated[str, typer.Option(help="The student's name; the first by default.", show_default=False)] = "",
    student_weights: Annotated[
        Path | None, typer.Option(help="Weights of a trained student, to compare with.", show_default=False)
    ] = None,
    images: Annotated[
        int, typer.Option(help="The most training and validation images, each, that are measured on.")
    ] = 1000,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set students[0].train.epochs=5")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Diagnose the teacher alone, and exit with 3 where it has a fault.")
    ] = False,
) -> None:
    """Measure a trained teacher cheaply, and propose how to distil, with reasons and cost.

    What is found of the teacher is shown as soon as it is known; --check ends there.

    Example: rolewise advise configs/digits.yaml --run runs/digits seed0/teacher-own --out advice
    """
    from rolewise.advice import Effort
    from rolewise.advice.advice_files import check_beside, check_out, write_advice
    from rolewise.advice.display import show, show_section
    from rolewise.advice.experiment_advice import advise_experiment, find_teacher
    from rolewise.cli.options import load_experiment
    from rolewise.config.overrides import read_overridden

    check_out(out)
    if check and out.suffix == ".yaml" and not out.is_dir():
        raise InputError(
            f"--out must be a folder or a file that ends in .json or .md with --check, which proposes no config, got "
            f"{out}; change its ending, or leave --check out"
        )
    experiment = load_experiment(config, settings)
    check_beside(out, read_overridden(config, []).files)
    trained_teacher = find_teacher(experiment, teacher, run)
    console.print(f"Advice for {student or experiment.students[0].name}", style="bold")
    # A moving line of what is done; nothing of it stays, and nothing is shown where there is no terminal.
    with console.status("starting") as line:
        advice = advise_experiment(
            experiment,
            trained_teacher,
            student=student or None,
            student_weights=student_weights,
            effort=Effort(images=images),
            on_step=line.update,
            on_diagnosis=lambda found: show_section(found, console),
            check=check,
        )
    written = write_advice(advice, out, config, settings or [])
    show(advice, console)
    console.print("\n" + "\n".join(f"Written: {path}" for path in written), soft_wrap=True)
    if check and advice.faults:
        raise typer.Exit(FAULTY)


@app.command("regret")
def regret_command(
    table: Annotated[Path, typer.Argument(help="A study's folder, or its results.csv.", show_default=False)],
    advice: Annotated[Path, typer.Option("--advice", help="The proposed config, advice.yaml.", show_default=False)],
    at: Annotated[
        list[str] | None, typer.Option("--at", help="A level that holds: --at size=large", show_default=False)
    ] = None,
    metric: Annotated[
        str,
        typer.Option(help="The column that is compared; the study's primary metric by default.", show_default=False),
    ] = "",
    arm: Annotated[str, typer.Option(help="The arm, where the table has several.", show_default=False)] = "",
) -> None:
    """Compare a proposal with the best cell of a finished grid, over seeds.

    Example: rolewise regret runs/temperature --advice advice/advice.yaml --at size=large
    """
    from rolewise.advice.regret_report import judged
    from rolewise.experiment import load
    from rolewise.statistics.regret import regret_sentence

    if advice.suffix in (".json", ".md"):
        remedy = "give the advice.yaml of the same advice, which `rolewise advise --out FOLDER` writes beside it"
        raise InputError(f"--advice must be the proposed config, got {advice}; {remedy}")
    found, info = judged(table, load(advice), at or [], metric=metric, arm=arm)
    print_sentences(console, regret_sentence(found, info.change_unit, info.scale))
