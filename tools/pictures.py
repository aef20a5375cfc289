"""Takes the documents' pictures of results out of pages, so that they show what the committed figures say.

python tools/pictures.py runs/digits/report.html runs/temperature/report.html

A page is told by its heading: the name of the run or study.
"""

from __future__ import annotations

import base64
import html
import io
import re
import sys
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
#: For each page the pictures of it that documents show, by what their text begins with.
SHOWN = {
    "digits": {
        "arms": "Test accuracy of every arm",
        "schedules": "For each role, how strongly",
        "views": "Images as the student small sees them",
        "search": "The population of the search for the student small",
        "curves": "Training loss and validation accuracy",
    },
    "temperature_digits": {"study": "accuracy over temperature", "study_effects": "Differences in accuracy"},
    "mixup_digits": {"study_mixed": "What each role sees"},
}
_PICTURE = re.compile(r'<img src="data:image/webp;base64,([^"]+)" alt="([^"]*)"')


def take(page: str) -> dict[str, bytes]:
    """Returns the pictures of a page that documents show, as PNG by name.

    Raises:
        ValueError: no document shows anything of this page, or a picture is not on it.
    """
    heading = re.search(r"<h1>(.*?)</h1>", page)
    name = html.unescape(heading[1]) if heading else ""
    if name not in SHOWN:
        raise ValueError(f"documents show pages of {', '.join(SHOWN)}, got {name or 'a page without heading'}")
    held = [(html.unescape(text), data) for data, text in _PICTURE.findall(page)]
    found = {}
    for picture, begins in SHOWN[name].items():
        data = next((data for text, data in held if text.startswith(begins)), None)
        if data is None:
            raise ValueError(f"the page of {name} has no picture that begins with: {begins}")
        written = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").save(written, "PNG", optimize=True)
        found[picture] = written.getvalue()
    return found


if __name__ == "__main__":
    for path in sys.argv[1:]:
        for picture, content in take(Path(path).read_text(encoding="utf-8")).items():
            (IMAGES / f"{picture}.png").write_bytes(content)
