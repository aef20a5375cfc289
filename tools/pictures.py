"""Takes the documents' pictures of results out of pages, so that they show what the committed figures say.

python tools/pictures.py runs/digits/report.html runs/temperature/report.html

A page is told by its heading: the name of the run or study. Chromium draws its parts; of pages that were written when
figures were still images, these are taken as they are.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
#: For each page the pictures of it that documents show, by what their text begins with: on a page of the present form,
#: and on one whose figures are images.
SHOWN = {
    "digits": {
        "arms": ("Test accuracy of the arms of", "Test accuracy of every arm"),
        "schedules": ("Schedule of teacher", "For each role, how strongly"),
        "views": ("Images as the student small sees them", "Images as the student small sees them"),
        "search": ("small, seed", "The population of the search for the student small"),
        "curves": ("training loss of", "Training loss and validation accuracy"),
    },
    "temperature_digits": {
        "study": ("accuracy over", "accuracy over temperature"),
        "study_effects": ("Differences in accuracy", "Differences in accuracy"),
    },
    "mixup_digits": {"study_mixed": ("Training image, clean", "What each role sees")},
}
#: Where a picture keeps the digest of the part of the page that it was drawn from.
SOURCE = "source"
_PICTURE = re.compile(r'<img src="data:image/webp;base64,([^"]+)" alt="([^"]*)"')
_PART = re.compile(
    r'<figure\b.*?</figure>|<div class="strips">.*?</div>|(?:<p class="note">[^<]*</p>\s*<ul.*?</ul>\s*)+', re.S
)


def is_drawn(page: str) -> bool:
    """Returns whether a page's figures are drawn in its markup, and not images."""
    return 'class="drawn"' in page


def parts(page: str) -> dict[str, str]:
    """Returns the parts of a page that documents show, as markup by name.

    Raises:
        ValueError: no document shows anything of this page, or a part is not on it.
    """
    found = {}
    for picture, (begins, _) in _shown_of(page).items():
        wanted = re.compile(rf'(?:aria-label|alt)="{re.escape(html.escape(begins))}')
        part = next((one[0] for one in _PART.finditer(page) if wanted.search(one[0])), None)
        if part is None:
            raise ValueError(f"the page of {_name(page)} has no picture that begins with: {begins}")
        found[picture] = re.sub(r"<figcaption>.*?</figcaption>", "", part, flags=re.S)
    return found


def digest(part: str) -> str:
    """Returns the digest of a part of a page."""
    return hashlib.sha256(part.encode()).hexdigest()


def take(page: str) -> dict[str, bytes]:
    """Returns the pictures of a page that documents show, as PNG by name.

    Raises:
        ValueError: no document shows anything of this page, or a picture is not on it.
    """
    if is_drawn(page):
        style = re.search(r"<style>(.*?)</style>", page, re.S)
        return {name: _drawn(part, style[1] if style else "") for name, part in parts(page).items()}
    held = [(html.unescape(text), data) for data, text in _PICTURE.findall(page)]
    found = {}
    for picture, (_, begins) in _shown_of(page).items():
        data = next((data for text, data in held if text.startswith(begins)), None)
        if data is None:
            raise ValueError(f"the page of {_name(page)} has no picture that begins with: {begins}")
        written = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").save(written, "PNG", optimize=True)
        found[picture] = written.getvalue()
    return found


def _name(page: str) -> str:
    heading = re.search(r"<h1>(.*?)</h1>", page)
    return html.unescape(heading[1]) if heading else ""


def _shown_of(page: str) -> dict[str, tuple[str, str]]:
    name = _name(page)
    if name not in SHOWN:
        raise ValueError(f"documents show pages of {', '.join(SHOWN)}, got {name or 'a page without heading'}")
    return SHOWN[name]


def _drawn(part: str, style: str) -> bytes:
    """Returns a part of a page as PNG, drawn by Chromium in the light mode and cut to its content."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise ValueError("drawing a page's parts needs Chromium on the path")
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "part.html", Path(folder) / "part.png"
        body = f'<input type="radio" id="theme-light" checked hidden><div class="page">{part}</div>'
        page.write_text(f'<!doctype html><meta charset="utf-8"><style>{style}</style>{body}', encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        flags += ["--force-device-scale-factor=1.5", f"--user-data-dir={folder}/profile", "--window-size=1060,2600"]
        command = [browser, *flags, f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        image = Image.open(picture).convert("RGB")
        box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
        left, top, right, bottom = box or (0, 0, *image.size)
        cut = image.crop((max(0, left - 12), max(0, top - 12), right + 12, bottom + 12))
        note, written = PngInfo(), io.BytesIO()
        note.add_text(SOURCE, digest(part))
        cut.quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True, pnginfo=note)
        return written.getvalue()


if __name__ == "__main__":
    for path in sys.argv[1:]:
        for picture, content in take(Path(path).read_text(encoding="utf-8")).items():
            (IMAGES / f"{picture}.png").write_bytes(content)
