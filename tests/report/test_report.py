"""The report: whole, partial, damaged, and opened in a browser."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from rich.console import Console

from rolewise.augment import build_schedule
from rolewise.errors import InputError
from rolewise.files import sha256
from rolewise.report import write_report
from rolewise.report.curves_figures import curves_figure, effect_over_time
from rolewise.report.page import run_page
from rolewise.report.palette import COLOURS, GREY, INK, colours
from rolewise.report.run_data import read_run
from rolewise.report.summary import summary
from rolewise.seals import write_sealed
from rolewise.statistics import compare


def test_it_is_one_file_that_needs_nothing_else(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page) and "<script" not in page and "@import" not in page
    for part in (
        "own+distill",
        "95% interval",
        "The schedules over time",
        "What each role sees",
        "What the searches did",
    ):
        assert part in page
    assert page.count("<img") >= 6 and page.count("<svg") >= 6


def test_numbers_are_those_of_the_results(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    page = (finished / "report.html").read_text()
    for arm in results["arms"]:
        values = list(arm["metrics"]["accuracy"].values())
        assert f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}" in page


def test_the_page_and_the_terminal_say_how_far_the_results_reach(finished: Path) -> None:
    page = html.unescape((finished / "report.html").read_text())
    results = json.loads((finished / "results.json").read_text())
    console = Console(width=80)
    with console.capture() as captured:
        console.print(summary(finished))
    for text in (page, " ".join(captured.get().split())):
        assert f"one fixed test set: {results['test_images']} images, which give an accuracy of" in text
        assert "a standard error of" in text and "share many of them" in text
    together = compare(results)[0].family[1]
    assert f"for all\n{together or ''}" in page and "unadjusted" in page


def test_a_page_without_searches_does_not_speak_of_them(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = " ".join(run_page(finished).split())
    assert "networks and searches anew, so that" in whole and '<th scope="col">members</th>' in whole
    without = dataclasses.replace(read_run(finished), lineages={}, schedules={})
    monkeypatch.setattr("rolewise.report.page.read_run", lambda root: without)
    page = " ".join(run_page(finished).split())
    assert "and starts the networks anew. Differences" in page and "searches anew" not in page
    assert '<th scope="col">members</th>' not in page


@pytest.mark.parametrize("count", [1, 8, 9, 24, 60])
def test_no_two_things_of_a_figure_have_one_colour(count: int) -> None:
    found = colours(count)
    assert len(set(found)) == len(found) == count and found[:8] == list(COLOURS)[:count]
    shades = np.array([to_rgb(one) for one in found[:24]])
    apart = np.abs(shades[:, None] - shades[None]).sum(2) + 9 * np.eye(len(shades))
    assert apart.min() > 0.1
    assert all(np.abs(shades - to_rgb(other)).sum(1).min() > 0.1 for other in (INK, GREY))


def test_each_augmentation_has_a_panel_with_a_line_for_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = [f"{name}{way}" for name in "abcdefghijk" for way in ("", "+distill")]
    record = [{"progress": at, "train_loss": 1.0, "validation_accuracy": 0.5} for at in (0.5, 1.0)]
    lines: dict[int, list[tuple[Any, Any]]] = {}
    plot = Axes.plot

    def noted(self: Axes, *given: Any, **look: Any) -> Any:
        lines.setdefault(id(self), []).append((look["color"], given[2]))
        return plot(self, *given, **look)

    monkeypatch.setattr(Axes, "plot", noted)
    found = curves_figure({"s": {arm: [record] for arm in arms}})
    assert len(found.panels) == 2 and len(lines) == 22
    assert all(len(set(looks)) == len(looks) == 2 for looks in lines.values())


def test_effects_of_random_operations_are_drawn_too() -> None:
    ops = ["rotate", "invert", "solarize", "cutout"]
    plain = build_schedule({"name": "randaugment", "num_ops": 2, "strength": 0.5, "ops": ops})
    effect = effect_over_time(plain.to_json())
    assert list(effect) == ops
    assert all(np.allclose(values, 2 / 4 * 0.5) for values in effect.values())
    fixed = build_schedule({"name": "fixed", "policy": [["rotate", 0.5, 0.4], ["rotate", 0.5, 0.2]]})
    assert np.allclose(effect_over_time(fixed.to_json())["rotate"], 0.3)


def test_text_is_escaped(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "r")
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    (tmp_path / "r" / "config.yaml").write_text("<script>alert(1)</script>")
    record["files"]["config.yaml"] = sha256(tmp_path / "r" / "config.yaml")
    write_sealed(tmp_path / "r" / "run.json", record)
    page = write_report(tmp_path / "r").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_a_run_that_is_not_finished_is_reported_as_far_as_it_is(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "r")
    for name in ("results.json", "timing.json", "previews.npz", "predictions.npz"):
        (tmp_path / "r" / name).unlink()
    record = next((tmp_path / "r").rglob("record.jsonl"))
    record.write_text(record.read_text() + '{"epoch": 9')
    (record.parent / "done.json").unlink()
    page = write_report(tmp_path / "r").read_text()
    assert "still sealed" in page and "What the searches did" in page


def test_retired_members_are_named_with_the_reason(finished: Path, tmp_path: Path) -> None:
    assert "No member failed" in (finished / "report.html").read_text()
    shutil.copytree(finished, tmp_path / "r")
    path = next((tmp_path / "r").rglob("lineage.json"))
    lineage = json.loads(path.read_text())
    event = {"interval": 1, "fraction": 0.5, "target": 1, "donor": 0, "reason": "out of memory", "changes": {}}
    lineage["events"] = [{**event, "genome": None}]
    path.write_text(json.dumps(lineage))
    done = json.loads((path.parent / "done.json").read_text())
    done["files"]["lineage.json"] = sha256(path)
    write_sealed(path.parent / "done.json", done)
    page = write_report(tmp_path / "r").read_text()
    assert "after 50%: member 1 was retired (out of memory) and replaced by a copy of member 0" in page


def test_damaged_files_are_named(finished: Path, tmp_path: Path) -> None:
    for name, content in (
        ("results.json", "{"),
        ("results.json", "[]"),
        ("run.json", "3"),
        ("results.json", '{"seeds": [0]}'),
    ):
        shutil.copytree(finished, tmp_path / "r", dirs_exist_ok=True)
        (tmp_path / "r" / name).write_text(content)
        with pytest.raises(InputError, match=name):
            write_report(tmp_path / "r")


def test_a_run_of_the_first_version_which_kept_no_digests_is_still_shown(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "r")
    (tmp_path / "r" / "products.json").unlink()
    (tmp_path / "r" / "run.json").write_text('{"version": 1, "name": "quick", "config": "x"}')
    for done in (tmp_path / "r").rglob("done.json"):
        done.write_text("{}")
    assert 'id="verdict"' in write_report(tmp_path / "r").read_text()


def test_it_opens_in_a_browser(finished: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    flags += ["--disable-sync", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}"]
    page = (finished / "report.html").as_uri()
    for width in (1100, 390):
        picture = tmp_path / f"{width}.png"
        command = [browser, *flags, f"--window-size={width},3000", f"--screenshot={picture}", page]
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        from PIL import Image

        pixels = np.asarray(Image.open(picture).convert("RGB"))
        # Ink all over the page: text, tables and figures were drawn.
        dark = (pixels.min(axis=2) < 140).reshape(10, -1).mean(axis=1)
        assert (dark > 0.002).sum() >= 7, dark
    dump = subprocess.run(
        [browser, *flags, "--dump-dom", page], check=True, timeout=120, capture_output=True, text=True
    )
    assert 'id="verdict"' in dump.stdout and "own+distill" in dump.stdout
