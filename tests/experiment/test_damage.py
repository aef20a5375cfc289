"""Damage to any file of a finished run or study: it is named with its remedy, or changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rolewise import report
from rolewise.errors import RolewiseError
from rolewise.experiment import load, pipeline
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.report.run_data import read_run
from rolewise.report.study_data import read_study
from rolewise.report.study_pictures import read_pictures
from rolewise.study import load_study, run_study
from rolewise.study.study_folder import StudyFolder

HERE = Path(__file__).parent
CONFIG = load(
    HERE / "quick.yaml",
    [
        "seeds=[0]",
        "arms.student=[none,own]",
        "arms.distill=[true]",
        "teacher.train.epochs=2",
        "students[0].train.epochs=2",
        "students[0].quantise={weights: 4, activations: 4}",
        "search.scalars={temperature: {low: 1, high: 8}}",
    ],
)
GRID = ["seeds=[0]", "grid={distill.label_weight: [0.1, 0.5]}", "measure=[accuracy, calibration]"]


def flipped(place: float) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        at = int(place * (len(content) - 1))
        return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit at the start": flipped(0.0),
    "a bit early on": flipped(0.2),
    "a bit in the middle": flipped(0.5),
    "a bit late": flipped(0.8),
    "a bit at the end": flipped(1.0),
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "other keys": lambda content: b'{"version": 2, "name": "x", "kind": "schedule", "stage": 3, "files": 4}',
    "of another": lambda content: b"",  # replaced below by a file of the same name from elsewhere
}


@pytest.fixture(scope="module", autouse=True)
def without_drawing() -> Iterator[None]:
    """Reads what the pages are made of, and draws nothing, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write_report", shown_run)
        patch.setattr(report, "write_study_report", shown_study)
        yield


def shown_run(root: Path) -> None:
    read_run(root)
    (root / "report.html").write_text("a page")


def shown_study(root: Path) -> None:
    read_study(root), read_pictures(root)
    (root / "report.html").write_text("a page")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "r"
    pipeline.run(CONFIG, folder)
    return folder


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "s"
    run_study(load_study(HERE / "study.yaml", GRID), folder, isolate=False)
    return folder


def go_on_with_the_run(folder: Path) -> bytes:
    """All that reads a finished run: the page, the run's command, evaluating, and the test of every network anew."""
    read_run(folder)
    pipeline.run(CONFIG, folder)
    evaluate_stage(folder, "seed0/small-own+distill")
    shutil.rmtree(folder / "stages/seed0/test")
    pipeline.run(CONFIG, folder)
    return (folder / "results.json").read_bytes()


def go_on_with_the_study(folder: Path) -> bytes:
    read_study(folder), read_pictures(folder)
    study = load_study(HERE / "study.yaml", GRID)
    result = run_study(study, folder, isolate=False)
    for done in folder.glob("store/*/done.json"):
        if "measured" in json.loads(done.read_text()):
            shutil.rmtree(done.parent)
    result = run_study(study, folder, isolate=False)
    if result.failed:
        raise RolewiseError(result.failed[0]["reason"])
    return (folder / "results.csv").read_bytes()


RUN_FILES = (
    *("run.json", "config.yaml", "environment.json", "results.json", "timing.json", "previews.npz", "products.json"),
    "predictions.npz",
    *("report.html", ".lock", "state.json", "statistics/seed0.json"),
    *(f"stages/seed0/teacher-search/{name}" for name in ("done.json", "lineage.json", "record.jsonl", "schedule.json")),
    *(f"stages/seed0/teacher-search/{name}" for name in ("scalars.json", "seconds.json", "timing.jsonl")),
    *(f"stages/seed0/teacher-own/{name}" for name in ("done.json", "weights.safetensors", "record.jsonl")),
    *(f"stages/seed0/small-own+distill/{name}" for name in ("done.json", "weights.safetensors", "record.jsonl")),
    *(f"stages/seed0/small-own+distill/{name}" for name in ("histograms.json", "seconds.json", "timing.jsonl")),
    "stages/seed0/test/done.json",
)
#: Files that nothing is computed from: their damage is without effect.
READ_BY_NOBODY = ("report.html", ".lock", "state.json")


def tried(root: Path, file: Path, content: bytes, go_on: Callable[[Path], bytes], before: bytes) -> str:
    """Damages a file and goes on; returns what was said, or nothing where the results are the same."""
    copy = root.with_name("damaged")
    shutil.copytree(root, copy, symlinks=True)
    try:
        (copy / file).write_bytes(content)
        try:
            after = go_on(copy)
        except RolewiseError as error:
            return str(error)
        assert after == before, "other results, and nobody said so"
        return ""
    finally:
        shutil.rmtree(copy)


