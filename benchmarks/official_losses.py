"""Losses and gradients here against code of others, in float64: the largest relative difference of each.

python benchmarks/official_losses.py --sources DIR [--json FILE]

DIR holds clones of the repositories of `official_cases.REPOSITORIES` by name (``git clone https://github.com/HobbitLong/RepDistiller``,
and so on); what is missing is left out. Nothing of theirs is installed or kept here: single files of losses are
imported from where they lie, under names of their own, and what they want of other libraries is put in empty.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from official_cases import REPOSITORIES, Case, cases
from official_terms import given

from rolewise.files import write_json

#: The largest relative difference that needs no reason.
LIMIT = 1e-9
#: Modules of other libraries that their files import and no loss uses.
EMPTY = (
    *("mmcls", "mmcls.registry", "mmrazor", "mmrazor.registry", "turtle"),
    *("timm", "timm.models", "timm.models.layers", "timm.models.vision_transformer"),
)


class _Empty(types.ModuleType):
    """A module in place of another library's: whatever is taken of it is a decorator, or nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return types.SimpleNamespace(register_module=lambda *_, **__: lambda kind: kind)


def imported(folder: Path, file: str) -> Any:
    """Returns a file as a module without running the packages above it.

    Args:
        folder: of the repository.
        file: its path there.
    """
    for name in EMPTY:
        sys.modules.setdefault(name, _Empty(name))
    parts = ["held_" + "".join(one if one.isalnum() else "_" for one in folder.name), *Path(file).with_suffix("").parts]
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*parts[1:depth]))]
            sys.modules[name] = package
    return importlib.import_module(".".join(parts))


def compared(case: Case, module: Any) -> dict[str, float]:
    """Returns the relative differences of the loss, and of its gradient to the student's tensors."""
    found = []
    for make in (lambda: case.official(module), lambda: case.own):
        student = [one.requires_grad_() for one in given(case.kind, 1)]
        with patch.object(torch.Tensor, "cuda", lambda tensor, *_, **__: tensor):  # some of theirs want a GPU
            value = make()(student, given(case.kind, 2))
        gradients = torch.autograd.grad(value, student, allow_unused=True)
        found.append((value.detach().reshape(1), torch.cat([one.flatten() for one in gradients if one is not None])))
    pairs = zip(("loss", "gradient"), zip(*found, strict=True), strict=True)
    return {key: float((own - other).abs().max() / other.abs().max()) for key, (other, own) in pairs}


def commit_of(folder: Path) -> str:
    """Returns the commit of a clone."""
    run = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def table(sources: Path) -> list[dict[str, Any]]:
    """Returns a row for each loss whose repository is there.

    Args:
        sources: the folder of the clones.
    """
    rows = []
    for case in cases():
        folder = sources / case.repository
        if not folder.is_dir():
            print(f"{case.repository} is not in {sources}: {case.method} is left out")
            continue
        where = f"{REPOSITORIES[case.repository]}/{case.repository}"
        row = {
            "method": case.method,
            "part": case.part,
            "repository": where,
            "commit": commit_of(folder),
            "file": case.file,
        }
        rows.append({**row, **compared(case, imported(folder, case.file)), "reason": case.reason})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = table(arguments.sources)
    for row in rows:
        print(f"{row['method']:<22} {row['repository']:<48} {row['loss']:9.1e} {row['gradient']:9.1e}  {row['reason']}")
    if arguments.json is not None:
        write_json(arguments.json, {"limit": LIMIT, "torch": torch.__version__, "rows": rows})
    if any(max(row["loss"], row["gradient"]) > LIMIT and not row["reason"] for row in rows):
        raise SystemExit(f"a difference above {LIMIT} has no reason")


if __name__ == "__main__":
    main()
