"""A hook of mkdocs: one page of reference for each room, out of the docstrings, with nothing to keep in step.

A module that a written page shows already (``::: rolewise.distill.term_weights``) is left to that page.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
# Modules that hold nothing for a caller.
HIDDEN = {"rolewise.__main__", "rolewise.cli"}


def modules(room: Path) -> list[str]:
    """Gives the dotted names of a room's modules that have something public, the room itself first."""
    paths = [room] if room.suffix == ".py" else sorted(room.rglob("*.py"))
    found = []
    for path in paths:
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        body = ast.parse(path.read_text(encoding="utf-8")).body
        has_own = any(
            isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") for node in body
        )
        if has_own and name not in HIDDEN:
            found.append(name)
    return sorted(found)


def shown() -> set[str]:
    """Gives the modules that the written pages show."""
    pages = (path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    return {name for page in pages for name in re.findall(r"^::: (\S+)", page, re.M)}


def rooms() -> dict[str, list[str]]:
    """Gives each page's name and its modules: the rooms, and what all of them stand on."""
    package = SOURCE / "rolewise"
    pages = {room.name: modules(room) for room in sorted(package.iterdir()) if (room / "__init__.py").is_file()}
    pages["foundation"] = [name for path in sorted(package.glob("[!_]*.py")) for name in modules(path)]
    elsewhere = shown()
    left = {
        page: [name for name in names if not any(f"{name}.".startswith(f"{other}.") for other in elsewhere)]
        for page, names in pages.items()
    }
    return {page: names for page, names in left.items() if names}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages at the end of the navigation."""
    pages: list[Any] = [{name: f"reference/{name}.md"} for name in rooms()]
    config.nav = [*(config.nav or []), {"Reference": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Makes the pages."""
    from mkdocs.structure.files import File

    for room, names in rooms().items():
        content = "\n\n".join([f"# {room}", *(f"::: {name}" for name in names)])
        files.append(File.generated(config, f"reference/{room}.md", content=content + "\n"))
    return files
