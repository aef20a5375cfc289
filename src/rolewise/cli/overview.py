"""Commands that train nothing: preview, validate, list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from rolewise.cli.options import ConfigFile, Settings, app, console, load_experiment
from rolewise.errors import InputError
from rolewise.words import counted, print_sentences


@app.command("preview")
def preview_command(
    augmentation: Annotated[str, typer.Argument(help="A preset or a schedule file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The picture to write (PNG).")] = Path("preview.png"),
    config: Annotated[
        Path | None, typer.Option("--config", help="Takes data and operations from this experiment.")
    ] = None,
    role: Annotated[
        str,
        typer.Option(
            help="teacher, or a student's name: its images are mixed as in training, its texts its own tokens."
        ),
    ] = "",
) -> None:
    """Draw what an augmentation does to images or texts at the beginning, the middle and the end of training.

    Example: rolewise preview randaugment --out preview.png
    """
    from rolewise.experiment.previews import draw_preview

    experiment = load_experiment(config, None) if config is not None else None
    console.print(f"Picture: {draw_preview(augmentation, out, experiment, role=role)}", soft_wrap=True)


@app.command("validate")
def validate_command(
    config: ConfigFile,
    settings: Settings = None,
    no_import: Annotated[
        bool, typer.Option("--no-import", help="Import no code of yours; what depends on it is left out.")
    ] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Time a few steps, and estimate the time of everything on this machine.")
    ] = False,
) -> None:
    """Check a config, or a study, and count its stages; all faults at once.

    Code that the file names by package.module:name is imported and tried, as a run would.

    Example: rolewise validate configs/digits.yaml
    """
    from rolewise.cli.foreign import announced, say
    from rolewise.config.study_file import config_kind
    from rolewise.experiment.config_remarks import config_remarks
    from rolewise.experiment.stage_graph import stages_of
    from rolewise.experiment.trial import export_notes

    if config_kind(config) == "study":
        from rolewise.study import load_study
        from rolewise.study.job_graph import graph_of

        read = announced(
            config,
            settings or [],
            lambda: load_study(config, settings or [], imports=not no_import, on_note=say),
            imports=not no_import,
        )
        if no_import:
            cells = f"{counted(len(read.cells), 'cell')}, {counted(len(read.seeds), 'seed')}"
            print_sentences(console, f"{config} has no fault as far as it was checked: {cells}.")
            return
        graph = graph_of(read, read=False)
        shared = sum(map(len, graph.keys.values())) - len(graph.trainings)
        print_sentences(
            console,
            f"{config} is valid: {counted(len(read.cells), 'cell')}, {counted(len(read.seeds), 'seed')}, "
            f"{counted(len(graph.trainings), 'stage')} to "
            f"train ({shared:,} more {'is' if shared == 1 else 'are'} shared between cells).",
        )
        # What several cells have in common is said once.
        for remark in dict.fromkeys(text for cell in read.cells for text in config_remarks(cell.config)):
            print_sentences(console, remark)
        if cost:
            from rolewise.cli.cost_tables import show_study_cost, while_timing
            from rolewise.study.dry_study import dry_study

            with while_timing():
                counted_plan = dry_study(read)
            show_study_cost(counted_plan)
        return
    experiment = load_experiment(config, settings, imports=not no_import)
    kinds: list[str] = [stage.kind for stage in stages_of(experiment)]
    counts = ", ".join(counted(kinds.count(kind), *words) for kind, words in _KINDS.items() if kinds.count(kind))
    if not no_import:
        for note in export_notes(experiment):
            say(note)
    found = "has no fault as far as it was checked" if no_import else "is valid"
    print_sentences(console, f"{config} {found}: {counted(len(experiment.seeds), 'seed')}, {counts}.")
    for remark in config_remarks(experiment, imports=not no_import):
        print_sentences(console, remark)
    if cost and not no_import:
        from rolewise.cli.cost_tables import show_run_cost, while_timing
        from rolewise.experiment.dry_run import dry_run

        with while_timing():
            run_plan, _ = dry_run(experiment)
        show_run_cost(run_plan, experiment)


_KINDS = {
    "search": ("search", "searches"),
    "teacher": ("teacher",),
    "arm": ("student trained", "students trained"),
    "test": ("test evaluation",),
}


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="A kind, such as methods, metrics or quantisers; all by default.")] = "",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="Of methods, those with reads=maps, mixed=sound, classes=2, relates=no, ..."),
    ] = None,
    needs: Annotated[
        bool, typer.Option("--needs", help="Of methods, print what each reads, needs and excludes.")
    ] = False,
) -> None:
    """List what is there by name: models, methods, tasks, metrics, quantisers, measurements, data, trackers, and so on.

    Example: rolewise list methods

    Example: rolewise list methods --where targets=none --where classes=2

    Example: rolewise list methods --needs
    """
    if where or needs:
        _list_fitting(what, where or [])
        return
    from rolewise.experiment.catalogue import ALSO, catalogue

    groups, what = catalogue(), ALSO.get(what, what)
    if what and what not in groups:
        from rolewise.errors import near

        raise InputError(f"list must be of {', '.join(groups)}, got {what!r}{near(what, groups)}")
    for group, rows in groups.items():
        if what in ("", group):
            table = Table(title=group, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
            for name, text in rows:
                table.add_row(name, text)
            console.print(table)


def _list_fitting(what: str, where: list[str]) -> None:
    """Prints the methods whose declarations fit, with these."""
    from rolewise.distill.declarations import fitting

    if what not in ("methods", "losses"):
        option = f"--where {where[0]}" if where else "--needs"
        raise InputError(f"{option.split()[0]} filters methods; write rolewise list methods {option}")
    wanted = {key.strip(): value.strip() for key, _, value in (one.partition("=") for one in where)}
    found = fitting(wanted)
    for one in found:
        cells = [f"{title}: {cell}" for title, cell in one.cells.items() if cell]
        console.print(f"{one.name:22} {'; '.join(cells)}", soft_wrap=True)
    console.print(f"{counted(len(found), 'method')}.")
