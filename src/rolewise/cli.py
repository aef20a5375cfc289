"""The command line: run, study, search, train, distill, evaluate, export, report, preview, advise, validate, list."""

from __future__ import annotations

import json
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rolewise import cli_advice
from rolewise.errors import InputError, Interrupted, RolewiseError, RunError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Distillation in which teacher and student each get their own learned augmentation.\n\n"
    "Example: rolewise run configs/digits.yaml --out runs/digits",
)
_console = Console(highlight=False)

ConfigFile = Annotated[Path, typer.Argument(help="The experiment's YAML file.", show_default=False)]
RunOption = Annotated[Path, typer.Option("--out", help="The run folder; made, or gone on with.", show_default=False)]
RunArgument = Annotated[Path, typer.Argument(help="The run folder.", show_default=False)]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: --set students[0].train.epochs=5")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start anew; what is in the folder is moved aside.")]


def _load(config: Path, settings: list[str] | None) -> Any:
    from rolewise.experiment import load

    return load(config, settings or [])


@app.command()
def run(config: ConfigFile, out: RunOption, settings: Settings = None, fresh: Fresh = False) -> None:
    """Run a whole experiment, or go on with it, and write its report.

    Example: rolewise run configs/digits.yaml --out runs/digits
    """
    _run(config, out, settings, fresh, None)
    from rolewise.report import summary

    _console.print(summary(out), soft_wrap=True)
    _console.print(f"\nResults: {out / 'results.json'}\nReport:  {out / 'report.html'}", soft_wrap=True)


@app.command()
def study(
    config: Annotated[Path, typer.Argument(help="The study's YAML file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The study folder; made, or gone on with.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change the study: --set seeds=[0,1]")] = None,
    fresh: Fresh = False,
    extend: Annotated[bool, typer.Option("--extend", help="Go on in the folder of another study.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed.")] = False,
) -> None:
    """Run a grid over settings of an experiment, or go on with it; every distinct training runs once.

    Example: rolewise study configs/studies/temperature_digits.yaml --out runs/temperature
    """
    from rolewise.experiment.study import load_study, run_study
    from rolewise.experiment.study.progress import StudyDisplay
    from rolewise.report import study_sentences

    read = load_study(config, settings or [])
    with StudyDisplay(_console, out) as display:
        made = run_study(
            read, out, fresh=fresh, extend=extend, retry=retry, on_plan=display.plan, on_event=display.update
        )
    for title, sentences in study_sentences(out):
        _console.print("\n".join(["", title, *(f"- {sentence}" for sentence in sentences)]), soft_wrap=True)
    _console.print(f"\nTable:  {out / 'results.csv'}\nReport: {out / 'report.html'}", soft_wrap=True)
    if not made.parquet:
        _console.print("No results.parquet: pyarrow is not installed (pip install rolewise[study]).")
    if made.failed:
        raise RunError(
            f"{len(made.failed)} of {len(made.rows)} rows failed, the first ({made.failed[0]['cell']}, seed "
            f"{made.failed[0]['seed']}): {made.failed[0]['reason']}\nTry them again with --retry."
        )


@app.command()
def search(
    config: ConfigFile,
    out: RunOption,
    role: Annotated[str, typer.Option(help="teacher, or a student's name.")] = "teacher",
    settings: Settings = None,
    fresh: Fresh = False,
) -> None:
    """Search one role's augmentation schedule (and what that needs: a student's search needs a teacher).

    Example: rolewise search configs/digits.yaml --out runs/digits --role teacher
    """
    _run(config, out, settings, fresh, lambda stage: stage.kind == "search" and stage.role == role)
    for schedule in sorted(out.glob(f"stages/seed*/{role}-search/schedule.json")):
        _console.print(f"Schedule: {schedule}", soft_wrap=True)


@app.command()
def train(config: ConfigFile, out: RunOption, settings: Settings = None, fresh: Fresh = False) -> None:
    """Train the teachers of an experiment (searching their schedule first, where they train under their own).

    Example: rolewise train configs/digits.yaml --out runs/digits
    """
    _run(config, out, settings, fresh, lambda stage: stage.kind == "teacher")
    for weights in sorted(out.glob("stages/seed*/teacher-*/weights.safetensors")):
        _console.print(f"Teacher: {weights}", soft_wrap=True)


