"""Random damage to a random file of a run or study, finished or half done, then going on: the file is named, or nothing
changes. Never other results and exit code 0, and never an exception that is not ours.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults_toys import EXPERIMENTS, RUN, STUDY, damaged, products, stopped_at

from rolewise import report
from rolewise.errors import Interrupted, RolewiseError
from rolewise.experiment import load, pipeline
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.report.run_data import read_run
from rolewise.report.study_data import read_study
from rolewise.report.study_pictures import read_pictures
from rolewise.study import load_study, run_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: In this many tests, each of this many damages, so that tests share a finished folder.
CASES, EACH = 6, 10


@pytest.fixture(scope="module", autouse=True)
def without_drawing() -> Iterator[None]:
    """Reads what the pages are made of, and draws nothing, which takes seconds."""

    def shown_run(root: Path) -> None:
        read_run(root)
        (root / "report.html").write_text("a page")

    def shown_study(root: Path) -> None:
        read_study(root), read_pictures(root)
        (root / "report.html").write_text("a page")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write_report", shown_run)
        patch.setattr(report, "write_study_report", shown_study)
        yield


def go_on_with_a_run(folder: Path) -> None:
    pipeline.run(load(EXPERIMENTS / "quick.yaml", [*RUN, "workers=1"]), folder)
    evaluate_stage(folder, "seed0/small-own+distill")


def everything_again(folder: Path) -> None:
    """Reads all that a finished run holds: its page, its networks."""
    read_run(folder)
    go_on_with_a_run(folder)
    shutil.rmtree(folder / "stages/seed0/test")
    go_on_with_a_run(folder)


def go_on_with_a_study(folder: Path) -> None:
    made = run_study(load_study(EXPERIMENTS / "study.yaml", [*STUDY, "workers=1"]), folder, isolate=False)
    if made.failed:
        raise RolewiseError(str(made.failed[0]["reason"]))


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    go_on_with_a_run(folder)
    return folder


@pytest.fixture(scope="module")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "whole"
    go_on_with_a_study(folder)
    return folder


def try_one(whole: Path, begun: Path, go_on: Callable[[Path], None], choice: random.Random) -> str | None:
    """Damages a copy of a begun folder and goes on; returns what is wrong with what came of it."""
    copy = begun.with_name("damaged")
    shutil.copytree(begun, copy, symlinks=True)
    try:
        path, how = damaged(copy, choice)
        what = f"{path.relative_to(copy)} ({how})"
        try:
            go_on(copy)
        except RolewiseError as error:
            # A search names its folder, above the one of its states.
            places = {path.name, path.parent.name} | (
                {path.parent.parent.name} if path.parent.name == "state" else set()
            )
            named = any(part in str(error) for part in places)
            return None if named else f"{what}: the message names it not: {error}"
        except Exception as error:
            return f"{what}: {type(error).__name__}: {error}"
        found, expected = products(copy), products(whole)
        other = sorted(name for name in expected if found.get(name) != expected[name])
        return f"{what}: other results, and nobody said so: {', '.join(other)}" if other else None
    finally:
        shutil.rmtree(copy)


def check(whole: Path, begun: Path, go_on: Callable[[Path], None], seed: str, record_property: Any) -> None:
    choice = random.Random(seed)
    found = [try_one(whole, begun, go_on, choice) for _ in range(EACH)]
    record_property("faults", (f"damages to a {seed.rpartition(' ')[0]}", EACH))
    wrong = [text for text in found if text]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_finished_run(finished_run: Path, seed: int, record_property: Any) -> None:
    check(finished_run, finished_run, everything_again, f"finished run {seed}", record_property)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_finished_study(finished_study: Path, seed: int, record_property: Any) -> None:
    check(finished_study, finished_study, go_on_with_a_study, f"finished study {seed}", record_property)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_run_that_was_stopped_half_way(finished_run: Path, seed: int, tmp_path: Path, record_property: Any) -> None:
    config = load(EXPERIMENTS / "quick.yaml", [*RUN, "workers=1"])
    with stopped_at(2 + 3 * seed) as tell, pytest.raises(Interrupted):
        pipeline.run(config, tmp_path / "half", on_update=tell)
    check(finished_run, tmp_path / "half", go_on_with_a_run, f"run half way {seed}", record_property)
