"""The lines that a command prints after a part of an experiment: one for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rolewise.cli.options import console
from rolewise.seals import finished
from rolewise.words import counted, print_sentences


def show_part(experiment: Any, out: Path, arms: Sequence[str], stages: Sequence[str]) -> None:
    """Prints the stages of a part that was run, and how much of the whole is left.

    Args:
        experiment: the experiment.
        out: the run folder.
        arms: names of the arms that were run.
        stages: names of the stages that were run.
    """
    from rolewise.experiment.stage_graph import stages_of
    from rolewise.experiment.stage_selection import chosen_stages

    chosen, every = chosen_stages(experiment, arms, stages), stages_of(experiment)
    for stage in filter(chosen, every):
        show_stage(experiment, out / "stages" / stage.name)
    left = sum(finished(out / "stages" / stage.name) is None for stage in every)
    if left:
        whole = "the same command without --arm and --stage runs the rest"
        print_sentences(console, f"{counted(left, 'stage')} of the whole experiment left: {whole}.")


def show_stage(experiment: Any, folder: Path) -> None:
    """Prints the folder of a stage, and its score on validation images where it has one.

    Args:
        experiment: the experiment.
        folder: the stage's folder.
    """
    from rolewise.experiment.builders import configured_task
    from rolewise.metric_info import metric_named

    done = finished(folder) or {}
    named = next((name for name in done if name.startswith("validation_")), "")
    info = metric_named(named.removeprefix("validation_"), configured_task(experiment).metrics)
    score = done.get(named)
    value = f": validation {info.title} {'has no number' if score is None else info.shown(score)}" if named else ""
    console.print(f"{folder}{value}", soft_wrap=True)
