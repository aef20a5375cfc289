"""A folder that a process began and was killed in, before its record was whole, is taken for a new one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolewise.begun_folder import holds_other_files
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.failures import keep_traceback
from rolewise.experiment.run_folder import open_run
from rolewise.study import load_study
from rolewise.study.study_folder import open_study
from rolewise.systems import system_run

HERE = Path(__file__).parent


def begin_run(root: Path) -> None:
    """Begins the folder of a run."""
    open_run(root, load(HERE / "quick.yaml"))


def begin_study(root: Path) -> None:
    """Begins the folder of a study."""
    open_study(root, load_study(HERE / "study.yaml", ["seeds=[0]"]))


def begin_system(root: Path) -> None:
    """Begins the folder of a system."""
    system_run._open(root, {"version": 1, "system": "stkd", "settings": {}})


BEGIN: dict[str, Callable[[Path], None]] = {
    "run.json": begin_run,
    "study.json": begin_study,
    system_run.SYSTEM: begin_system,
}


@pytest.mark.parametrize("record", list(BEGIN))
def test_what_was_broken_off_before_its_record_begins_anew(
    record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, moments = tmp_path / "whole", []
    replace: Callable[..., None] = os.replace

    def watched(*given: Any) -> None:
        moments.append(shutil.copytree(root, tmp_path / f"before-{len(moments)}"))
        replace(*given)
        moments.append(shutil.copytree(root, tmp_path / f"after-{len(moments)}"))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", watched)
        BEGIN[record](root)
    broken = [moment for moment in moments if not (moment / record).exists()]
    assert any(path.name.endswith(".tmp") for path in broken[0].iterdir())
    assert len(broken) == len(moments) - 1
    for moment in broken:
        BEGIN[record](moment)
        assert (moment / record).read_bytes() == (root / record).read_bytes(), moment.name
        assert not holds_other_files(moment, [path.name for path in root.iterdir()])


@pytest.mark.parametrize("record", list(BEGIN))
@pytest.mark.parametrize("mine", ["notes.txt", "config.yaml", "study.yaml", "notes.tmp"])
def test_a_file_of_ones_own_is_not_taken_for_one_that_was_begun(record: str, mine: str, tmp_path: Path) -> None:
    (tmp_path / mine).write_text("mine")
    with pytest.raises(InputError, match="new folder"):
        BEGIN[record](tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [mine] and (tmp_path / mine).read_text() == "mine"


@pytest.mark.parametrize("record", list(BEGIN))
def test_what_a_system_or_a_repository_hides_in_a_folder_is_no_other_file(record: str, tmp_path: Path) -> None:
    for name in (".DS_Store", ".gitkeep"):
        (tmp_path / name).touch()
    BEGIN[record](tmp_path)
    assert (tmp_path / record).exists() and (tmp_path / ".gitkeep").exists()


def test_a_traceback_is_kept_where_a_run_was_begun_and_not_among_other_files(tmp_path: Path) -> None:
    (tmp_path / ".config.yaml.00.tmp").touch()
    assert keep_traceback(tmp_path, "why") == tmp_path / "traceback.txt"
    (tmp_path / "notes.txt").touch()
    assert keep_traceback(tmp_path, "why") is None
