"""The order in which help lists the commands, and a line about each that fits a screen of 80 columns."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

#: By the order of the work: what is written, checked, run, looked at, used; then what needs more knowledge.
LINES = {
    "new": "Write a small folder that runs: a config and code of yours.",
    "explain": "Show what a key of a config means, and its values.",
    "validate": "Check a config or a study; count its stages and its cost.",
    "run": "Run a whole experiment, or resume it, and write its page.",
    "study": "Run a grid over settings of an experiment, or resume it.",
    "compare": "Train a student by several methods over seeds: one table.",
    "system": "Run a paper's whole procedure with its controls.",
    "convert": "Convert a config of torchdistill.",
    "status": "Show who works at a folder, how far, how long to go.",
    "watch": "Show the page of a run or a study while it goes on.",
    "report": "Write the page of a run or a study anew.",
    "table": "Write results as a table: text, CSV, Markdown or LaTeX.",
    "compare-runs": "Set runs side by side: settings and results.",
    "evaluate": "Evaluate one trained network on its validation set.",
    "export": "Write one trained network to a file that serves it.",
    "predict": "Predict for pictures or texts, by a run or a file.",
    "data": "Look at data, and pack them.",
    "preview": "Draw what an augmentation does to images or texts.",
    "list": "List what is there by name: models, methods, tasks.",
    "advise": "Measure a trained teacher, and propose how to distil.",
    "regret": "Compare a proposal with the best cell of a finished grid.",
    "search": "Search one role's schedule, and train what that needs.",
    "train": "Train the teachers of an experiment alone.",
    "distill": "Train the arms that distil, with what they need.",
    "track": "Write the numbers of a run or a study to a tracker.",
    "build-kernel": "Compile the augmentation kernel once for this machine.",
}


class InOrder(TyperGroup):
    """The group of all commands, in the order above."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of the commands; those without a line come last."""
        place = {name: number for number, name in enumerate(LINES)}
        return sorted(super().list_commands(ctx), key=lambda name: place.get(name, len(place)))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a command, with its line."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and cmd_name in LINES:
            command.short_help = LINES[cmd_name]
        return command
