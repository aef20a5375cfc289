"""Figures as markup within a page: their colours follow the page's mode, and their text is text."""

from __future__ import annotations

import hashlib
import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from matplotlib.figure import Figure

from rolewise.report.palette import declarations, variables

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_REFERENCE = re.compile(r"url\(#([^)\"]+)\)")
_FONT = re.compile(r"font-family: [^;]*;?\s*")
_SHORT_FONT = re.compile(r"font: ((?:[\w.-]+ )*)([\d.]+px) [^;]*")
#: Attributes of geometry, whose numbers need no more than a hundredth of a point.
_GEOMETRY = ("d", "points", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "transform")
#: Pixels of a screen for a point: text of nine points is read at twelve pixels.
_PIXELS = 4 / 3


def as_svg(made: Figure, label: str) -> str:
    """Returns a figure as an ``svg`` element.

    Args:
        made: the figure.
        label: its text for people who do not see it.
    """
    buffer = io.StringIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for child in root.findall(f"{_SVG}metadata"):
        root.remove(child)
    _rename(root, hashlib.sha256((buffer.getvalue() + label).encode()).hexdigest()[:8])
    known = variables()
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        for name, value in list(element.attrib.items()):
            if name in _GEOMETRY:
                element.set(name, _NUMBER.sub(_rounded, value).strip())
            if name == "style":
                text = _SHORT_FONT.sub(_font, _FONT.sub("", value))
                element.set(name, _COLOUR.sub(lambda found: known.get(found[0], found[0]), text).strip())
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("style", f"--natural: {_PIXELS * width:.0f}px")
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    root.attrib |= {"class": "drawn", "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode")


def drawn_element(size: tuple[float, float], label: str, marks: str) -> str:
    """Returns marks that are markup already as an ``svg`` element such as `as_svg` returns.

    Args:
        size: width and height in points.
        label: the text for people who do not see it.
        marks: the elements within.
    """
    width, height = size
    attributes = (
        f'viewBox="0 0 {width:g} {height:g}" style="--natural: {_PIXELS * width:.0f}px" class="drawn" role="img"'
    )
    return f'<svg {attributes} aria-label="{escape(label)}">\n{marks}\n</svg>'


def standalone(drawn: str, attributes: Mapping[str, str] = MappingProxyType({})) -> str:
    """Returns a drawing of a page as a file of its own, with the colours of both modes, a font and a background.

    Args:
        drawn: of `as_svg` or `drawn_element`.
        attributes: further attributes of the element.
    """
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    assert box is not None
    width, height = (f"{_PIXELS * float(size):.0f}" for size in box.groups())
    style = (
        f"svg {{ {declarations(0)} font-family: system-ui, 'DejaVu Sans', sans-serif; }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {declarations(1)} }} }}"
    )
    head, rest = drawn.split(">", 1)
    given = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    given = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {given}'.rstrip()
    head = head.replace("<svg", f"<svg {given}", 1)
    paper = '<rect width="100%" height="100%" style="fill: var(--paper)" />'
    return f"{head}><style>{style}</style>{paper}{rest}\n"


def _rename(root: ElementTree.Element, key: str) -> None:
    """Drops names that nothing refers to, and makes the others names of this figure alone."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(_REFERENCE.findall(text)) | set(re.findall(r'href="#([^"]+)"', text))
    short = {name: f"f{key}-{number}" for number, name in enumerate(sorted(used))}
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in short:
            element.set("id", short[name])
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", f"#{short[link[1:]]}" if link.startswith("#") else link)
        for place, value in element.attrib.items():
            if "url(#" in value:
                element.set(place, _REFERENCE.sub(lambda found: f"url(#{short[found[1]]})", value))


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _font(found: re.Match[str]) -> str:
    weight = "font-weight: 600; " if re.search(r"bold|[67]00", found[1]) else ""
    return f"{weight}font-size: {found[2]}"
