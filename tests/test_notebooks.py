"""The notebooks: kept without outputs, and executed from the first cell to the last."""

from __future__ import annotations

import ast
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def execute(source: str, names: dict[str, Any]) -> Any:
    """Runs a cell; gives the value of its last expression, which a notebook would show."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["own_loop", "run_from_config"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_without_outputs(path: Path):
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert whole["nbformat"] == 4 and path.stat().st_size < 50_000
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(path, "code"))
    first = "".join(cells(path, "markdown")[0]["source"])
    assert first.startswith("# ")
    for cell in cells(path, "code"):
        ast.parse("".join(cell["source"]))


def test_a_cell_shows_its_last_value_and_an_error_in_one_is_found():
    names: dict[str, Any] = {}
    assert execute("a = 2\na + 1", names) == 3
    assert execute("b = a", names) is None and names["b"] == 2
    with pytest.raises(NameError):
        execute("c", names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_s_page_has_its_text_and_its_code(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import notebook_pages

    text = notebook_pages.page(path)
    assert text.startswith("# ") and "../../docs/" not in text
    assert text.count("```python") == len(cells(path, "code"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, figures = torch.get_num_threads(), list[int]()
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            for cell in cells(path, "code"):
                execute("".join(cell["source"]), names)
        figures = plt.get_fignums()
    finally:
        plt.close("all")
        torch.set_num_threads(before)
    said = capsys.readouterr().out
    if path.stem == "own_loop":
        # By far more than what separates two trainings of one network.
        assert len(figures) == 3 and names["sweep"][4] > 0.8 and "distilled, with attention" in said
    else:
        assert len(figures) == 2 and "predictions alike" in said
        assert {arm["name"] for arm in names["results"]["arms"]} == {"none", "none+distill"}
