"""What the commands import before they answer: heavy libraries wait for the work that needs them. Nothing is timed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
# All that `rolewise --help` may load from outside the standard library.
OF_HELP = {"annotated_doc", "click", "markdown_it", "mdurl", "pygments", "rich", "rolewise", "shellingham", "typer"}
OF_HELP |= {"typing_extensions"}
# Of a second or more together, and no check of a config computes or draws with them.
LATE = {"IPython", "jinja2", "matplotlib", "mlflow", "onnx", "onnxruntime", "onnxscript", "pandas", "pyarrow", "ray"}
LATE |= {"scipy", "sklearn", "tensorboard", "tensorboardX", "timm", "torchvision", "transformers"}


def loaded_by(*command: str) -> set[str]:
    """Gives the packages from outside the standard library that a command of a new process loads."""
    program = (
        "import sys\n"
        f"sys.argv = ['rolewise', *{command!r}]\n"
        "from rolewise.cli import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code\n"
        "files = {name: getattr(module, '__file__', None) or '' for name, module in sys.modules.items()}\n"
        "print('loaded', *{name.split('.')[0] for name, file in files.items() if 'site-packages' in file})\n"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert made.returncode == 0, made.stderr
    return set(made.stdout.rsplit("loaded ", 1)[1].split())


def test_help_loads_no_library_that_computes():
    loaded = loaded_by("--help")
    assert "typer" in loaded
    # What an installer adds to every Python, and coverage to a measured one, is none of the command's.
    assert loaded - OF_HELP - {"_distutils_hack", "coverage", "a1_coverage"} == set()


def test_a_terminal_that_cannot_show_a_letter_shows_its_number(tmp_path: Path):
    """Not a traceback: a class, a file or a folder is called as its owner likes."""
    (tmp_path / "Stra\u00dfe").mkdir()
    command = [
        sys.executable,
        "-c",
        "from rolewise.cli import main; main()",
        "new",
        "Stra\u00dfe",
        "--template",
        "own-method",
    ]
    made = subprocess.run(
        command, capture_output=True, cwd=tmp_path, timeout=120, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert made.returncode == 0, made.stderr
    assert rb"Stra\xdfe: README.md" in made.stdout


@pytest.mark.slow
def test_validate_loads_no_library_that_draws_or_computes_statistics():
    loaded = loaded_by("validate", "configs/digits.yaml")
    assert {"torch", "numpy", "pydantic", "yaml"} <= loaded
    assert not loaded & LATE


def at_import(tree: ast.Module, module: str) -> Iterator[str]:
    """Gives every module that a file imports while it is itself imported: none of functions or of type checking."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            waiting.extend(ast.iter_child_nodes(node))


def file_of(module: str, source: Path) -> Path | None:
    """Gives the file of a module of the package; None where it is a name in one."""
    place = source.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def reached_from(modules: list[str], source: Path = SOURCE) -> dict[str, str]:
    """Gives every package that is loaded with some modules, and the module that loads it first."""
    waiting, seen, found = list(modules), set(modules), {}
    while waiting:
        module = waiting.pop()
        path = file_of(module, source)
        if path is None:
            continue
        name = f"{module}.__init__" if path.name == "__init__.py" else module
        for target in at_import(ast.parse(path.read_text(encoding="utf-8")), name):
            parts = target.split(".")
            found.setdefault(parts[0], module)
            # With a module its packages are imported.
            new = [".".join(parts[:end]) for end in range(1, len(parts) + 1)] if parts[0] == "rolewise" else []
            waiting += [name for name in new if name not in seen]
            seen |= set(new)
    return found


def test_what_reads_a_config_a_study_or_a_run_waits_for_no_library_that_draws():
    found = reached_from(["rolewise.experiment", "rolewise.study", "rolewise.advice", "rolewise.cli"])
    assert {"torch", "numpy", "rolewise"} <= set(found)
    assert not {name: module for name, module in found.items() if name in LATE}, "import these where they are used"


def test_a_planted_early_import_is_found(tmp_path: Path):
    package = tmp_path / "rolewise"
    for name, text in {
        "__init__.py": "",
        "room/__init__.py": "from rolewise.room.inner import draw",
        "room/inner.py": "if True:\n    import matplotlib.pyplot as plt\n\ndef draw():\n    import sklearn",
        "other.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scipy\nfrom .room import draw",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    found = reached_from(["rolewise.other"], tmp_path)
    assert found["matplotlib"] == "rolewise.room.inner"
    assert not {"scipy", "sklearn"} & set(found)
