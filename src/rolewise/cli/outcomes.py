"""Commands on what a run left: evaluate, export, report."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from rolewise.cli.options import RunArgument, app, console
from rolewise.errors import InputError
from rolewise.words import counted, print_sentences


@app.command("evaluate")
def evaluate_command(
    run_folder: RunArgument,
    stage: Annotated[
        str, typer.Argument(help="A training's stage, such as seed0/small-own+distill.", show_default=False)
    ] = "",
) -> None:
    """Evaluate one trained network of a run on the validation set of its seed.

    Example: rolewise evaluate runs/digits seed0/small-own+distill
    """
    from rolewise.cli.foreign import announce_run
    from rolewise.data.reading_rules import kind_of_examples
    from rolewise.experiment.evaluation import evaluate_stage
    from rolewise.experiment.run_folder import existing_run
    from rolewise.experiment.stage_selection import named_stages

    announce_run(run_folder)
    if not stage:
        raise InputError(f"stage must be named{named_stages(existing_run(run_folder).config(), '', 'teacher', 'arm')}")
    metrics = evaluate_stage(run_folder, stage)
    example = kind_of_examples(existing_run(run_folder).config().data.name)
    console.print(f"validation {metrics.shown()}, {counted(metrics.examples, example)}", soft_wrap=True)


@app.command("export")
def export_command(
    run_folder: RunArgument,
    out: Annotated[
        Path, typer.Option("--out", help="The file to write; a model card comes beside it.", show_default=False)
    ],
    stage: Annotated[
        str,
        typer.Argument(
            help="A training's stage; by default, of the first seed, the last student with few bits, under its own "
            "augmentation and distilled where there is that.",
            show_default=False,
        ),
    ] = "",
    form: Annotated[
        str, typer.Option("--format", help="onnx; packed: weights at their bits; torch: a torch.export program.")
    ] = "onnx",
    given: Annotated[
        str,
        typer.Option(
            "--input",
            help="Images that the file takes: float32 in [0, 1], uint8 ([B, C, H, W]) or uint8_bhwc ([B, H, W, C]); "
            "files of texts take tokens.",
        ),
    ] = "float32",
    output: Annotated[str, typer.Option("--output", help="logits, or probabilities.")] = "logits",
) -> None:
    """Export one trained network of a run, run the file, and set it beside floating point.

    Example: rolewise export runs/digits_w4a4 --format onnx --out w4a4.onnx

    Example: rolewise export runs/digits seed0/small-own+distill --input uint8 --output probabilities --out small.onnx
    """
    from rolewise.onnx_packages import check_onnx_packages

    if form == "onnx":
        check_onnx_packages()
    from rolewise.cli.foreign import announce_run
    from rolewise.deploy.export import default_stage, export_stage
    from rolewise.deploy.model_card import plain_table, shown_score

    announce_run(run_folder)
    if not stage:
        stage = default_stage(run_folder)
        print_sentences(console, f"Stage: {stage} (name another to export that)")
    made = export_stage(run_folder, stage, form, out, given=given, output=output)
    console.print(plain_table(made.rows, made.metric), soft_wrap=True)
    for remark in made.remarks:
        print_sentences(console, remark)
    print_sentences(
        console,
        f"{made.path}: {made.path.stat().st_size:,} bytes; {made.metric.title} {shown_score(made.metric, made.score)} "
        f"of {made.images:,} {made.part} {made.unit}s\nCard: {made.card}",
    )


@app.command("report")
def report_command(
    run_folder: RunArgument, show: Annotated[bool, typer.Option("--show", help="Open it in the browser.")] = False
) -> None:
    """Write a run's or a study's report anew, also of one that is not finished.

    Example: rolewise report runs/digits
    """
    from rolewise.experiment.run_folder import existing_run
    from rolewise.report import write_report, write_study_report

    if (run_folder / "study.json").is_file():
        path = write_study_report(run_folder)
    else:
        path = write_report(existing_run(run_folder).root)
    console.print(f"Report: {path}", soft_wrap=True)
    if show:
        webbrowser.open(path.resolve().as_uri())