@app.command()
def distill(
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

    _run(config, out, settings, fresh, chosen)
    for folder in sorted(out.glob(f"stages/seed*/{student or '*'}-*+distill*")):
        done = json.loads((folder / "done.json").read_text())
        _console.print(
            f"{folder}: validation accuracy {done.get('validation_accuracy', float('nan')):.4f}", soft_wrap=True
        )


@app.command()
def evaluate(
    run_folder: RunArgument,
    stage: Annotated[
        str, typer.Argument(help="A training's stage, such as seed0/small-own+distill.", show_default=False)
    ],
) -> None:
    """Evaluate one trained network of a run on the validation images of its seed.

    Example: rolewise evaluate runs/digits seed0/small-own+distill
    """
    from rolewise.experiment.evaluation import evaluate_stage

    metrics = evaluate_stage(run_folder, stage)
    _console.print(
        f"validation accuracy {metrics.accuracy:.4f}, loss {metrics.loss:.4f}, {len(metrics.correct)} images"
    )


@app.command()
def export(
    run_folder: RunArgument,
    stage: Annotated[
        str, typer.Argument(help="A training's stage, such as seed0/w2a2-own+distill.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write; a model card comes beside it.")],
    form: Annotated[str, typer.Option("--format", help="onnx, or packed: weights at their bits.")] = "onnx",
) -> None:
    """Export one trained network of a run, run the file, and say how well the two agree.

    Example: rolewise export runs/digits seed0/small-own+distill --format onnx --out small.onnx
    """
    from rolewise.experiment.exporting import export_stage

    made = export_stage(run_folder, stage, form, out)
    _console.print(
        f"{made.path}: {made.path.stat().st_size:,} bytes; predicts as the trained network for {made.agreement:.2%} of "
        f"{made.images:,} {made.part} images, accuracy {made.accuracy:.2%}\nCard: {made.card}",
        soft_wrap=True,
    )


@app.command()
def report(
    run_folder: RunArgument, show: Annotated[bool, typer.Option("--show", help="Open it in the browser.")] = False
) -> None:
    """Write a run's or a study's report anew, also of one that is not finished.

    Example: rolewise report runs/digits
    """
    from rolewise.experiment.folder import existing_run
    from rolewise.report import write_report, write_study_report

    if (run_folder / "study.json").is_file():
        path = write_study_report(run_folder)
    else:
        path = write_report(existing_run(run_folder).root)
    _console.print(f"Report: {path}", soft_wrap=True)
    if show:
        webbrowser.open(path.resolve().as_uri())


@app.command()
def preview(
    augmentation: Annotated[str, typer.Argument(help="A preset or a schedule file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The picture to write (PNG).")] = Path("preview.png"),
    config: Annotated[
        Path | None, typer.Option("--config", help="Takes data and operations from this experiment.")
    ] = None,
    role: Annotated[str, typer.Option(help="teacher, or a student's name: mixed as its images are.")] = "",
) -> None:
    """Draw what an augmentation does to images at the beginning, the middle and the end of training.

    Example: rolewise preview randaugment --out preview.png
    """
    from rolewise.experiment.previews import draw_preview

    experiment = _load(config, None) if config is not None else None
    _console.print(f"Picture: {draw_preview(augmentation, out, experiment, role=role)}", soft_wrap=True)


app.command()(cli_advice.advise)
app.command()(cli_advice.regret)


@app.command()
def validate(config: ConfigFile, settings: Settings = None) -> None:
    """Check a config, or a study, and say what it would run; all faults at once.

    Example: rolewise validate configs/digits.yaml
    """
    from rolewise.config.study import is_study
    from rolewise.experiment.graph import stages_of

    if is_study(config):
        from rolewise.experiment.study import load_study
        from rolewise.experiment.study.graph import graph_of

        read = load_study(config, settings or [])
        graph = graph_of(read)
        _console.print(
            f"{config} is valid: {len(read.cells)} cells, {len(read.seeds)} seeds, {len(graph.trainings)} stages to "
            f"train ({sum(map(len, graph.keys.values())) - len(graph.trainings)} more are shared between cells).",
            soft_wrap=True,
        )
        return
    experiment = _load(config, settings)
    kinds: list[str] = [stage.kind for stage in stages_of(experiment)]
    counts = ", ".join(f"{kinds.count(kind)} {word}" for kind, word in _KINDS.items() if kinds.count(kind))
    _console.print(f"{config} is valid: {len(experiment.seeds)} seeds, {counts}.", soft_wrap=True)


_KINDS = {"search": "searches", "teacher": "teachers", "arm": "students trained", "test": "test evaluations"}


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="models, methods, data, augmentations or ops; all by default.")] = "",
) -> None:
    """List what is registered: models, methods, data sets, augmentations, operations.

    Example: rolewise list methods
    """
    from rolewise.experiment.catalogue import catalogue

    groups = catalogue()
    if what and what not in groups:
        from rolewise.errors import near

        raise InputError(f"list must be of {', '.join(groups)}, got {what!r}{near(what, groups)}")
    for group, rows in groups.items():
        if what in ("", group):
            table = Table(title=group, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
            for name, text in rows:
                table.add_row(name, text)
            _console.print(table)


def _run(config: Path, out: Path, settings: list[str] | None, fresh: bool, only: Any) -> None:
    from rolewise.experiment.pipeline import run as run_pipeline
    from rolewise.experiment.progress import Display

    experiment = _load(config, settings)
    with Display(_console, out) as display:
        run_pipeline(experiment, out, fresh=fresh, only=only, on_update=display.update, on_plan=display.plan)


def main() -> None:
    """Runs the command line; exits with 0, 1 (the run failed), 2 (bad input) or 3 (advise --check found a fault)."""
    started = time.monotonic()
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except Interrupted as error:
        seconds = time.monotonic() - started
        _fail(f"{error}\nStopped after {seconds:.0f} s; nothing is lost: run the same command again to go on.", 1)
    except RolewiseError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("Stopped; run the same command again to go on from the last checkpoint.", 1)
    except Exception as error:
        # Click's own faults: an unknown command or option. Anything else is ours and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        raise SystemExit(2) from None
    # What `typer.Exit` was raised with comes back as a value here.
    if isinstance(code, int) and code:
        raise SystemExit(code)


def _fail(text: str, code: int) -> None:
    print(text, file=sys.stderr)
    raise SystemExit(code)
