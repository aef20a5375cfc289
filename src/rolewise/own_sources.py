"""The user's own source files: the module that a path names, and the user's modules that it imports."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import site
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import sha256
from rolewise.foreign_code import module_spec


def own_sources(name: str) -> dict[str, str]:
    """Returns the SHA-256 of the source of a module and of the modules that it imports, however deep, by their names.

    Modules of Python itself, of installed packages and of this one are not followed. Nothing is imported: the imports
    are read from the sources.

    Args:
        name: ``package.module:callable``, or the module alone.

    Raises:
        InputError: there is no such module.
    """
    start = name.partition(":")[0]
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        path = None if module in found else _file(module)
        if path is None or (module != start and not _is_own(path)):
            continue
        found[module] = sha256(path, "module")
        waiting += [module.rpartition(".")[0]] if "." in module else []
        waiting += _imported(path, module)
    if start not in found and module_spec(start) is None:
        raise InputError(
            f'"{name}" cannot be imported (there is no module {start!r}); it must read package.module:callable, '
            "and its folder must be on Python's path"
        )
    return found


def sources_behind(objects: Iterable[type | str]) -> dict[str, str]:
    """Returns the SHA-256 of the user's own sources behind some classes and paths, by the names of modules.

    Of a class of the program that was started its own source alone counts, by its name, where it can be found.

    Args:
        objects: classes, or paths such as ``package.module:callable``; those of installed packages are left out.
    """
    found: dict[str, str] = {}
    for one in dict.fromkeys(objects):
        module = one.partition(":")[0] if isinstance(one, str) else one.__module__
        if module == "__main__" and isinstance(one, type):
            with contextlib.suppress(OSError, TypeError):
                found[f"__main__:{one.__qualname__}"] = hashlib.sha256(inspect.getsource(one).encode()).hexdigest()
        elif module not in found and module != "__main__" and (path := _file(module)) is not None and _is_own(path):
            found |= own_sources(module)
    return found


def _file(module: str) -> Path | None:
    spec = module_spec(module) if module else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _is_own(path: Path) -> bool:
    return not any(path.resolve().is_relative_to(folder) for folder in _installed())


def _installed() -> list[Path]:
    paths = [
        path for name, path in sysconfig.get_paths().items() if name in ("stdlib", "platstdlib", "purelib", "platlib")
    ]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    return [*(Path(path).resolve() for path in paths), Path(__file__).resolve().parent]


def _imported(path: Path, module: str) -> Iterable[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return ()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return list(_names(tree, package))


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            yield origin
            # What is imported from a package may be a module of it.
            yield from (f"{origin}.{alias.name}" for alias in node.names)
