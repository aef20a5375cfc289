"""The shipped experiments on photographs, on a slice of the real data."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from rolewise.data import ChecksumWarning
from rolewise.experiment import load, run

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
SLICE = ["seeds=[0]", "search.members=2", "search.intervals=2", "arms.student=[none, own]", "arms.distill=[true]"]
SLICE += ["data.limit=600", "data.validation=100", "students[0].images=100", "students[1].images=100"]
SLICE += [
    "search.teacher_images=128",
    "teacher.train.epochs=2",
    "students[0].train.epochs=2",
    "search.teacher_epochs=2",
    "search.student_epochs=2",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "archive", "marker", "settings"),
    [
        ("fashion_mnist", "fashion-mnist", "FashionMNIST", [*SLICE, "students[1].train.epochs=2"]),
        (
            "cifar100_slice",
            "cifar100",
            "cifar-100-python",
            ["data.limit={train: 300, test: 300}", "data.validation=100"],
        ),
    ],
)
def test_a_slice_runs_to_its_report(name, archive, marker, settings, restored, tmp_path: Path) -> None:
    root = restored(archive, marker)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChecksumWarning)
        config = load(CONFIGS / f"{name}.yaml", [*settings, f"data.root={root}", "workers=1"])
        results = run(config, tmp_path / "r")
    assert {"own+distill"} < {arm["name"] for arm in results["arms"]}
    # One of the two has its whole test set; a network of photographs takes a minute for 10,000 of them.
    assert (
        results["test_images"] == (10_000 if name == "fashion_mnist" else 300)
        and (tmp_path / "r" / "report.html").is_file()
    )
