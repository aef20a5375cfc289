"""The habits that a reader of the source relies on, and that no linter of ours checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "rolewise"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# The largest room's part of the package's lines.
MOST_OF_THE_LINES = 0.15
# Draws that take a generator, and therefore must be given one.
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
TENSOR_DRAWS = {"uniform_", "normal_", "bernoulli_", "random_", "exponential_", "log_normal_", "cauchy_", "geometric_"}
NUMPY_STREAMS = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox", "BitGenerator"}
# Files that seed the shared streams for a library that draws from them, and put them back.
GUARDS = {"auto_attack.py"}
# Absolute places of somebody's machine. /usr, /bin, /dev and /proc are everybody's.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/~}-])/(?:home|root|Users|tmp|opt|mnt|media|srv|var|work|workspace|data|content)/\w"
)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dotted(node: ast.AST) -> str:
    """Gives ``a.b.c`` for an attribute of an attribute of a name, and nothing for anything else."""
    if isinstance(node, ast.Attribute):
        parent = dotted(node.value)
        return f"{parent}.{node.attr}" if parent else ""
    return node.id if isinstance(node, ast.Name) else ""


def global_draws(tree: ast.AST) -> Iterator[str]:
    """Gives one line for each call that reads or moves a random state that everybody shares."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            yield f"{node.lineno}: import random"
        if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random", "torch.random"):
            yield f"{node.lineno}: from {node.module} import ..."
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = node.func.attr if isinstance(node.func, ast.Attribute) else name
        given = any(keyword.arg in ("generator", None) for keyword in node.keywords)
        numpy_global = re.fullmatch(r"(?:np|numpy)\.random\.(\w+)", name)
        if (
            re.fullmatch(r"torch\.(?:cuda\.|mps\.|random\.)?(?:manual_seed\w*|seed\w*|set_rng_state\w*)", name)
            or (numpy_global and numpy_global[1] not in NUMPY_STREAMS)
            or (name.startswith("torch.") and last in TORCH_DRAWS and name.count(".") == 1 and not given)
            or (isinstance(node.func, ast.Attribute) and last in TENSOR_DRAWS and not given and "init." not in name)
            or name in ("torch.rand_like", "torch.randn_like", "torch.randint_like")
        ):
            yield f"{node.lineno}: {name or last}"


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Gives every public class, function and method that does not say what it is."""

    def visit(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                if not child.name.startswith("_") and not ast.get_docstring(child):
                    yield f"{child.lineno}: {prefix}{child.name}"
                if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
                    yield from visit(child, f"{child.name}.")

    if not ast.get_docstring(tree):
        yield "1: the module"
    yield from visit(tree, "")


def texts() -> list[Path]:
    """Gives every file of the project that a person reads."""
    kinds = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".html", ".j2", ".css"}
    folders = ("src", "tests", "tools", "configs", "examples", "benchmarks", "docs")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    found += [path for path in ROOT.iterdir() if path.suffix in kinds or path.name == "Makefile"]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_a_source_file_keeps_the_habits(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert path.name not in ("utils.py", "helpers.py", "misc.py", "common.py"), "name a file by what it says"
    assert not list(undocumented(tree))
    assert path.name in GUARDS or not list(global_draws(tree))


def room_of(path: Path, package: Path) -> str:
    """Gives a file's room: its folder below the package, or the ground floor for a file beside the rooms."""
    parts = path.relative_to(package).parts
    return parts[0] if len(parts) > 1 else "ground"


