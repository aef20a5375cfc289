"""Turns a template and its content into a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jinja2

from rolewise.report.long_names import with_breaks
from rolewise.report.palette import declarations
from rolewise.words import sentence_start


def render(template: str, content: Mapping[str, Any]) -> str:
    """Returns a page.

    Args:
        template: a file's name among the templates.
        content: the values that it names. Text in them is escaped; only figures are markup.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rolewise.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"with_breaks": with_breaks, "sentence_start": sentence_start}
    given = {
        "kind": "report",
        "live": None,
        "toc": [],
        "words": [],
        "light": declarations(0),
        "dark": declarations(1),
        **content,
    }
    return _without_empty_lines(environment.get_template(template).render(given))


def _without_empty_lines(page: str) -> str:
    """Returns a page without the lines that templates leave empty, but with those of preformatted text."""
    parts = re.split(r"(<pre\b.*?</pre>)", page, flags=re.DOTALL)
    return "".join(part if part.startswith("<pre") else re.sub(r"\n\s*\n+", "\n", part) for part in parts)
