"""Runs and studies with trackers: the same bytes, the same keys, and each number once however often they stopped."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.config import ConfigError, differences, experiment_digest, load_experiment_config
from rolewise.errors import Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.input_digests import inputs_of
from rolewise.study import load_study
from rolewise.study.keys import stage_keys

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).resolve().parent.parent / "experiment/quick.yaml"
SMALL = ["seeds=[0]", "arms.student=[none]", "arms.teacher=[none]"]
OWN = "class Silent:\n    def start(self, run): ...\n    log = finish = start\n"


def test_a_tracker_is_no_part_of_what_a_run_or_a_stage_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("silent.py").write_text(OWN)
    read = [load_experiment_config(QUICK, [*SMALL, *more]) for more in ([], ["track=[csv, {name: 'silent:Silent'}]"])]
    plain, tracking = read
    assert len(tracking.track) == 2
    assert experiment_digest(tracking) == experiment_digest(plain)
    assert not differences(plain, tracking)
    assert inputs_of(tracking) == inputs_of(plain)
    assert stage_keys(tracking) == stage_keys(plain)


def test_the_faults_of_trackers_stand_beside_all_others(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text(f"extends: {QUICK}\ntrack:\n- csv\n- tensorbord\n- {{name: csv2:Tracker}}\nprimary: f9\n")
    with pytest.raises(ConfigError) as error:
        load(file)
    text = str(error.value)
    assert "c.yaml:4" in text and "track[1]: must be a tracker or package.module:name, got 'tensorbord'" in text
    assert "c.yaml:5" in text and 'track[2].name: "csv2:Tracker" cannot be imported' in text
    assert "primary" in text
    with pytest.raises(ConfigError) as error:
        load(file, imports=False)
    assert "csv2" not in str(error.value) and "tensorbord" in str(error.value)


def test_a_study_names_its_trackers_once(tmp_path: Path):
    text = f"name: s\nbase: {QUICK}\nseeds: [0]\nset: {{arms.student: [none], arms.teacher: [none]}}\n"
    text += "grid: {'distill.methods[0].temperature': [1.0, 2.0]}\n"
    file = tmp_path / "s.yaml"
    file.write_text(f"{text}track: [csv]\n")
    assert load_study(file).track == ("csv",)
    file.write_text(f"{text}track: [cvs]\n")
    with pytest.raises(ConfigError, match=r"s\.yaml:6\s+track\[0\]: must be a tracker .*did you mean \"csv\"") as error:
        load_study(file)
    assert str(error.value).count("track[0]") == 1


def test_the_command_names_what_is_wrong(tmp_path: Path):
    (tmp_path / "run.json").write_text("{}")
    for arguments, said in (
        ([str(tmp_path / "x"), "--with", "csv"], "is no folder of a run or a study"),
        ([str(tmp_path), "--with", "cvs"], "--with cvs: must be a tracker or package.module:name, got 'cvs'; did you"),
        ([str(tmp_path), "--with", "{csv"], "--with must be a name or a mapping such as"),
    ):
        made = CliRunner().invoke(app, ["track", *arguments])
        assert said in str(made.exception)


@pytest.mark.slow
def test_a_run_that_stops_and_goes_on_is_tracked_once_and_leaves_the_same_bytes(tmp_path: Path):
    run(load(QUICK, SMALL), tmp_path / "plain")
    config = load(QUICK, [*SMALL, "track=[csv]"])
    folder = tmp_path / "tracked"

    def stop(update: StageUpdate) -> None:
        if update.text.startswith("epoch 2"):
            raise Interrupted("tried")

    with pytest.raises(Interrupted):
        run(config, folder, on_update=stop)
    table = folder / "tracking/csv/metrics.csv"
    assert table.read_text().count("train_loss") >= 2
    # A tracker that was not there at the beginning does not refuse resuming, nor does one that is gone.
    run(load(QUICK, SMALL), folder)
    run(config, folder)
    run(config, folder)
    with table.open(newline="") as file:
        found = Counter((row["stage"], row["step"], row["name"]) for row in csv.DictReader(file))
    assert set(found.values()) == {1}
    assert ("seed0/teacher-none", "4", "train_loss") in found
    assert ("seed0/small-none+distill", "6", "validation_accuracy") in found
    assert ("seed0/small-none+distill", "6", "test/accuracy") in found
    for path in (tmp_path / "plain").rglob("*"):
        if path.name in ("results.json", "done.json", "schedule.json", "record.jsonl", "weights.safetensors"):
            assert (folder / path.relative_to(tmp_path / "plain")).read_bytes() == path.read_bytes(), path
    made = CliRunner().invoke(app, ["track", str(folder), "--with", "csv", "--fresh"])
    assert made.exit_code == 0 and "csv: " in made.output
    with table.open(newline="") as file:
        assert {(row["stage"], row["step"], row["name"]) for row in csv.DictReader(file)} == set(found)
