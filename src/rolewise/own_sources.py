"""The user's own source files: the module that a path names, and the user's modules that it imports."""

from __future__ import annotations

import ast
import importlib.machinery
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import sha256


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
    if start not in found and _spec(start) is None:
        raise InputError(
            f'"{name}" cannot be imported (there is no module {start!r}); it must read package.module:callable, '
            "and its folder must be on Python's path"
        )
    return found


def _spec(module: str) -> importlib.machinery.ModuleSpec | None:
    """Finds a module without importing the packages that it is in."""
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


def _file(module: str) -> Path | None:
    spec = _spec(module) if module else None
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