def lengths_of(package: Path) -> dict[str, int]:
    """Gives the lines of each file, by its path below the package."""
    return {
        str(path.relative_to(package)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(package.rglob("*.py"))
    }


def odd_lengths(package: Path) -> set[str]:
    """Gives the files above 250 lines, and those below 25 that are neither an ``__init__`` nor a ``__main__``."""
    return {
        name
        for name, length in lengths_of(package).items()
        if length > 250 or (length < 25 and not name.endswith(("__init__.py", "__main__.py")))
    }


def rooms_of_names(package: Path) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Gives the rooms that define each public function or class, and those that have a file of each name."""
    names: dict[str, set[str]] = {}
    files: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        if not path.name.startswith("__"):
            files.setdefault(path.stem, set()).add(room)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                names.setdefault(node.name, set()).add(room)
    return names, files


def shared(rooms: dict[str, set[str]]) -> set[str]:
    """Gives the names that several rooms have."""
    return {name for name, found in rooms.items() if len(found) > 1}


def test_files_are_small():
    lengths = lengths_of(PACKAGE)
    assert len(lengths) > 50
    assert median(lengths.values()) < 150
    assert not odd_lengths(PACKAGE), "split what says two things, join what says half a thing"


def code_lines_of(path: Path) -> int:
    """Counts a file's lines of code: without blank ones, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    aside: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        first = node.body[0] if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            aside.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") for number, line in lines if number not in aside)


def test_the_executor_stays_small():
    parts = ("scheduler", "job_queue", "workers", "this_process", "local_processes", "ray_actors")
    lines = {name: code_lines_of(PACKAGE / "jobs" / f"{name}.py") for name in parts}
    assert 300 < sum(lines.values()) <= 700, f"the scheduler and its three kinds of workers grow: {lines}"


def test_a_system_stays_small():
    folders = [path for path in (PACKAGE / "systems").iterdir() if (path / "__init__.py").is_file()]
    lines = {folder.name: sum(code_lines_of(path) for path in folder.glob("*.py")) for folder in folders}
    assert len(lines) > 10 and max(lines.values()) <= 400, f"move what is general to a room: {lines}"


def parts_of_rooms(package: Path) -> dict[str, float]:
    """Gives each room's part of the package's lines."""
    lines: dict[str, int] = {}
    for name, length in lengths_of(package).items():
        room = room_of(package / name, package)
        lines[room] = lines.get(room, 0) + length
    return {room: length / sum(lines.values()) for room, length in lines.items()}


def test_no_room_is_too_full():
    parts = parts_of_rooms(PACKAGE)
    assert len(parts) > 10
    assert not {room for room, part in parts.items() if part > MOST_OF_THE_LINES}, f"divide them: {parts}"


def test_a_name_means_one_thing():
    names, files = rooms_of_names(PACKAGE)
    assert len(names) > 500
    assert not shared(names), "each public name belongs to one room: say what each of them is"
    assert not shared(files), "each file name belongs to one room: say what each of them holds"


def test_planted_lengths_and_names_are_caught(tmp_path: Path):
    for name, text in {
        "one/long.py": "x = 1\n" * 251,
        "one/short.py": "def build(): pass\n",
        "one/__init__.py": "",
        "two/fair.py": "class Plan: pass\ndef build(): pass\n" + "x = 1\n" * 30,
        "two/deep/short.py": "def _build(): pass\n" + "x = 1\n" * 30,
        "plan.py": "class Plan: pass\n" + "x = 1\n" * 30,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert odd_lengths(tmp_path) == {"one/long.py", "one/short.py"}
    assert {room for room, part in parts_of_rooms(tmp_path).items() if part > 0.5} == {"one"}
    names, files = rooms_of_names(tmp_path)
    assert shared(names) == {"build", "Plan"} and shared(files) == {"short"}


def test_nothing_names_somebodys_machine():
    assert len(texts()) > 100
    found = [
        f"{ids(path)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line) and path != Path(__file__).resolve()
    ]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(0)",
        "torch.cuda.manual_seed_all(0)",
        "torch.seed()",
        "torch.random.manual_seed(0)",
        "torch.set_rng_state(state)",
        "np.random.seed(0)",
        "numpy.random.rand(3)",
        "np.random.shuffle(order)",
        "import random",
        "from random import shuffle",
        "from numpy.random import rand",
        "torch.rand(3)",
        "torch.randperm(3, device=device)",
        "torch.randn_like(images)",
        "weights.uniform_(0, 1)",
        "model.weight.data.normal_()",
    ],
)
def test_a_planted_global_draw_is_caught(line: str):
    assert len(list(global_draws(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.rand(3, generator=generator)",
        "torch.rand(3, **how)",
        "weights.uniform_(0, 1, generator=generator)",
        "np.random.default_rng(0).random(3)",
        "torch.Generator().manual_seed(0)",
        "gene.random(3)",
    ],
)
def test_a_draw_from_a_generator_passes(line: str):
    assert not list(global_draws(ast.parse(line)))


def test_a_planted_gap_in_the_documentation_is_caught():
    source = '''"""A module."""
def open(): pass
def _shut(): pass
class Door:
    """A door."""
    def knock(self): pass
    def _lock(self): pass
'''
    assert list(undocumented(ast.parse(source))) == ["2: open", "6: Door.knock"]
    assert list(undocumented(ast.parse("x = 1"))) == ["1: the module"]


@pytest.mark.parametrize("root", ["home", "root", "tmp", "work", "Users"])
def test_a_planted_machine_path_is_caught(root: str):
    assert MACHINE_PATH.search(f'open("/{root}/someone/file")')
    assert not MACHINE_PATH.search(f"https://example.org/{root}/someone and docs/{root}/x and ./{root}/x")
