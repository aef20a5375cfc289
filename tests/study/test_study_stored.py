"""A study whose stages and measurements lie in a store: the bytes of an ordinary study, and resumed anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.experiment import stored_run
from rolewise.jobs.store import StoredPath
from rolewise.study import load_study, run_study
from rolewise.study.job_execution import JobEvent

pytestmark = pytest.mark.usefixtures("figures_unrendered")

HERE = Path(__file__).parent.parent / "experiment"


def left_by(folder: Path) -> dict[str, bytes]:
    """Gives the table and what lies under the keys, without times."""
    kept = [folder / "results.csv", *folder.glob("store/*/*")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in kept
        if path.is_file() and path.name not in ("timing.jsonl", "seconds.json")
    }


def test_a_study_gives_the_same_bytes_from_a_store_and_goes_on_elsewhere(tmp_path: Path) -> None:
    path, address = tmp_path / "s.yaml", "memory://a study"
    head = (HERE / "study.yaml").read_text().partition("grid:")[0].replace("quick.yaml", str(HERE / "quick.yaml"))
    path.write_text(head.replace("seeds: [0, 1]", "seeds: [0]") + "grid: {distill.methods.0.temperature: [1, 4]}")
    study = load_study(path)
    StoredPath(address).remove_folder()
    run_study(study, tmp_path / "whole", isolate=False)
    run_study(study, tmp_path / "first", isolate=False, states=address)
    assert left_by(tmp_path / "first") == left_by(tmp_path / "whole")
    seen: list[JobEvent] = []
    stored_run._own_folder.cache_clear()
    run_study(study, tmp_path / "second", isolate=False, states=address, on_event=seen.append)
    assert not seen and left_by(tmp_path / "second") == left_by(tmp_path / "whole")
