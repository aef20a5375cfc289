"""Pages in headless Chromium under axe-core: contrast, labels, order; and no page wider than a small screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from browsing import axe, looked_at
from test_study_page import folder

from rolewise.compare.comparison_cells import TableCells
from rolewise.compare.comparison_files import comparison_page
from rolewise.compare.comparison_result import ComparedRow, Comparison
from rolewise.metric_info import ACCURACY
from rolewise.report.live_page import LivePage
from rolewise.report.page import run_page
from rolewise.report.study_page import study_page
from rolewise.statistics.estimates import estimate, paired
from rolewise.systems import SYSTEMS
from rolewise.systems.system_page import system_page
from rolewise.systems.system_result import SystemResult, answers_of

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results" / "systems"


def page_of_system(name: str, root: Path) -> str:
    """Returns the page of a system by its committed rows."""
    found = json.loads((COMMITTED / f"{name}.json").read_text(encoding="utf-8"))
    system = SYSTEMS[name]
    settings = system.settings(**found["settings"])
    return system_page(SystemResult(root, system, settings, found["rows"], answers_of(system, found["rows"])))


def page_of_comparison(root: Path) -> str:
    """Returns the page of a comparison of many methods, with a long setting and a long command."""

    class Plan:
        pair = ("small_cnn", "small_cnn")

        class recipe:
            name = "digits"

    command = "rolewise compare --methods " + ",".join(f"method_{number}" for number in range(60))
    (root / ".lock").write_text(json.dumps({"command": command, "since": "2026-01-02 03:04:05 +0000"}))
    rows = [ComparedRow("teacher", {0: 0.9, 1: 0.9}, estimate([0.9, 0.9])), ComparedRow("kd", {}, None)]
    for number in range(12):
        change = paired([0.5 + number / 100, 0.61 - number / 200], [0.5, 0.6])
        setting = f"method_{number}: " + "_".join(["a_name_of_a_layer"] * 6)
        rows.append(ComparedRow(f"method_{number}", {0: 0.5, 1: 0.6}, None, change, 0.5, 3.0, settings=setting))
    made = Comparison(root, cast(Any, Plan), ACCURACY, 2, tuple(rows), True, {"cores": 2, "packages": {}})
    cells = tuple((row.name, "50.0 ± 1.0", "+1.0 (-1.0 to +3.0)", "0.5", "3 s", "853 KiB", "0") for row in rows)
    headings = ("method", "test accuracy, %", "difference to kd (95%)", "p (Holm)", "time", "step memory", "parameters")
    quoted = (("a", "A table of others, which were measured elsewhere"),)
    return comparison_page(made, TableCells(headings, cells, (False,) * len(rows), ("A note.",), quoted))


@pytest.mark.slow
def test_every_kind_of_page_is_readable_in_both_modes_and_on_a_small_screen(finished: Path, tmp_path: Path) -> None:
    run = (finished / "report.html").read_text(encoding="utf-8")
    assert "The table scrolls sideways" in run and "The figure scrolls sideways" in run
    (tmp_path / "comparison").mkdir()
    pages = {
        "run": run,
        # Within a frame no server answers, so that the longest words stand beside the switch of the modes.
        "live": run_page(finished, {"every": 5.0, "done": 3, "total": 12}),
        "waiting": LivePage(tmp_path / "runs/of_a_long_name_without_any_blank_in_it/and_of_another", 5.0).now().text,
        "study": study_page(folder(tmp_path / "study")),
        "comparison": page_of_comparison(tmp_path / "comparison"),
        "ce_gan": page_of_system("ce_gan", tmp_path),
        "ikd": page_of_system("ikd", tmp_path),
    }
    assert 'id="live" role="status"' in pages["live"] and 'id="live" role="status"' in pages["waiting"]
    for one in looked_at(pages, tmp_path):
        assert one.violations == [], one
        assert one.width <= one.window, one


@pytest.mark.slow
def test_what_is_wrong_with_a_page_is_found(tmp_path: Path) -> None:
    assert "axe" in axe()[:40]
    wide = '<img src="data:,"><div style="width: 900px">.</div><p style="color:#aaa">pale</p>'
    page = f"<!doctype html><html><body>{wide}</body></html>"
    found = looked_at({"bad": page}, tmp_path)
    assert [one.width > one.window for one in found] == [True, False]
    rules = {rule for rule, *_ in found[0].violations}
    assert {"image-alt", "color-contrast", "html-has-lang"} <= rules
