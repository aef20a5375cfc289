"""A search of real trainings that is stopped between their steps, again and again: the same lineage and schedule."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_work import run_stage
from rolewise.experiment.stages import find_stage

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).with_name("quick.yaml")
SETTINGS = ["seeds=[0]", "arms.student=[own]", "arms.distill=[true]", "teacher.train.epochs=2", "search.members=2"]
#: A memory with steps of several batches and an average; and mixing that follows the student.
KINDS = {
    "memory": [
        "distill.methods=[{name: kd, weight: 0.9}, {name: crd, negatives: 20, width: 6, weight: 0.05}]",
        "students[0].train.accumulate=2",
        "students[0].train.ema=0.5",
        "students[0].train.batch_size=10",
    ],
    "stacked": ["search.stacked=2", "students[0].train.batch_size=20"],
    "mixing": [
        "students[0].mix={method: mixup, alpha: 4, pairs: student_entropy, share: 0.5}",
        "students[0].train.batch_size=20",
        "search.scalars={learning_rate: {low: 0.001, high: 0.02, log: true}}",
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_random_steps_a_search_makes_the_same_files(kind: str, tmp_path: Path) -> None:
    config = load(QUICK, [*SETTINGS, *KINDS[kind]])
    stage = find_stage(config, "seed0/small-search")
    run(config, tmp_path / "whole", only=lambda one: one.name == stage.name)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    folder = tmp_path / "cut/stages" / stage.name
    names = [path.name for path in folder.iterdir() if path.name not in ("timing.jsonl", "done.json", "seconds.json")]
    expected = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    assert {"lineage.json", "record.jsonl", "schedule.json"} <= expected.keys()
    shutil.rmtree(folder)
    choice, steps, stops = random.Random(kind), 0, 0

    def stop() -> bool:
        nonlocal steps
        steps -= 1
        return steps <= 0

    while not (folder / "schedule.json").exists():
        steps = choice.randint(2, 16)
        try:
            run_stage(RunFolder(tmp_path / "cut"), stage, lambda text: None, stop)
        except Interrupted as error:
            assert str(error) == "seed0/small-search was stopped"
            stops += 1
    # A stack takes a step for several members.
    assert stops >= (2 if kind == "stacked" else 3)
    assert {name: (folder / name).read_bytes() for name in expected} == expected
