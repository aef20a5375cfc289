"""A user's own loss, operation, network, data and tracker in an empty folder, from the first command to a table."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

TRACKER = """
class Lines:
    def __init__(self, file):
        self.file = file

    def start(self, run):
        self.path = run.folder / self.file

    def log(self, stage, step, values):
        with open(self.path, "a") as file:
            print(stage, step, file=file)

    def finish(self, results):
        pass
"""
#: A run of seconds, of what both templates have.
SETTINGS = (
    "seeds=[0]",
    "workers=2",
    "track=[{name: 'my_tracker:Lines', file: lines.txt}]",
    "data={name: 'my_data:shapes', arguments: {number: 400}, validation: 60, test: 100}",
    "teacher.model={name: 'my_data:TwoBlocks', arguments: {width: 8}}",
    "teacher.images=200",
    "teacher.train.epochs=2",
    "students[0].model={name: 'my_data:TwoBlocks', arguments: {width: 4}}",
    "students[0].train.epochs=2",
    "arms.student=[none, trivialaugment]",
)


@pytest.mark.slow
def test_own_loss_operation_network_and_data(rolewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_method", "my_data", "my_tracker"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def done(*words: object, code: int = 0) -> str:
        returned, text, errors = rolewise(*words)
        assert returned == code, text + errors
        return str(text + errors)

    # Two templates, of which the user takes the code of both.
    said = done("new", "mine", "--template", "own-method")
    assert "cd mine" in said and "rolewise run config.yaml --out run" in said
    done("new", "other", "--template", "own-data")
    shutil.move("other/my_data.py", "mine/my_data.py")
    monkeypatch.chdir(tmp_path / "mine")
    Path("my_tracker.py").write_text(TRACKER)
    settings = [word for one in SETTINGS for word in ("--set", one)]
    assert "disc" in done("data", "look", "config.yaml", *settings)
    assert "1 seed, 1 teacher, 4 students trained, 1 test evaluation" in done("validate", "config.yaml", *settings)
    assert "run/report.html" in done("run", "config.yaml", "--out", "run", *settings)

    results = json.loads(Path("run/results.json").read_text())
    assert {arm["name"] for arm in results["arms"]} == {
        "none",
        "none+distill",
        "trivialaugment",
        "trivialaugment+distill",
    }
    record = Path("run/stages/seed0/small-none+distill/record.jsonl").read_text()
    assert "ranking" in record and "disc" in Path("run/report.html").read_text()
    assert "seed0/small-none+distill 2" in Path("run/tracking/my_tracker.Lines/lines.txt").read_text()
    rows = list(csv.DictReader(done("table", "run", "--format", "csv").splitlines()))
    assert [row["network"] for row in rows].count("small") == 4

    # A slip in one's own file is named with its line, before anything is trained.
    text = Path("my_method.py").read_text()
    Path("my_method.py").write_text(text.replace("topk(2, dim=1)", "topk(2, dim=1"))
    monkeypatch.delitem(sys.modules, "my_method")
    wrong = done("validate", "config.yaml", *settings, code=2)
    assert "my_method.py, line" in wrong and "mend it there" in wrong
