"""The command line as a user meets it: what it prints, how it exits."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from rolewise.experiment import load, run
from rolewise.search import budget
from rolewise.words import counted

QUICK = Path(__file__).with_name("quick.yaml")
SMALL = ("seeds=[0]", "arms.student=[none, own]", "arms.distill=[true]")


def sets() -> list[str]:
    return [part for setting in SMALL for part in ("--set", setting)]


def test_run_ends_with_a_table_and_a_report(rolewise, tmp_path: Path) -> None:
    out = tmp_path / "r"
    code, text, _ = rolewise("run", str(QUICK), "--out", str(out), *sets())
    assert code == 0, text
    assert "own+distill" in text and "one seed says nothing about noise" in text and "report.html" in text
    assert "steps on" in text and "; about" in text and "stages left" in text
    code, text, _ = rolewise("evaluate", str(out), "seed0/small-own+distill")
    assert code == 0 and re.search(r"validation accuracy \d+\.\d%, cross-entropy \d\.\d{3} nats, 100 images", text)
    code, _, error = rolewise("evaluate", str(out))
    assert code == 2 and error.startswith("stage must be named") and "seed0/small-own+distill" in error
    assert "search" not in error, "a search has no network to evaluate"
    (out / "report.html").unlink()
    assert rolewise("report", str(out))[0] == 0 and (out / "report.html").is_file()


@pytest.mark.slow
def test_parts_of_an_experiment_share_its_folder(rolewise, tmp_path: Path) -> None:
    out = tmp_path / "r"
    code, text, _ = rolewise("search", str(QUICK), "--out", str(out), "--role", "small", *sets())
    assert code == 0 and "small-search/schedule.json" in text
    code, text, _ = rolewise("train", str(QUICK), "--out", str(out), *sets())
    assert code == 0 and "teacher-own/weights.safetensors" in text and "0 stages left" not in text
    code, text, _ = rolewise("distill", str(QUICK), "--out", str(out), *sets())
    assert code == 0 and re.search(r"small-own\+distill: validation accuracy \d+\.\d%\n", text)
    assert not (out / "results.json").exists()
    assert rolewise("report", str(out))[0] == 0
    assert "still sealed" in (out / "report.html").read_text()
    schedule = str(next(out.rglob("schedule.json")))
    for spec in (schedule, "trivialaugment"):
        picture = tmp_path / "p.png"
        code, _, _ = rolewise("preview", spec, "--out", str(picture), "--config", str(QUICK))
        assert code == 0 and picture.read_bytes().startswith(b"\x89PNG")
    assert run(load(QUICK, SMALL), out)["arms"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("run", "missing.yaml", "--out", "x"), "can be read"),
        (("validate", str(QUICK), "--set", "search.members=1"), "must be at least 2"),
        (("report", "nowhere"), "is no run folder"),
        (("list", "modles"), 'did you mean "models"'),
        (
            ("search", str(QUICK), "--out", "x", "--role", "nobody"),
            "--role must be one of teacher, small, got 'nobody'",
        ),
        (("runn",), "No such command"),
        (("run", str(QUICK)), "--out"),
        (("preview", "randaugmen"), 'did you mean "randaugment"'),
        (("preview", "none", "--role", "smal", "--config", str(QUICK)), 'did you mean "small"'),
        (("preview", "none", "--role", "small"), "add --config"),
    ],
)
def test_bad_input_exits_with_two_and_says_why(rolewise, arguments, part, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = rolewise(*arguments)
    assert code == 2 and part in err + out and "Traceback" not in err


def test_one_of_a_thing_is_said_in_the_singular(rolewise, tmp_path: Path) -> None:
    settings = [part for one in ("seeds=[0]", "arms.student=[none]", "arms.distill=[true]") for part in ("--set", one)]
    code, text, _ = rolewise("validate", str(QUICK), *settings)
    assert code == 0
    assert "1 seed, " in text and "1 teacher, " in text and "1 student trained, 1 test evaluation." in text
    code, text, _ = rolewise("validate", str(QUICK), "--set", "seeds=[0, 1]")
    assert "2 seeds, " in text and "2 test evaluations." in text and " searches, " in text
    assert str(budget(1, 1, 1, steps_per_member=1)).startswith("1 member x 1 interval: 1 step, 1 image")
    assert [counted(one, "search", "searches") for one in (0, 1, 1200)] == ["0 searches", "1 search", "1,200 searches"]


def test_what_is_printed_keeps_its_brackets_and_colons(rolewise, tmp_path: Path) -> None:
    text = rolewise("list", "augmentations")[1]
    assert "a list of [operation, probability, strength]" in " ".join(text.split()) and "``" not in text
    odd = tmp_path / "a[bold]b :smile: [1].yaml"
    odd.write_text(QUICK.read_text())
    code, text, _ = rolewise("validate", str(odd))
    assert code == 0 and f"{odd} is valid" in text.replace("\n", "")


def test_validate_and_list(rolewise) -> None:
    code, text, _ = rolewise("validate", str(QUICK))
    assert code == 0 and "is valid" in text and "4 searches" in text
    code, text, _ = rolewise("list")
    assert code == 0 and all(word in text for word in ("resnet20", "kd", "digits", "trivialaugment", "rotate"))


@pytest.mark.parametrize(
    "command", ["run", "search", "train", "distill", "evaluate", "report", "preview", "validate", "list"]
)
def test_every_command_has_help_with_an_example(rolewise, command: str) -> None:
    code, text, _ = rolewise(command, "--help")
    assert code == 0 and f"Example: rolewise {command}" in text


@pytest.mark.parametrize("arguments", [["run", str(QUICK), "--out"], ["preview", "none", "--out"]])
def test_a_place_that_cannot_be_written_is_named(rolewise, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, text = rolewise(*arguments, str(tmp_path / "file" / "below.png"))
    assert code == 2 and str(tmp_path / "file") in text and "give a place" in text


def test_a_full_disk_is_said_with_the_file(rolewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    settings = [part for one in ("seeds=[0]", "arms.student=[none]", "workers=1") for part in ("--set", one)]
    code, _, err = rolewise("run", QUICK, "--out", tmp_path / "r", *settings)
    assert code == 1 and err.strip() == (
        f"{tmp_path / 'r' / 'environment.json'}: No space left on device; correct that and run the same command again "
        "to resume"
    )


def test_a_teacher_s_weights_that_are_missing_or_a_pickle_are_found_before_anything_is_made(
    rolewise, tmp_path: Path
) -> None:
    (tmp_path / "t.pt").write_bytes(b"\x80\x02}q\x00.")
    given = ["--set", "arms.teacher=[none]", "--set"]
    for command in (("validate",), ("run", "--out", tmp_path / "r")):
        for name, part in (("none.safetensors", "No such file"), ("t.pt", "no file of"), (".", "got a folder")):
            weights = f"teacher.weights={tmp_path / name}"
            code, _, err = rolewise(command[0], QUICK, *command[1:], *given, weights)
            assert code == 2 and "teacher.weights: must be a file of weights" in err and part in err
            assert not (tmp_path / "r").exists()