def contents(path: Path, twin: Path | None) -> Iterator[tuple[str, bytes]]:
    kept = path.read_bytes()
    for name, damage in DAMAGES.items():
        if name == "of another":
            if twin is not None and twin.read_bytes() != kept:
                yield name, twin.read_bytes()
        elif kept and damage(kept) != kept:
            yield name, damage(kept)


def check(
    root: Path, file: Path, twin: Path | None, go_on: Callable[[Path], bytes], result: str, *, made_anew: bool = False
) -> None:
    before = (root / result).read_bytes()
    without_effect = made_anew or file.name in READ_BY_NOBODY
    remedies = ("delete", "put it back", "--fresh", "run the command that made")
    for name, content in contents(root / file, twin):
        if without_effect and name not in ("a bit in the middle", "cut off"):
            continue  # each of these takes as long as all reading does
        said = tried(root, file, content, go_on, before)
        if said:
            # A bit of white space changes nothing, and is not always said.
            assert file.name in said or file.parent.name in said, f"{name}: {said}"
            assert any(remedy in said for remedy in remedies), f"{name}: {said}"
        else:
            assert without_effect or same(root / file, content), f"{name}: passed over in silence"


def same(path: Path, content: bytes) -> bool:
    """Returns whether JSON holds the same values all the same."""
    try:
        return bool(json.loads(path.read_bytes()) == json.loads(content))
    except ValueError:
        return False


@pytest.mark.parametrize("file", RUN_FILES)
def test_a_damaged_file_of_a_run_is_named_or_without_effect(run_folder: Path, file: str) -> None:
    twin = run_folder / file.replace("small-own", "small-none").replace("teacher-own", "small-none+distill")
    twins = twin if twin.is_file() and twin != run_folder / file else None
    check(run_folder, Path(file), twins, go_on_with_the_run, "results.json")


def test_the_list_of_a_run_s_files_is_complete(run_folder: Path) -> None:
    known = {Path(file).name for file in RUN_FILES}
    assert {path.name for path in run_folder.rglob("*") if path.is_file()} == known


STUDY_FILES = (
    *("study.json", "study.yaml", "environment.json", "results.csv", "timing.csv", "results.parquet", "report.html"),
    *("products.json", "pictures.json", "pictures.npz", ".lock", "state.json", "cell/run.json", "cell/config.yaml"),
    "cell/statistics/seed0.json",
    *("arm/done.json", "arm/weights.safetensors", "arm/record.jsonl", "arm/seconds.json", "arm/timing.jsonl"),
    *("teacher/done.json", "teacher/weights.safetensors", "measured/done.json", "failed/failed.json"),
)


def place_in(root: Path, file: str) -> tuple[Path, Path | None]:
    """Returns where a file of a study lies, and the file of its kind that belongs to another cell."""
    part, _, name = file.partition("/") if "/" in file else ("", "", file)
    if part == "cell":
        return Path("cells/grid-000", name), root / "cells/grid-001" / name
    if not part:
        return Path(name), None
    kinds: dict[str, list[Path]] = {}
    for done in sorted(root.glob("store/*/done.json")):
        value = json.loads(done.read_text())
        kinds.setdefault(value.get("kind", "measured"), []).append(done.parent.relative_to(root))
    if part == "failed":
        return kinds["arm"][0] / name, None
    twins = kinds[part][1:] or kinds["arm"]
    return kinds[part][0] / name, root / twins[0] / name


@pytest.mark.parametrize("file", STUDY_FILES)
def test_a_damaged_file_of_a_study_is_named_or_without_effect(study_folder: Path, file: str, tmp_path: Path) -> None:
    place, twin = place_in(study_folder, file)
    if file.startswith("failed"):
        study_folder = Path(shutil.copytree(study_folder, tmp_path / "s", symlinks=True))
        (study_folder / place.parent / "done.json").unlink()
        StudyFolder(study_folder).fail(place.parent.name, "memory was short")
        run_study(load_study(HERE / "study.yaml", GRID), study_folder, isolate=False)
    made_anew = file in ("cell/run.json", "cell/config.yaml", "results.csv", "timing.csv", "results.parquet")
    check(study_folder, place, twin, go_on_with_the_study, "results.csv", made_anew=made_anew)


def test_the_list_of_a_study_s_files_is_complete(study_folder: Path) -> None:
    known = {Path(file).name for file in STUDY_FILES} - {"failed.json"}
    assert {path.name for path in study_folder.rglob("*") if path.is_file()} == known
