"""A changed config in an existing run folder: what still holds is kept, and the bytes are those of a fresh run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rolewise.errors import InputError, RunError
from rolewise.experiment import load
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.extension import Extension, extension_of
from rolewise.experiment.lock import locked
from rolewise.experiment.pipeline import run
from rolewise.seals import SECONDS

QUICK = Path(__file__).parent / "quick.yaml"
SMALL = [
    *("seeds=[0]", "teacher.train.epochs=1", "students[0].train.epochs=2", "search.members=2"),
    *("arms.teacher=[none]", "arms.student=[none]", "arms.distill=[true]"),
]
TIMES = ("timing.jsonl", SECONDS)


def small(*changes: str) -> list[str]:
    kept = [setting for setting in SMALL if setting.partition("=")[0] not in {one.partition("=")[0] for one in changes}]
    return [*kept, *changes]


def files_of(root: Path) -> dict[str, bytes]:
    """Returns everything that is made from the config, without times and the page."""
    names = ("results.json", "run.json", "config.yaml", "previews.npz")
    stages = [path for path in (root / "stages").rglob("*") if path.is_file() and path.name not in TIMES]
    return {str(path.relative_to(root)): path.read_bytes() for path in [*stages, *(root / name for name in names)]}


def ran(config: object, root: Path, **how: bool) -> list[str]:
    seen: list[StageUpdate] = []
    run(config, root, on_update=seen.append, **how)  # type: ignore[arg-type]
    return [update.stage for update in seen if update.text == "done"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "r"
    run(load(QUICK, small()), root)
    return root


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "moved" / "r"))


TEACHER, ARM, TEST = "seed0/teacher-none", "seed0/small-none+distill", "seed0/test"
CHANGES = {
    "more seeds": (["seeds=[0, 1]"], ["seed1/teacher-none", "seed1/small-none+distill", "seed1/test"]),
    "more arms": (["arms.distill=[true, false]"], ["seed0/small-none", TEST]),
    "longer training": (["students[0].train.epochs=3"], [ARM, TEST]),
    "another metric": (["metrics=[top_k_accuracy]"], [TEST]),
    "another name": (["name=other", "workers=1"], []),
    "one more teacher, so that arms are renamed": (
        ["arms.teacher=[none, standard]"],
        ["seed0/teacher-standard", "seed0/small-none+distill@standard", TEST],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_extended_run_is_a_fresh_one_to_the_byte(folder: Path, tmp_path: Path, what: str) -> None:
    changes, expected = CHANGES[what]
    config = load(QUICK, small(*changes))
    again = extension_of(folder, config)
    assert [*again.again, *again.new] == sorted(expected, key=[*again.again, *again.new].index)
    assert ran(config, folder, extend=True) == expected
    run(config, tmp_path / "fresh")
    assert files_of(folder) == files_of(tmp_path / "fresh")
    assert (folder / "replaced/results-1/results.json").is_file()
    assert ran(config, folder) == [], "it is a run of that config from now on"
