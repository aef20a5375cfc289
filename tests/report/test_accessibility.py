"""Pages in headless Chromium under axe-core: contrast, labels, order; and no page wider than a small screen."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest
from browsing import axe, dumped, violations

#: A window of Chromium has at least 500 pixels; a frame may have fewer.
_FRAME = """<!doctype html><title>none</title><iframe width="400" height="900" style="border: 0" srcdoc="{}"></iframe>
<script>document.querySelector("iframe").onload = function () {{
  document.title = "wide " + this.contentDocument.documentElement.scrollWidth + " of " + this.contentWindow.innerWidth;
}};</script>"""


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_wrong_with_a_run_s_page(finished: Path, tmp_path: Path, dark: bool) -> None:
    assert violations(finished / "report.html", tmp_path, dark=dark) == []


@pytest.mark.slow
def test_axe_finds_what_is_wrong(tmp_path: Path) -> None:
    assert "axe" in axe()[:40]
    page = tmp_path / "bad.html"
    page.write_text(
        '<!doctype html><html><body><img src="data:,"><p style="color:#aaa">pale</p></body></html>', "utf-8"
    )
    found = {rule for rule, *_ in violations(page, tmp_path, dark=False)}
    assert {"image-alt", "color-contrast", "html-has-lang"} <= found


@pytest.mark.slow
def test_a_page_fits_a_screen_of_400_pixels(finished: Path, tmp_path: Path) -> None:
    text = (finished / "report.html").read_text(encoding="utf-8").replace("<details>", "<details open>")
    assert "The table scrolls sideways" in text and "The figure scrolls sideways" in text
    # The longest that stands beside the switch of the modes, on a page that was served.
    brand = "Rolewise run report"
    assert f"{brand}</span>" in text
    text = text.replace(f"{brand}</span>", f"{brand} · The server has stopped; this is the last that was seen.</span>")
    page = tmp_path / "frame.html"
    page.write_text(_FRAME.format(escape(text)), encoding="utf-8")
    found = re.search(r"wide (\d+) of (\d+)", dumped(page, tmp_path, 900, "--virtual-time-budget=20000"))
    assert found is not None and int(found[1]) <= int(found[2]) == 400
