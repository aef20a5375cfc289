"""A hook of mkdocs: a page for each notebook in ``examples/notebooks``, of its text and its code, without a plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "examples" / "notebooks"
# From a notebook to the documents, and from its page to them.
THERE, HERE = "../../docs/", "../"


def page(notebook: Path) -> str:
    """Gives a notebook as Markdown: its text as it stands, its code in blocks, and where the file is."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source.replace(THERE, HERE) if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    where = f"The notebook is `{notebook.relative_to(ROOT)}`; continuous integration executes it."
    return "\n\n".join([parts[0], where, *parts[1:]]) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Makes the pages."""
    from mkdocs.structure.files import File

    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=page(notebook)))
    return files
