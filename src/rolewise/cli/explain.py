"""The command that explains the keys of a config."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from rolewise.cli.options import app, console

if TYPE_CHECKING:
    from rolewise.config.key_reference import ConfigKey

_WIDTH = 79


@app.command("explain")
def explain_command(
    key: Annotated[str, typer.Argument(help="A key's path, or the end of one; all keys by default.")] = "",
) -> None:
    """Show what a key of a config means, the values that it takes, and its default.

    Example: rolewise explain search.members

    Example: rolewise explain kd.temperature

    Example: rolewise explain data.arguments.image_folder
    """
    from rolewise.experiment.config_catalogue import experiment_keys, find_keys, study_keys

    if key:
        found = find_keys(key)
        studies = study_keys()
        lines = (_lines(one, " (of a study)" if one in studies else "") for one in found)
        console.print("\n\n".join(map("\n".join, lines)), soft_wrap=True)
        # What a section holds, once, below it.
        for one in found if len(found) == 1 else []:
            below = [k for k in (*experiment_keys(), *studies) if k.path.startswith((f"{one.path}.", f"{one.path}["))]
            console.print("\n".join(["", *(f"  {part.path}" for part in below)]) if below else "", soft_wrap=True)
        return
    for title, keys in (("experiment", experiment_keys()), ("study", study_keys())):
        console.print("\n".join([title, *(f"  {one.path}" for one in keys)]), soft_wrap=True)


def _lines(key: ConfigKey, owner: str) -> list[str]:
    """Returns a key's description as lines of at most 80 columns."""
    default = f"; default {key.default}" if key.default else "; it must be given"
    # In a config, what Python calls None is null.
    text = re.sub(r"\bNone\b", "null", key.text.replace("``", ""))
    head = textwrap.wrap(f"{key.path}{owner}: {key.kind.replace('`', '')}{default}", _WIDTH, subsequent_indent="    ")
    return [*head, *textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
