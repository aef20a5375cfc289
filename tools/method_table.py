"""A hook of mkdocs: the page of all methods' declarations, with nothing to keep in step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rolewise.distill.declarations import all_declarations

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

HEAD = """# Needs of every method

What each method reads and needs, out of its registration and small calls of its loss. The same is filtered by
`rolewise list methods --where reads=maps --where mixed=sound`; [methods](methods.md) has the losses themselves.

"""


def page() -> str:
    """Gives the page: a row for each method."""
    rows = [(one.name, one.cells) for one in all_declarations()]
    titles = ["method", *rows[0][1]]
    lines = [titles, ["---"] * len(titles), *([f"`{name}`", *cells.values()] for name, cells in rows)]
    return HEAD + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Makes the page."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "method_needs.md", content=page()))
    return files
