"""The budget that is stated before a run: steps, images, time."""

from __future__ import annotations

from pathlib import Path

from rolewise.experiment import load
from rolewise.experiment.estimate import estimated_seconds
from rolewise.experiment.folder import open_run
from rolewise.experiment.graph import stages_of
from rolewise.experiment.pipeline import plan

QUICK = Path(__file__).parent / "quick.yaml"


def test_steps_images_and_time_are_counted(tmp_path: Path) -> None:
    config = load(QUICK, ["seeds=[0]", "arms.student=[none]"])
    stated = plan(open_run(tmp_path / "r", config), stages_of(config), 2)
    # Batches of 50: the teacher's search is 3 members x 4 epochs x 200 images, an arm 6 epochs x 100 images.
    assert stated.images["seed0/teacher-search"] == 2400 and stated.steps["seed0/teacher-search"] == 48
    assert stated.images["seed0/small-none"] == 600 and stated.steps["seed0/small-none"] == 12
    assert stated.seconds > 0


def test_nothing_left_takes_no_time_and_more_images_take_more() -> None:
    config = load(QUICK, ["seeds=[0]"])
    stages = stages_of(config)
    images = {stage.name: 1000 for stage in stages}
    assert estimated_seconds(config, [], images, 1) == 0
    # Timings of two calls differ; ten times the images differ by more.
    more = {stage.name: 10_000 for stage in stages}
    assert 0 < estimated_seconds(config, stages, images, 1) < estimated_seconds(config, stages, more, 1)
