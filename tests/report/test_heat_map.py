"""Heat maps: what stands in their squares, and the colours of those that have no room for numbers."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
from PIL import Image

from rolewise.metric_info import CLASS_METRICS
from rolewise.report.heat_map import Square, heat_map
from rolewise.statistics.study_sentences import column_unit

UNIT = column_unit("accuracy", CLASS_METRICS)


def drawn(grid: list[list[Square]], title: str = "", most: int = 2) -> ElementTree.Element:
    names = [f"row {at}" for at in range(len(grid))], [f"<{at}>" for at in range(len(grid[0]))]
    means = [one.mean for line in grid for one in line if one.mean is not None]
    return ElementTree.fromstring(
        heat_map(grid, names, ("down & out", "across"), title, (min(means), max(means)), most, UNIT)
    )


def test_squares_hold_their_numbers_from_left_to_right_and_from_above() -> None:
    grid = [
        [Square(0.5, (0.4, 0.6), cells=2), Square(0.75, cells=1)],
        [Square(1.0, cells=2), Square(None, note="1 of 2\nfailed", failed=True)],
    ]
    found = drawn(grid, "third: 7")
    texts = {text.text: (float(text.attrib["x"]), float(text.attrib["y"])) for text in found.iter("text")}
    assert {"50.0", "40.0 to 60.0", "75.0*", "100.0", "1 of 2", "failed", "<0>", "row 1", "third: 7"} <= texts.keys()
    assert texts["50.0"][0] == texts["100.0"][0] < texts["75.0*"][0] and texts["50.0"][1] < texts["100.0"][1]
    assert texts["1 of 2"][1] < texts["failed"][1]
    fills = [re.findall(r"fill: ([^;]+)", rect.attrib["style"])[0] for rect in found.iter("rect")]
    ends = [matplotlib.colors.to_hex(matplotlib.colormaps["cividis"](end)) for end in (0.0, 0.5, 1.0)]
    assert fills == [*ends, "var(--paper)"] and len(list(found.iter("path"))) == 1, "what failed is hatched"
    _, _, width, height = map(float, found.attrib["viewBox"].split())
    for rect in found.iter("rect"):
        x, y, wide, tall = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 < x < x + wide <= width and 0 < y < y + tall < height
    assert found.attrib["aria-label"] == "accuracy over down & out and across. third: 7"


def test_a_large_map_is_a_picture_with_its_scale() -> None:
    values = np.linspace(0.2, 0.9, 16 * 15).reshape(16, 15)
    grid = [[Square(float(value), cells=2) for value in line] for line in values]
    grid[3][4] = Square(None, note="not in\nthe grid")
    found = drawn(grid)
    picture = next(found.iter("image"))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.attrib["href"].partition(",")[2]))))
    wanted = matplotlib.colormaps["cividis"]((values - 0.2) / (0.9 - 0.2), bytes=True)
    wanted[3, 4] = 0
    assert pixels.shape == (16, 15, 4) and np.array_equal(pixels, wanted)
    texts = [text.text for text in found.iter("text")]
    assert {"20.0", "55.0", "90.0", "accuracy, %"} <= set(texts)
    assert sum(str(text).startswith("row") for text in texts) == 8, "of many levels some are named"
