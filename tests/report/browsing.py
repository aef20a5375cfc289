"""Chromium for the tests of pages: how wide a page is, and what axe-core finds wrong with it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync")
_QUIET = ("--disable-background-networking", "--disable-component-update")
#: Runs axe-core in a frame and leaves its findings in the page around it.
_ASK = """
axe.run(document, {resultTypes: ["violations"]}).then(function (found) {
  var rows = found.violations.map(function (one) {
    return [one.id, one.impact, one.nodes.map(function (node) { return node.html.slice(0, 160); })];
  });
  var line = JSON.stringify([window.name, window.innerWidth, document.documentElement.scrollWidth, rows]);
  parent.document.getElementById("found").textContent += line + "\\n";
});
"""


def browser() -> str:
    """Returns the path of Chromium; without one the test is skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


def axe() -> str:
    """Returns the text of axe-core; without the package that carries it the test is skipped."""
    known = importlib.util.find_spec("axe_core_python")
    if known is None or not known.submodule_search_locations:
        pytest.skip("axe-core is not installed; pip install axe-core-python")
    return (Path(known.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Looked:
    """A page in one mode and in a window of one width.

    Args:
        page: its name.
        mode: ``light`` or ``dark``.
        window: pixels.
        width: of the page, in pixels; more than the window's where it has to be moved sideways.
        violations: what axe-core finds wrong: its rule, how grave it is, and the elements.
    """

    page: str
    mode: str
    window: int
    width: int
    violations: list[Any]


def looked_at(pages: Mapping[str, str], folder: Path) -> list[Looked]:
    """Returns how pages are, in light on a small screen and in dark on a large one.

    A window of Chromium has at least 500 pixels; a frame may have fewer. Each page has a browser of its own: in one for
    all of them, axe-core comes to no end.

    Args:
        pages: the text of each, by its name; what is folded in it is opened.
        folder: for the frames, and for the browser's own files.
    """
    return [one for page, text in pages.items() for one in _in_both_modes(page, text, folder)]


def _in_both_modes(page: str, text: str, folder: Path) -> list[Looked]:
    asks = f"<script>{axe()}</script><script>{_ASK}</script></body>"
    opened = text.replace("<details>", "<details open>").replace("</body>", asks)
    modes, frames = {"light": 400, "dark": 1100}, ""
    for mode, width in modes.items():
        shown = opened.replace(' id="theme-auto" checked', ' id="theme-auto"')
        shown = escape(shown.replace(f' id="theme-{mode}"', f' id="theme-{mode}" checked'))
        frames += f'<iframe name="{mode}" width="{width}" height="900" srcdoc="{shown}"></iframe>'
    whole = folder / "frames.html"
    style = "<style>iframe { border: 0; float: left }</style>"
    whole.write_text(f'<!doctype html>{style}{frames}<pre id="found"></pre>', encoding="utf-8")
    dump = dumped(whole, folder, 1600, "--virtual-time-budget=60000")
    found = re.search(r'<pre id="found">(.*?)</pre>', dump, re.S)
    rows = [json.loads(line) for line in unescape(found[1]).splitlines()] if found else []
    by_mode = {mode: row for mode, *row in rows}
    assert by_mode.keys() == modes.keys(), f"axe-core did not come to an end on {page}"
    return [Looked(page, mode, *by_mode[mode]) for mode in modes]


def dumped(page: Path, folder: Path, width: int, *more: str) -> str:
    """Returns the markup of a page as the browser has it."""
    command = [browser(), *_FLAGS, *_QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    command += [*more, "--dump-dom", page.resolve().as_uri()]
    return subprocess.run(command, check=True, timeout=600, capture_output=True, text=True).stdout
