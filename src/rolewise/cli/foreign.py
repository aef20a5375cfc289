"""Notes of the commands about code that is not Rolewise's: before it runs, and after it raised an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from rolewise.cli.options import console
from rolewise.errors import InputError
from rolewise.words import print_sentences

Read = TypeVar("Read")


def announced(
    path: Path, settings: Sequence[str], read: Callable[[], Read], out: Path | None = None, *, imports: bool = True
) -> Read:
    """Reads a config or a study, after a line that names the modules that this imports.

    Args:
        path: the YAML file.
        settings: settings that are laid over the file.
        read: function that reads it.
        out: the run folder, for the traceback of what these modules raise; None where there is none.
        imports: whether reading imports them.

    Raises:
        ConfigError: it has faults; the text names the file of the traceback.
    """
    if not imports:
        return read()
    from rolewise.config.faults import ConfigError
    from rolewise.experiment.failures import keep_traceback
    from rolewise.foreign_code import search_in

    search_in(path.parent, Path.cwd())
    _name(path, settings)
    try:
        return read()
    except ConfigError as error:
        if error.traces and out is not None:
            place = keep_traceback(out, "\n".join(error.traces))
            if place is not None:
                error.args = (f"{error}\nTraceback: {place}",)
        raise


def announce_run(root: Path) -> None:
    """Names the modules that a run's config imports, before a command on its folder does so.

    Args:
        root: the run folder.

    Raises:
        InputError: it is no run folder.
    """
    from rolewise.experiment.run_folder import existing_run

    existing_run(root)
    _name(root / "config.yaml", ())


def announce_comparison(names: Sequence[str], data: str) -> None:
    """Names the modules that a comparison imports, before it is read.

    Args:
        names: of its methods and networks, as they were given.
        data: a recipe, or the file of an experiment.
    """
    from rolewise.foreign_code import modules_in, search_in

    search_in(Path(data).parent, Path.cwd())
    of_file = _modules(Path(data), ()) if Path(data).is_file() else []
    _name_modules(dict.fromkeys((*modules_in(list(names)), *of_file)))


def _name(path: Path, settings: Sequence[str]) -> None:
    _name_modules(_modules(path, settings))


def _name_modules(names: Iterable[str]) -> None:
    from rolewise.foreign_code import ZOOS, file_of

    if modules := {ZOOS.get(name, name): name in ZOOS for name in names}:
        absent = {True: "not installed", False: "not found"}
        named = ", ".join(f"{name} ({file_of(name) or absent[packaged]})" for name, packaged in modules.items())
        print_sentences(console, f"Imports code that is not Rolewise's, and runs it: {named}")


def say(note: str) -> None:
    """Prints what is no fault and worth knowing."""
    print_sentences(console, f"Note: {note}")


def _modules(path: Path, settings: Sequence[str]) -> list[str]:
    """Returns the modules that a file names, its base among them where it is a study; none where it cannot be read."""
    from rolewise.config.document import read_document
    from rolewise.config.overrides import read_overridden
    from rolewise.foreign_code import modules_in

    values: list[Any] = []
    with suppress(InputError):
        values.append(read_overridden(path, settings).value)
        if isinstance(base := values[0].get("base"), str):
            values.append(read_document(path.parent / base).value)
    return modules_in(values)
