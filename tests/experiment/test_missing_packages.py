"""What help lists, and what is said where a package that a command needs is not installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from rolewise.cli.command_list import LINES
from rolewise.cli.options import app
from rolewise.deploy.export import export_stage
from rolewise.errors import InputError
from rolewise.onnx_packages import ONNX_EXTRA, check_onnx_packages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the extra export is installed."""
    really = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("onnx") else really(name))


def test_help_lists_every_command_in_one_line_of_80_columns(rolewise) -> None:
    names = {info.name for info in (*app.registered_commands, *app.registered_groups)}
    assert names == set(LINES)
    code, text, _ = rolewise("--help")
    listed = text.split("Commands:\n")[1].splitlines()
    assert code == 0 and [line.split()[0] for line in listed] == list(LINES)
    assert all(len(line) <= 80 and line.endswith(".") and "..." not in line for line in listed)


def test_an_export_names_what_is_missing_before_it_looks_at_the_run(rolewise, tmp_path: Path, bare) -> None:
    code, text, error = rolewise("export", tmp_path, "--out", tmp_path / "student.onnx")
    assert code == 2 and not text and ONNX_EXTRA in error and "onnxruntime" in error
    with pytest.raises(InputError, match="onnx, onnx_ir, onnxscript and onnxruntime"):
        export_stage(tmp_path, "seed0/small-none", "onnx", tmp_path / "student.onnx")
    with pytest.raises(InputError, match="onnx, onnx_ir and onnxscript, not"):
        check_onnx_packages(run=False)
    assert not any(tmp_path.iterdir())


def test_a_new_folder_lists_the_install_of_what_its_commands_need(rolewise, tmp_path: Path, bare, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, _ = rolewise("new", "trial", "--template", "own-data")
    lines = [line.strip() for line in text.splitlines()]
    assert code == 0 and lines[lines.index(ONNX_EXTRA) + 1].startswith("rolewise export run")


def test_extras_are_quoted_as_every_shell_needs_it() -> None:
    texts = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "src").rglob("*.md"),
    ]
    for file in texts:
        for found in re.findall(r"pip install [^`]*?rolewise\[", file.read_text("utf-8")):
            assert '"rolewise[' in found.replace("\\", ""), (file, found)
