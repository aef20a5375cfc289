"""Losses and gradients here against code of others, in float64: the largest relative difference of each; or the time.

python benchmarks/official_losses.py --sources DIR [--methods kd,crd] [--time [--quick]] [--json FILE]

DIR holds clones of the repositories of `official_cases.REPOSITORIES` by name (``git clone https://github.com/HobbitLong/RepDistiller``,
and so on); what is missing is left out. Nothing of theirs is installed or kept here: single files of losses are
imported from where they lie, under names of their own, and what they want of other libraries is put in empty.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import official_times
import quiet
import torch
from official_cases import REPOSITORIES, Case, cases
from official_terms import LARGE, given, sized

from rolewise.files import write_json

#: The largest relative difference that needs no reason.
LIMIT = 1e-9
#: Modules of other libraries that their files import and no loss uses.
EMPTY = (
    *("mmcls", "mmcls.registry", "mmrazor", "mmrazor.registry", "turtle"),
    *("timm", "timm.models", "timm.models.layers", "timm.models.vision_transformer"),
)
#: Some of theirs want a GPU.
_ON_CPU = patch.object(torch.Tensor, "cuda", lambda tensor, *_, **__: tensor)


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
    for make in (lambda: case.official(module), case.own):
        student = [one.requires_grad_() for one in given(case.kind, 1)]
        with _ON_CPU:
            value = make()(student, given(case.kind, 2))
        gradients = torch.autograd.grad(value, student, allow_unused=True)
        found.append((value.detach().reshape(1), torch.cat([one.flatten() for one in gradients if one is not None])))
    pairs = zip(("loss", "gradient"), zip(*found, strict=True), strict=True)
    return {key: float((own - other).abs().max() / other.abs().max()) for key, (other, own) in pairs}


def commit_of(folder: Path) -> str:
    """Returns the commit of a clone."""
    run = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def table(
    sources: Path, measure: Callable[[Case, Any], dict[str, Any]], names: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yields a row for each loss whose repository is there.

    Args:
        sources: the folder of the clones.
        measure: of a case and the module of its file.
        names: the methods; empty for all.
    """
    for case in (one for one in cases() if not names or one.method in names):
        folder = sources / case.repository
        if not folder.is_dir():
            print(f"{case.repository} is not in {sources}: {case.method} is left out")
            continue
        yield {
            "method": case.method,
            "part": case.part,
            "repository": f"{REPOSITORIES[case.repository]}/{case.repository}",
            "commit": commit_of(folder),
            "file": case.file,
            **measure(case, imported(folder, case.file)),
        }


def differences(sources: Path, names: Collection[str], json: Path | None) -> None:
    """Prints the differences of each loss, and writes them.

    Raises:
        SystemExit: one is above `LIMIT` and has no reason.
    """
    rows = []
    for row in table(sources, lambda case, module: {**compared(case, module), "reason": case.reason}, names):
        rows.append(row)
        print(f"{row['method']:<22} {row['repository']:<48} {row['loss']:9.1e} {row['gradient']:9.1e}  {row['reason']}")
    if json is not None:
        write_json(json, {"limit": LIMIT, "torch": torch.__version__, "rows": rows})
    if any(max(row["loss"], row["gradient"]) > LIMIT and not row["reason"] for row in rows):
        raise SystemExit(f"a difference above {LIMIT} has no reason")


def times(sources: Path, names: Collection[str], json: Path | None, rounds: int) -> None:
    """Prints the time of each loss beside theirs, and writes it: the processor's, so that other work does not count."""
    quiet.begin(1)
    official_times.keep_memory()
    rows = []
    with sized(LARGE), _ON_CPU:
        for row in table(sources, lambda case, module: official_times.timed(case, module, rounds), names):
            rows.append(row)
            ratios = (
                f"  x {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
                for ratio in (row["ratio"], row["again"])
            )
            spent = f"{row['official_ms']:9.2f} ms {row['own_ms']:9.2f} ms"
            print(f"{row['method']:<22} {row['repository']:<44} {spent}{''.join(ratios)}", flush=True)
    content = {"limit": official_times.LIMIT, "rounds": rounds, "torch": torch.__version__, "rows": rows}
    quiet.write(json, content, claim=False)


def main() -> None:
    parser = quiet.command_line(__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="the folder of the clones")
    parser.add_argument("--time", action="store_true", help="the time of each beside theirs, in place of differences")
    parser.add_argument("--methods", default="", help="names separated by commas; all by default")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.methods.split(",") if name.strip()]
    if arguments.time:
        times(arguments.sources, names, arguments.json, 5 if arguments.quick else 15)
    else:
        differences(arguments.sources, names, arguments.json)


if __name__ == "__main__":
    main()
