"""A changed config in an existing run folder: what still holds is kept, and the bytes are those of a fresh run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rolewise.errors import InputError, RunError
from rolewise.experiment import load
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.extension import Extension, extension_of
from rolewise.experiment.lock import locked
from rolewise.experiment.pipeline import run
from rolewise.seals import SECONDS, write_sealed

pytestmark = pytest.mark.usefixtures("figures_unrendered")

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
    "more seeds": (["seeds=[0, 1]"], ["seed1/teacher-none", "seed1/small-none+distill", TEST, "seed1/test"]),
    "more arms": (["arms.distill=[true, false]"], ["seed0/small-none", TEST]),
    "longer training": (["students[0].train.epochs=3"], [ARM, TEST]),
    "another metric": (["metrics=[top_k_accuracy]", "primary=accuracy"], [TEST]),
    "another name": (["name=other", "workers=1"], []),
    "one more teacher, so that arms are renamed": (
        ["arms.teacher=[none, standard]"],
        ["seed0/teacher-standard", "seed0/small-none+distill@standard", TEST],
    ),
}


# One of them by default: each trains a run anew.
@pytest.mark.parametrize(
    "what", [what if what == "longer training" else pytest.param(what, marks=pytest.mark.slow) for what in CHANGES]
)
def test_an_extended_run_is_a_fresh_one_to_the_byte(folder: Path, tmp_path: Path, what: str) -> None:
    changes, expected = CHANGES[what]
    config = load(QUICK, small(*changes))
    again = extension_of(folder, config)
    assert {*again.again, *again.new} == {*expected}
    assert ran(config, folder, extend=True) == expected
    run(config, tmp_path / "fresh")
    assert files_of(folder) == files_of(tmp_path / "fresh")
    assert (folder / "replaced/results-1/results.json").is_file()
    assert ran(config, folder) == [], "it is a run of that config from now on"


def test_without_it_the_refusal_names_it_and_what_would_be_kept(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(load(QUICK, small("students[0].train.epochs=3")), folder)
    text = str(caught.value)
    assert "students[0].train.epochs: 2 -> 3" in text and "--fresh" in text and "--extend --dry-run" in text
    assert f"1 stage kept, 2 to run ({ARM}, {TEST})" in text


@pytest.mark.slow
def test_what_is_replaced_lies_aside_until_a_config_wants_it_again(folder: Path) -> None:
    before, longer = files_of(folder), load(QUICK, small("students[0].train.epochs=3"))
    assert ran(longer, folder, extend=True) == [ARM, TEST]
    back = load(QUICK, small())
    assert extension_of(folder, back) == Extension(("seed0/teacher-none", ARM, TEST), (), (), (), ())
    assert ran(back, folder, extend=True) == [] and files_of(folder) == before
    with locked(folder), pytest.raises(RunError, match="in use"):
        run(longer, folder, extend=True)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["put_results_aside", "write_record", "take_back"])
def test_killed_in_the_middle_of_an_extension_it_goes_the_rest_of_the_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    config = load(QUICK, small("arms.teacher=[none, standard]", "arms.student=[none, standard]"))
    with monkeypatch.context() as patch:
        patch.setattr(f"rolewise.experiment.extension.{place}", _killed)
        with pytest.raises(_Killed):
            run(config, folder, extend=True)
    done = ran(config, folder, extend=True)
    assert TEACHER not in done and f"{ARM}@none" not in done, "nothing is trained twice"
    run(config, tmp_path / "fresh")
    assert files_of(folder) == files_of(tmp_path / "fresh")


class _Killed(BaseException):
    pass


def _killed(*_: object) -> None:
    raise _Killed


def test_an_input_that_has_changed_costs_what_reads_it(folder: Path, tmp_path: Path) -> None:
    known = json.loads((folder / "run.json").read_text())
    known["read"] = {name: "0" * 64 if "labels of the test" in name else mark for name, mark in known["read"].items()}
    known["read"]["data digits, labels of the training images"] = "0" * 64
    write_sealed(folder / "run.json", known)
    again = extension_of(folder, load(QUICK, small()))
    assert not again.kept and len(again.again) == 3


def test_a_run_that_failed_before_its_first_stage_was_finished_takes_the_corrected_config(tmp_path: Path) -> None:
    wrong, right = load(QUICK, small("teacher.train.epochs=9")), load(QUICK, small())
    with pytest.raises(RunError):
        run(wrong, tmp_path / "r", on_update=lambda update: _fail(update.text))
    assert (tmp_path / f"r/stages/{TEACHER}/record.jsonl").stat().st_size, "it had begun"
    assert len(ran(right, tmp_path / "r")) == 3
    run(right, tmp_path / "fresh")
    assert files_of(tmp_path / "r") == files_of(tmp_path / "fresh")
    with pytest.raises(InputError, match="made by another config"):
        run(wrong, tmp_path / "r")


def _fail(text: str) -> None:
    if text.startswith("epoch"):
        raise RunError("a fault of the first epoch")


@pytest.mark.slow
@pytest.mark.parametrize("copied", [False, True])
def test_a_folder_that_was_moved_or_copied_is_resumed(finished: Path, tmp_path: Path, copied: bool) -> None:
    first = Path(shutil.copytree(finished, tmp_path / "first"))
    shutil.rmtree(first / f"stages/{ARM}")
    shutil.rmtree(first / "stages/seed0/test")
    moved = Path(shutil.copytree(first, tmp_path / "elsewhere/r") if copied else first.rename(tmp_path / "moved"))
    assert ran(load(QUICK, small()), moved) == [ARM, TEST] and files_of(moved) == files_of(finished)
