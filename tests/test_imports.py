"""Who may import whom: the rooms of the package, read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "rolewise"

FOUNDATION = {
    "average",
    "batch",
    "begun_folder",
    "callable_rooms",
    "csv_cells",
    "errors",
    "files",
    "foreign_code",
    "freed_memory",
    "image_limits",
    "inputs",
    "jobs",
    "logits",
    "machine_memory",
    "machine_record",
    "method_presets",
    "metric_info",
    "moving_weight",
    "networks",
    "onnx_packages",
    "own_sources",
    "pacing",
    "process_sums",
    "processes",
    "reach",
    "registry",
    "results_format",
    "sealed_bytes",
    "seals",
    "seeds",
    "setting_messages",
    "spans",
    "strict_settings",
    "taps",
    "tensors",
    "text_packages",
    "threads",
    "typed_values",
    "words",
}
LEAVES = {"data", "augment", "models", "quant", "tasks", "distill"}
MEASURES = {"diagnosis", "instruments", "statistics"}
# Room -> the rooms it may import beside itself and the foundation. A room that is not here is refused, so that whoever
# adds one decides where it stands.
ALLOWED: dict[str, set[str]] = {
    **{leaf: set() for leaf in LEAVES},
    "distill": {"tasks"},
    "search": set(),
    "trackers": set(),
    "config": set(),
    "train": {*LEAVES, "config"},
    "statistics": set(),
    "instruments": {"data"},
    "diagnosis": {"data", "instruments", "statistics"},
    "report": {"statistics"},
    "experiment": {*LEAVES, *MEASURES, "config", "report", "search", "trackers", "train"},
    # Beside one another, above the experiments that they run, measure or export.
    **{
        room: {*LEAVES, *MEASURES, "config", "experiment", "report", "search", "trackers", "train"}
        for room in ("study", "advice", "deploy")
    },
    "convert": {"config", "distill", "models"},
    # A study that one command makes, and the table of its methods.
    "compare": {*LEAVES, *MEASURES, "config", "experiment", "report", "search", "study", "trackers", "train"},
    # Procedures of papers, out of everything that trains and measures.
    "systems": {*LEAVES, *MEASURES, "config", "experiment", "report", "search", "study", "trackers", "train"},
}
SEES_EVERYTHING = {"cli", "__init__", "__main__"}
# What a room may not import from outside the package: a search never meets a network.
FORBIDDEN_OUTSIDE = {"search": {"torch.nn", "torch.optim"}}


def imported(tree: ast.AST, module: str) -> Iterator[tuple[int, str]]:
    """Gives (line, module's or name's full path) of every import, wherever it stands in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def violations(package: Path) -> list[str]:
    """Gives one line for each import that goes against the directions, and for each room without a place."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        room = parts[0]
        if room in SEES_EVERYTHING:
            continue
        if room not in ALLOWED and room not in FOUNDATION:
            found.append(f"{path.relative_to(package)}: the room {room!r} must have a place in ALLOWED")
            continue
        for line, target in imported(ast.parse(path.read_text(encoding="utf-8")), ".".join(["rolewise", *parts])):
            where = f"{path.relative_to(package)}:{line}"
            if any(f"{target}.".startswith(f"{name}.") for name in FORBIDDEN_OUTSIDE.get(room, ())):
                found.append(f"{where}: {room} must not import {target}")
            if target.split(".")[0] != "rolewise":
                continue
            # The package itself holds every room's names: importing it would go round this rule.
            other = target.split(".")[1] if "." in target else "__init__"
            if other not in {room} | FOUNDATION | ALLOWED.get(room, set()):
                found.append(f"{where}: {room} must not import {target}")
    return found


def test_the_rooms_import_in_one_direction():
    assert len(list(PACKAGE.rglob("*.py"))) > 50
    assert not violations(PACKAGE)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("data/a.py", "from rolewise.augment.ops import OPS"),
        ("augment/a.py", "import rolewise.data"),
        ("models/a.py", "from rolewise import distill"),
        ("distill/a.py", "from ..models import build"),
        ("distill/methods/a.py", "from ...models import build"),
        ("search/a.py", "def late():\n    from rolewise.train import Trainee"),
        ("search/a.py", "from torch import nn"),
        ("search/a.py", "import torch.nn.functional"),
        ("train/a.py", "import importlib\nimportlib.import_module('rolewise.search')"),
        ("train/a.py", "from rolewise.experiment import run"),
        ("report/a.py", "from rolewise.train.evaluate import evaluate"),
        ("instruments/a.py", "from rolewise.search import search"),
        ("instruments/a.py", "from rolewise.diagnosis import teacher_faults"),
        ("statistics/a.py", "from rolewise.instruments import accuracy"),
        ("diagnosis/a.py", "from rolewise.report import write"),
        ("report/a.py", "from rolewise.diagnosis import teacher_faults"),
        ("train/a.py", "from rolewise.instruments import accuracy"),
        ("config/a.py", "from rolewise.cli import main"),
        ("data/a.py", "import rolewise as rw"),
        ("seeds.py", "from rolewise.data import read"),
        ("kitchen/a.py", "import torch"),
        ("experiment/a.py", "from rolewise.study import run_study"),
        ("study/a.py", "from rolewise.advice import advise"),
        ("deploy/a.py", "from rolewise.cli import main"),
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, file: str, line: str):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line, encoding="utf-8")
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("train/a.py", "from rolewise.data import read\nfrom rolewise.distill import Distiller"),
        ("experiment/a.py", "from rolewise.search import search"),
        ("study/a.py", "from rolewise.experiment import run"),
        ("cli.py", "import rolewise.report"),
        ("distill/methods/a.py", "from ..registry import METHODS\nfrom rolewise.registry import Registry"),
        ("search/a.py", "import torch\nfrom torch import Tensor\nimport numpy"),
        ("data/a.py", "'import rolewise.train'  # import rolewise.train"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, file: str, line: str):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line, encoding="utf-8")
    assert not violations(tmp_path)
