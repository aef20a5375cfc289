"""A hook of mkdocs: the page of every key of a config and of a study, read off the typed sections.

Nothing is kept in step by hand: a key's description is its entry of Args in the docstring of its section, of its
method, or of its data set's reader.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rolewise.config.key_reference import BELOW, ConfigKey
from rolewise.experiment.config_catalogue import experiment_keys, method_keys, reader_keys, study_keys
from rolewise.strict_settings import Section

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ENTRY = "distill.methods[]."
HEAD = """# Every key of a config

What each key holds, its default and what it means; `rolewise explain search.members` prints the same for one of them.
How a file is read, what may be your own code and how faults are shown: [Configs](config.md). In a path `[]` stands for
a place in a list and `NAME` for a key of your own. Where a section may be left out, its keys have the defaults below.
"""


def page() -> str:
    """Gives the page's text."""
    parts = [HEAD, "## Experiments\n", *tables(experiment_keys(), "The keys of a whole file")]
    parts += ["## Methods\n\nSettings of an entry of `distill.methods`, by the method's key.\n"]
    entry = [key for key in experiment_keys() if key.path.startswith(ENTRY)]
    parts.append(table("`distill.methods[]`", entry, ENTRY))
    for name, keys in method_keys().items():
        parts.append(table(f"`{name}`", keys, f"distill.methods.{name}."))
    parts += ["## Data sets\n\nSettings of `data.arguments`, by the data set's name. One without a table has none.\n"]
    parts += [table(f"`{name}`", keys, f"data.arguments.{name}.") for name, keys in reader_keys().items() if keys]
    parts += ["## Studies\n", *tables(study_keys(), "The keys of a study")]
    return "\n".join(parts)


def tables(keys: list[ConfigKey], title: str) -> list[str]:
    """Gives a table for each section: sections that are alike have one, under the paths of all."""
    paths: dict[type[Section], list[str]] = {}
    for key in keys:
        if key.section is not None:
            paths.setdefault(key.section, []).append(next_below(key.path, keys))
    shown = [table(title, [key for key in keys if not re.search(r"[.\[]", key.path)], "")]
    for found in paths.values():
        own = [key for key in keys if key.path.startswith(found[0]) and direct(key.path[len(found[0]) :])]
        shown.append(table(", ".join(f"`{path.rstrip('.')}`" for path in found), own, found[0]))
    return shown


def next_below(path: str, keys: list[ConfigKey]) -> str:
    """Gives what stands in front of the keys of a section: its path, with the place in a list or a name."""
    found = next(key.path for key in keys if re.match(re.escape(path) + r"(\[\])?(\.NAME)?\.\w+$", key.path))
    return found[: found.rindex(".") + 1]


def direct(rest: str) -> bool:
    """Gives whether a path within a section is one of its own keys."""
    return re.fullmatch(r"\w+", rest) is not None


def table(title: str, keys: list[ConfigKey], above: str) -> str:
    """Gives a heading and the keys below it."""
    rows = [f"### {title}", "", "| key | holds | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        default = BELOW if key.default == BELOW else f"`{key.default}`" if key.default else "must be given"
        text = re.sub(r"\bNone\b", "`null`", key.text.replace("``", "`"))
        cells = [f"`{key.path[len(above) :]}`", key.kind, default, text]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Makes the page."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "config_reference.md", content=page()))
    return files
