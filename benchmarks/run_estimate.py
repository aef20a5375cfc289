"""Compares the time that `validate --cost` states with the time that runs take, for each kind of stage.

Of a finished run the seconds are those that it recorded: all of them, and `quiet`, which counts each stage as often as
there are seeds at the least that it took for one of them, since other load on the machine had the least of a hand in
that. Of a config every stage is run, here and now, into a folder that is deleted again, and timed by the processor time
of this process, which other programs lengthen little. Estimates are of this machine: a run of another is no measure.

python benchmarks/run_estimate.py runs/digits runs/camvid [--json FILE]
python benchmarks/run_estimate.py configs/digits.yaml --set seeds=[0] --set arms.student=[none,own] [--json FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import load
from rolewise.experiment.estimate import stage_times
from rolewise.experiment.run_folder import open_run
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stage_images import images_of_stage
from rolewise.experiment.stage_work import run_stage
from rolewise.files import write_json
from rolewise.seals import recorded_seconds

KINDS = {"search": "searches", "teacher": "teachers", "arm": "students", "test": "tests"}


def recorded(root: Path, stages: list[Stage]) -> dict[str, float]:
    """Returns the seconds of each stage that a run finished, by its name."""
    found = {stage.name: recorded_seconds(root / "stages" / stage.name) for stage in stages}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def quiet_seconds(taken: dict[str, float]) -> dict[str, float]:
    """Returns for each stage the least seconds that it took for any seed."""
    least: dict[str, float] = defaultdict(lambda: float("inf"))
    for name, seconds in taken.items():
        least[name.split("/", 1)[1]] = min(least[name.split("/", 1)[1]], seconds)
    return {name: least[name.split("/", 1)[1]] for name in taken}


def run_again(config: ExperimentConfig) -> dict[str, float]:
    """Runs every stage of an experiment in this process; returns the seconds of each, by its name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        run = open_run(Path(folder) / "run", config)
        for stage in stages_of(config):
            start = time.process_time()
            run_stage(run, stage, lambda text: None, lambda: False)
            found[stage.name] = time.process_time() - start
    return found


def compared(path: Path, changes: list[str]) -> list[dict[str, Any]]:
    """Returns a row for each kind of stage of a run or config, and one for all of them."""
    config = load(path / "config.yaml" if path.is_dir() else path, changes)
    stages = stages_of(config)
    taken = recorded(path, stages) if path.is_dir() else run_again(config)
    done = [stage for stage in stages if stage.name in taken]
    times = stage_times(config, done, {stage.name: images_of_stage(config, stage) for stage in done}).seconds
    quiet, rows = quiet_seconds(taken), []
    for kind, word in {**KINDS, "": "all"}.items():
        names = [stage.name for stage in done if stage.kind == kind or not kind]
        if names:
            sums = [sum(values[name] for name in names) for values in (times, taken, quiet)]
            row = {"run": path.stem, "what": word, "stages": len(names), "estimate": sums[0], "took": sums[1]}
            rows.append({**row, "quiet": sums[2], "ratio": sums[0] / sums[1], "quiet_ratio": sums[0] / sums[2]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs, or configs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change of each config")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"{'run':24}{'what':10}{'stages':>7}{'estimate s':>12}{'took s':>10}{'ratio':>7}{'quiet s':>10}{'ratio':>7}")
    for path in options.runs:
        for row in compared(path, options.set):
            rows.append(row)
            print(
                f"{row['run']:24}{row['what']:10}{row['stages']:7}{row['estimate']:12.1f}{row['took']:10.1f}"
                f"{row['ratio']:7.2f}{row['quiet']:10.1f}{row['quiet_ratio']:7.2f}",
                flush=True,
            )
    if options.json:
        write_json(options.json, {"rows": rows})


if __name__ == "__main__":
    main()
