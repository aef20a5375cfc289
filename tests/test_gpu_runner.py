"""The runner of what is worth measuring on a GPU: it survives whatever cuts it off, and says what is left."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
ABOUT = {"device": "cpu", "versions": {"torch": "2"}, "commit": "c0ffee", "changed": False}


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_pieces.packages
    import gpu_pieces.place
    import gpu_pieces.plan
    import gpu_pieces.progress
    import gpu_pieces.running

    return gpu_pieces


def command(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def run(pieces: Any, folder: Path, code: str, seconds: float = 30, **more: Any) -> tuple[str, Any]:
    records = pieces.running.Records(folder)
    step = pieces.plan.Step("step", command(code), 5.0, **more)
    return pieces.running.run_part(step, records, ABOUT, time.monotonic() + seconds), records


def test_a_step_that_ends_leaves_its_figures_and_where_they_come_from(pieces: Any, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    code = f"import pathlib; pathlib.Path({str(figures)!r}).write_text('[1.5]'); print('said')"
    ended, records = run(pieces, tmp_path, code, figures=figures)
    assert ended == "done" and (tmp_path / "step.log").read_text() == "said\n"
    found = json.loads(records.result("step").read_text())
    assert found["figures"] == [1.5] and found["commit"] == "c0ffee" and found["device"] == "cpu"
    assert found["command"].startswith("python -c ") and found["versions"] == {"torch": "2"}
    assert [part["ended"] for part in found["parts"]] == ["done"]
    assert pieces.progress.left(pieces.plan.Step("step", (), 5.0), records) == (0.0, "done")


def test_a_step_is_interrupted_at_the_deadline_and_its_time_counts(pieces: Any, tmp_path: Path) -> None:
    code = (
        "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('checkpoint'); raise SystemExit(1)"
    )
    ended, records = run(pieces, tmp_path, code, 1.0)
    assert ended == "cut off" and (tmp_path / "step.log").read_text() == "checkpoint\n"
    assert not records.result("step").exists() and 0.9 < records.spent("step") < 20
    minutes, known = pieces.progress.left(pieces.plan.Step("step", (), 5.0), records)
    assert 4 < minutes < 5 and "a guess" in known
    ended, records = run(pieces, tmp_path, "print('went on')")
    assert ended == "done" and [part["ended"] for part in records.parts("step")] == ["cut off", "done"]
    assert json.loads(records.result("step").read_text())["seconds"] > 0.9


def test_a_step_that_fails_is_said_to_and_is_tried_again(pieces: Any, tmp_path: Path) -> None:
    assert run(pieces, tmp_path, "raise SystemExit(2)")[0] == "failed"
    ended, records = run(pieces, tmp_path, "pass")
    assert ended == "done" and [part["code"] for part in records.parts("step")] == [2, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_at_any_moment_it_leaves_a_whole_record_and_no_process(pieces: Any, tmp_path: Path) -> None:
    inner = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    code = (
        f"import sys, time, pathlib; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from gpu_pieces import plan, running\n"
        f"running.ROOT = pathlib.Path({str(tmp_path)!r})\n"
        f"step = plan.Step('step', (sys.executable, '-c', {inner!r}), 5.0)\n"
        f"running.run_part(step, running.Records(pathlib.Path({str(tmp_path)!r})), {{'device': 'cpu'}}, "
        "time.monotonic() + 60)"
    )
    runner = subprocess.Popen(command(code))
    child = tmp_path / "pid"
    while not (child.is_file() and child.read_text()):
        assert runner.poll() is None
        time.sleep(0.02)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    records = pieces.running.Records(tmp_path)
    assert [part["ended"] for part in records.parts("step")] == ["cut off"] and not records.result("step").exists()
    deadline = time.monotonic() + 60
    while _alive(int(child.read_text())):
        assert time.monotonic() < deadline, "the step outlived its runner"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_wheels_are_installed_without_a_network_and_what_is_there_stays(
    pieces: Any, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("pip", reason="this environment was made without pip")
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    with pytest.raises(SystemExit, match="has none"):
        pieces.packages.install(wheels, site)
    for name in ("rolewise_nothing", "numpy"):
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(wheels / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", "VALUE = 3\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "kept")
    assert pieces.packages.install(wheels, site) == ["rolewise_nothing-1.0-py3-none-any.whl"]
    assert (site / "rolewise_nothing.py").is_file() and not (site / "numpy.py").exists()
    pieces.place.use(site)
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(BENCHMARKS.parent / "src"), str(site), "kept"]
    assert pieces.packages.install(wheels, site) == []


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    info = f"{name}-{version}.dist-info"
    fields = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {x}" for x in needs)]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"VALUE = '{version}'\n")
        file.writestr(f"{info}/METADATA", "\n".join(fields) + "\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.mark.slow
def test_every_missing_package_is_named_at_once_with_the_command_that_fetches_it(
    pieces: Any, tmp_path: Path, monkeypatch
) -> None:
    packages = pieces.packages
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    wheel(
        wheels, "rw_front", "2.0", "rw-core==2.5", "rw_types>=1; python_version >= '3'", "torch>=99", "no; extra == 'x'"
    )
    monkeypatch.setattr(packages, "NEEDED", {"rw_front": "rw_front"})
    monkeypatch.setattr(packages, "PEERS", ())
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    with pytest.raises(SystemExit, match="missing: rw_front\n"):
        packages.check(site)
    packages.install(wheels, site)
    (site / "rw_front.py").write_text("import rw_core\n")
    with pytest.raises(SystemExit) as refused:
        packages.check(site)
    text = str(refused.value)
    assert "rw_front (No module named 'rw_core')" in text and "missing: rw-core==2.5, rw_types>=1\n" in text
    assert "pip download --dest wheels --only-binary=:all: --python-version" in text and text.endswith(
        " rw-core==2.5 'rw_types>=1'"
    )
    # One that is there in another version is replaced where the wheels have the right one.
    for version in ("2.4", "2.5"):
        for old in wheels.glob("rw_core*"):
            old.unlink()
        wheel(wheels, "rw_core", version)
        assert packages.install(wheels, site) == [f"rw_core-{version}-py3-none-any.whl"]
    assert "2.5" in (site / "rw_core.py").read_text()


def test_what_stands_on_torch_is_fetched_without_another_torch(pieces: Any) -> None:
    lines = pieces.packages.fetching(["pydantic", "kornia", "kornia-rs>=0.2.0"]).splitlines()
    assert lines[0].endswith(" pydantic") and "--no-deps" not in lines[0]
    assert lines[1].endswith(" --no-deps kornia 'kornia-rs>=0.2.0'")


def test_a_copy_without_its_repository_needs_its_commit(pieces: Any, tmp_path: Path, monkeypatch) -> None:
    place = pieces.place
    monkeypatch.setattr(place, "ROOT", tmp_path)
    monkeypatch.delenv("ROLEWISE_COMMIT", raising=False)
    with pytest.raises(SystemExit, match="--commit"):
        place.check_commit(False)
    place.check_commit(True)
    monkeypatch.setenv("ROLEWISE_COMMIT", "c0ffee")
    place.check_commit(False)
    assert place.commit() == {"commit": "c0ffee", "changed": None}
    # The repository around a copy is not that of the copy.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(place, "ROOT", tmp_path / "copy")
    (tmp_path / "copy").mkdir()
    assert place.commit()["commit"] == "c0ffee"


def test_the_data_are_looked_for_before_anything_runs(pieces: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="must be the folder over cifar-100-python"):
        pieces.place.data_folder(tmp_path)
    folder = pieces.place.miniature_data(tmp_path)
    assert pieces.place.data_folder(folder) == pieces.place.data_folder(folder / "cifar-100-python") == folder


def test_miniatures_and_measurements_do_not_share_a_folder(pieces: Any, tmp_path: Path) -> None:
    pieces.place.bind(tmp_path, True)
    pieces.place.bind(tmp_path, True)
    with pytest.raises(SystemExit, match="must hold measurements, and holds others"):
        pieces.place.bind(tmp_path, False)


@pytest.mark.slow
def test_every_piece_has_its_steps_and_every_config_is_valid(pieces: Any, tmp_path: Path) -> None:
    from rolewise.experiment import load
    from rolewise.study import load_study

    for miniature in (False, True):
        found = pieces.plan.pieces(pieces.plan.Setting(tmp_path, "cpu", miniature))
        assert [piece.name for piece in found] == [
            "agreement",
            "peers",
            "device",
            "pair",
            "role_wise",
            "reference",
            "mixing",
        ]
        for step in (step for piece in found for step in piece.steps):
            words = list(step.command)
            if "rolewise" not in words:
                continue
            kind, config = words[3:5]
            sets = [value for word, value in itertools.pairwise(words) if word == "--set"]
            assert (load_study if kind == "study" else load)(Path(config), sets)


def test_the_miniature_s_pictures_are_read_as_cifar_100_is(pieces: Any, tmp_path: Path) -> None:
    from rolewise.data import read

    with pytest.warns(match="md5"):
        found = read("cifar100", root=pieces.place.miniature_data(tmp_path))
    assert len(found.train) == 300 and found.test is not None and len(found.test) == 100
    assert len(found.train.classes) == 100
