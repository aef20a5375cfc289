"""The command that shows a run's page while the run goes on."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from rolewise.cli.options import app, console
from rolewise.errors import InputError, RolewiseError

FolderArgument = Annotated[
    Path, typer.Argument(help="The run or study folder; it need not be there yet.", show_default=False)
]
PortOption = Annotated[int, typer.Option("--port", help="The port on 127.0.0.1; 0 takes a free one.")]
EveryOption = Annotated[float, typer.Option("--every", help="Seconds between two looks at the folder.")]


@app.command("watch")
def watch_command(
    run_folder: FolderArgument,
    port: PortOption = 0,
    every: EveryOption = 5.0,
    show: Annotated[bool, typer.Option("--show", help="Open it in the browser.")] = False,
) -> None:
    """Show a run's or a study's report while it goes on, on this machine alone; Ctrl-C ends it.

    The page follows the folder, in which nothing is written: also of a run that has not begun, or has just ended.

    Example: rolewise watch runs/digits --port 8080
    """
    from rolewise.experiment.folder_damage import SYSTEM
    from rolewise.report.live_page import LivePage
    from rolewise.report.live_server import LOOPBACK, live_server

    if not every >= 0.5:
        raise InputError(f"--every must be at least 0.5 seconds, got {every}")
    if run_folder.exists() and not run_folder.is_dir():
        raise InputError(f"the run folder must be a folder, got the file {run_folder}; give the one that --out named")
    if (run_folder / SYSTEM).is_file():
        raise InputError(
            f"{run_folder} is a system's folder, whose page is written when all is done; "
            f"follow it by: rolewise status {run_folder}"
        )
    server = live_server(LivePage(run_folder, every, lambda: _stages_of(run_folder)), port)
    address = f"http://{LOOPBACK}:{server.server_address[1]}/"
    console.print(f"{run_folder}: {address}\nOn this machine alone; Ctrl-C ends it.", soft_wrap=True)
    if show:
        webbrowser.open(address)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        console.print("\nNo longer served; the run goes on as it was.")
    finally:
        server.server_close()


def _stages_of(root: Path) -> int | None:
    """Returns the number of a run's stages; None of a study, or where it cannot be read."""
    from rolewise.experiment.run_folder import existing_run
    from rolewise.experiment.stage_graph import stages_of

    if not (root / "run.json").is_file():
        return None
    try:
        return len(stages_of(existing_run(root).config()))
    except RolewiseError:
        # The page says what is wrong with the folder.
        return None
