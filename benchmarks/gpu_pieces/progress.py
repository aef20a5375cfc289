"""How far a step is: out of the run or study folder that it works in."""

from __future__ import annotations

import json
from pathlib import Path

from gpu_pieces.plan import Step
from gpu_pieces.running import Records


def left(step: Step, records: Records) -> tuple[float, str]:
    """Returns the minutes that a step still takes, and how that is known."""
    from rolewise.errors import RolewiseError

    if records.result(step.name).is_file():
        return 0.0, "done"
    spent = records.spent(step.name) / 60
    share = 0.0
    if step.folder is not None and len(step_names(records)) == 1:
        try:
            share = share_done(step.folder)
        except RolewiseError as error:
            return step.minutes, f"its folder cannot be gone on with: {error}"
    if share > 0 and spent > 0:
        # What follows the last epoch, measurements and a page, takes its time too.
        return max(0.1, spent * (1 - share) / share), f"{share:.0%} of its epochs in {spent:.1f} min"
    if spent:
        return max(step.least, step.minutes - spent), f"a guess, {spent:.1f} min spent"
    return step.minutes, "a guess"


def step_names(records: Records) -> set[str]:
    """Returns the steps that have run in a piece: only where one had the folder to itself its time can be reckoned."""
    return {path.name.removesuffix(".parts.json") for path in records.folder.glob("*.parts.json")}


def share_done(folder: Path) -> float:
    """Returns the share of a run's or a study's epochs that are trained; 0 where there is nothing to go by.

    A search counts as its members' epochs on fewer images would: as its own share of one training.
    """
    from rolewise.experiment.role_section import section_of
    from rolewise.experiment.run_folder import RunFolder
    from rolewise.experiment.stage_graph import stages_of

    done = total = 0.0
    seen: set[Path] = set()
    runs = [RunFolder(path.parent) for path in (folder / "run.json", *sorted(folder.glob("cells/*/run.json")))]
    for run in runs:
        if not (run.root / "run.json").is_file():
            continue
        config = run.config()
        for stage in stages_of(config):
            place = run.stage(stage.name).resolve()
            if stage.kind == "test" or place in seen:
                continue
            seen.add(place)
            epochs = float(section_of(config, stage.role).train.epochs)
            total += epochs
            if run.is_done(stage.name):
                done += epochs
            elif (place / "record.jsonl").is_file():
                done += min(epochs, len(_lines(place / "record.jsonl")))
    return done / total if total else 0.0


def _lines(path: Path) -> list[dict[str, object]]:
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # it is being written
    return found
