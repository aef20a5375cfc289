"""Chromium for the tests of pages: a picture of a page, and what axe-core finds wrong with it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync")
_QUIET = ("--disable-background-networking", "--disable-component-update")
#: Runs axe-core in the page and leaves its findings where they can be read.
_ASK = """
axe.run(document, {resultTypes: ["violations"]}).then(function (found) {
  var rows = found.violations.map(function (one) {
    return [one.id, one.impact, one.nodes.map(function (node) { return node.html.slice(0, 160); })];
  });
  var held = document.createElement("script");
  held.type = "application/json"; held.id = "found"; held.textContent = JSON.stringify(rows);
  document.body.appendChild(held);
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


def violations(page: Path, folder: Path, *, dark: bool, width: int = 1100) -> list[Any]:
    """Returns what axe-core finds wrong with a page: its rule, how grave it is, and the elements.

    Args:
        page: the page.
        folder: for the page with axe-core in it, and for the browser's own files.
        dark: the mode.
        width: of the window, in pixels.
    """
    mode = "dark" if dark else "light"
    text = page.read_text(encoding="utf-8")
    chosen = text.replace(' id="theme-auto" checked', ' id="theme-auto"').replace(
        f' id="theme-{mode}"', f' id="theme-{mode}" checked'
    )
    # What is closed is looked at as well.
    opened = chosen.replace("<details>", "<details open>")
    asked = folder / f"{mode}-{width}.html"
    asked.write_text(opened.replace("</body>", f"<script>{axe()}</script><script>{_ASK}</script></body>"), "utf-8")
    dump = dumped(asked, folder, width, "--virtual-time-budget=60000")
    found = re.search(r'<script type="application/json" id="found">(.*?)</script>', dump, re.S)
    assert found is not None, "axe-core did not come to an end"
    return list(json.loads(unescape(found[1])))


def dumped(page: Path, folder: Path, width: int, *more: str) -> str:
    """Returns the markup of a page as the browser has it."""
    command = [browser(), *_FLAGS, *_QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    command += [*more, "--dump-dom", page.resolve().as_uri()]
    return subprocess.run(command, check=True, timeout=240, capture_output=True, text=True).stdout
