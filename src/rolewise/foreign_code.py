"""Code of the user, by its import path ``package.module:name``: finding it, importing it, naming it in errors."""

from __future__ import annotations

import importlib
import importlib.machinery
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rolewise.errors import InputError, near

#: ``package.module:name``. A module's input as a tap, ``layer1:input``, reads alike, and is none.
PATH = re.compile(r"(?!.*:input$)([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
#: More of an error's text than one line bears.
_LONGEST = 300
#: Searched folders that a message names.
_LISTED = 3


#: Folders of the user that this process looks for modules in, for errors.
_SEARCHED: list[str] = []

#: The word before the colon -> the module that is imported, which is its extra too.
ZOOS = {
    "timm": "timm",
    "torchvision": "torchvision",
    "hf": "transformers",
    "efficientnet_lite": "efficientnet_lite_pytorch",
}


class ForeignError(InputError):
    """Code that is not Rolewise's raised; the cause is what it raised."""


def search_in(*folders: Path | str) -> None:
    """Lets modules be found in some folders: after all that is installed, so that no file there hides a library.

    Worker processes that are started from here on look there too.

    Args:
        folders: in order; what is searched already is not added again.
    """
    for folder in folders:
        text = str(Path(folder).resolve())
        if text not in sys.path:
            sys.path.append(text)
        if text not in _SEARCHED:
            _SEARCHED.append(text)


def is_import_path(name: object) -> bool:
    """Returns whether a name is an import path ``package.module:name``."""
    return isinstance(name, str) and PATH.fullmatch(name) is not None


def import_path(path: str, what: str = "callable") -> Callable[..., Any]:
    """Imports the function or class that a path names.

    Args:
        path: ``package.module:name``.
        what: the kind of thing that is wanted, for the error.

    Raises:
        InputError: the path is none, there is no such module, or no such callable in it.
        ForeignError: the module raised while it was imported.
    """
    found = import_object(path, what)
    if not callable(found):
        raise InputError(f'"{path}" must be callable, got {type(found).__name__}; name a function or a class')
    return found  # type: ignore[no-any-return]


def import_object(path: str, what: str = "name") -> Any:
    """Imports whatever a path names.

    Args:
        path: ``package.module:name``.
        what: the kind of thing that is wanted, for the error.

    Raises:
        InputError: the path is none, there is no such module, or no such name in it.
        ForeignError: the module raised while it was imported.
    """
    match = PATH.fullmatch(path)
    if match is None:
        raise InputError(f'"{path}" must read package.module:{what}; write the module, a colon and the name in it')
    name, attribute = match.groups()
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise InputError(
                f'"{path}" cannot be imported, since there is no module {missing!r}; put {missing.split(".")[0]}.py '
                f"beside the config or into the current folder ({Path.cwd()}), or install it{_searched(missing)}"
            ) from error
        raise failed(f"module {name}", name, error) from error
    if not hasattr(module, attribute):
        known = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        place = getattr(module, "__file__", None) or "built in"
        raise InputError(f'"{path}" cannot be imported: {name} ({place}) has no {attribute!r}{near(attribute, known)}')
    return getattr(module, attribute)


def _searched(missing: str) -> str:
    """Returns a clause: the user's folders that were searched, and a module there that is called nearly so."""
    folders = [folder for folder in _SEARCHED if folder in sys.path] or [str(Path.cwd())]
    modules = {file.stem for folder in folders for file in Path(folder).glob("*.py")}
    hint = near(missing.split(".")[0], modules)
    # A process that has loaded many configs knows many: the last are those of this one.
    earlier = [f"{len(folders) - _LISTED} earlier folders"] if len(folders) > _LISTED else []
    listed = [*earlier, *folders[-_LISTED:]]
    return f" (looked in {', '.join(listed)} and on Python's path{hint if 'did you mean' in hint else ''})"


def failed(what: str, module: str, error: BaseException) -> ForeignError:
    """Returns one line about something that code of somebody else raised; raise it from ``error``.

    Args:
        what: failed, such as ``model "my_nets:net"``.
        module: its code's module, whose line is named.
        error: the error that it raised.
    """
    # Of a syntax error the place is named below.
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    place = code_location(error, [module])
    named = f"{type(error).__name__}: {text}".rstrip(": ")
    return ForeignError(f"{what} raised {named}{f' ({place})' if place else ''}; mend it there")


def code_location(error: BaseException, modules: Iterable[str]) -> str | None:
    """Returns the innermost line of some modules, or of their packages, that an error went through.

    Args:
        error: with its traceback.
        modules: their names.

    Returns:
        Such as ``my_nets.py, line 12``; None where it went through none.
    """
    packages = {name.split(".")[0] for name in modules}
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}"
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).split(".")[0] in packages:
            found = f"{Path(frame.f_code.co_filename).name}, line {line}"
    return found


def modules_in(value: Any) -> list[str]:
    """Returns the modules of every import path in plain values, each once, in order."""
    if isinstance(value, str):
        match = PATH.fullmatch(value)
        return [match[1]] if match and match[1].split(".")[0] != "rolewise" else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return list(dict.fromkeys(name for part in parts for name in modules_in(part)))


def module_spec(module: str) -> importlib.machinery.ModuleSpec | None:
    """Finds a module on Python's path without importing it or the packages around it; None where there is none."""
    path: Sequence[str] | None = None
    spec: importlib.machinery.ModuleSpec | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        part = ".".join(parts[:end])
        if end == 1 and (part in sys.builtin_module_names or part == "rolewise"):
            return importlib.machinery.ModuleSpec(part, None)
        try:
            spec = importlib.machinery.PathFinder.find_spec(part, path)
        except (ImportError, ValueError, OSError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec


def file_of(module: str) -> str | None:
    """Returns the file of a module's top package, without importing it; None where it is unknown."""
    name = module.split(".")[0]
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec = module_spec(name)
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)


def folders_of(modules: Iterable[str]) -> list[str]:
    """Returns the folders in which modules, or their packages, are found, so that they can be found there again."""
    files = [Path(file) for file in map(file_of, modules) if file is not None]
    # A package is found where its folder stands; one without an __init__.py is that folder itself.
    found = [file.parent.parent if file.name == "__init__.py" else file.parent for file in files]
    return list(dict.fromkeys(str(folder.resolve()) for folder in found))
