"""The config of ImageNet's pair on a miniature of the same layout: streamed, killed within an epoch, and in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rolewise.cli import app
from rolewise.experiment import load, run
from rolewise.experiment.seed_data import sources
from rolewise.experiment.stage_keys import stage_keys

pytest.importorskip("datasets")
ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "imagenet_resnet34_resnet18.yaml"
#: Kills itself at the third step of the student, which is in its first epoch.
KILLED = """\
import sys
from kill_loop import die_at_step
from rolewise.experiment import load, run

die_at_step(int(sys.argv[1]), before=False)
run(load(sys.argv[2], sys.argv[4:]), sys.argv[3])
"""


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of three classes in folders train and val, packed by the command."""
    from typer.testing import CliRunner

    root, stream = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 4)):
        for name in ("n01", "n02", "n03"):
            (root / "photographs" / part / name).mkdir(parents=True)
            for number in range(count):
                levels = stream.integers(0, 256, (5, 7, 3), dtype=np.uint8)
                picture = Image.fromarray(levels).resize((50, 38), Image.Resampling.BICUBIC)
                picture.save(root / "photographs" / part / name / f"{number}.jpg")
    arguments = ["data", "pack", str(root / "photographs"), str(root / "packed"), "--size", "32", "--processes", "0"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0 and "36 train, 12 validation images of 3 classes" in found.output, found.output
    return root


def settings(root: Path, *more: str) -> list[str]:
    arguments = "{path: packed, test: validation, size: 28, crop_ratio: 0.875, train_crop_ratio: 1.0}"
    trained = [f"{role}.train.{name}" for role in ("teacher", "students[0]") for name in ("epochs=1", "batch_size=8")]
    return [
        *(f"data.root={root}", f"data.arguments={arguments}", "data.validation=6", "data.memory_budget_mb=1e-6"),
        *(*trained, "students[0].train.epochs=2", "retrain_on_validation=false", "arms.distill=[true]"),
        # Both of the smaller network: what is written would take most of the time.
        *("teacher.model.name=resnet18", "workers=1", "decoders=0", "device=cpu", *more),
    ]


def test_the_number_of_decoders_is_no_part_of_a_result(miniature: Path) -> None:
    first, second = (load(CONFIG, settings(miniature, f"decoders={count}")) for count in (0, 3))
    assert stage_keys(first) == stage_keys(second)
    assert sources(second)[0].decoders == 3 and sources(second)[1].size == (28, 28)


@pytest.mark.slow
@pytest.mark.usefixtures("figures_unrendered")
def test_a_streamed_run_that_was_killed_ends_with_the_bytes_of_one_in_memory(miniature: Path, tmp_path: Path) -> None:
    cut = settings(miniature, "decoders=1", "checkpoint_seconds=0")
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "faults")])
    # The teacher takes four steps.
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "7", str(CONFIG), str(tmp_path / "cut"), *cut],
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run(load(CONFIG, cut), tmp_path / "cut")
    run(load(CONFIG, settings(miniature)), tmp_path / "streamed")
    run(load(CONFIG, settings(miniature, "data.memory_budget_mb=100")), tmp_path / "memory")
    names = [
        path.relative_to(tmp_path / "cut")
        for path in (tmp_path / "cut" / "stages").rglob("*")
        if path.name in ("weights.safetensors", "record.jsonl")
    ]
    assert len(names) >= 4
    for name in names:
        kept = (tmp_path / "cut" / name).read_bytes()
        assert kept == (tmp_path / "streamed" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes(), name
