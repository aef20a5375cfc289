"""Where the pieces run: the source, the device, the commit, the data."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_CIFAR = "cifar-100-python"


def use(site: Path) -> None:
    """Lets this process and those that it starts import the package's source and what stands in the folder."""
    paths = [str(ROOT / "src"), str(site)]
    sys.path[:0] = [path for path in paths if path not in sys.path]
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*paths, *filter(None, before)]))
    importlib.invalidate_caches()


def check_device(device: str) -> None:
    """Refuses to begin where there is no GPU and one is wanted.

    Raises:
        SystemExit: torch finds none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device is cuda, and torch finds no GPU; --device cpu --miniature tries the runner without")


def about(device: str) -> dict[str, Any]:
    """Returns what stands beside every result: device, versions, commit."""
    import torch

    found: dict[str, Any] = {"device": "cpu", "cores": os.cpu_count()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found = {"device": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)} | found
        found["device"], found["cuda"] = properties.name, torch.version.cuda
    versions = {"python": sys.version.split()[0], "torch": torch.__version__}
    for name in ("rolewise", "numpy", "kornia", "torchdistill", "pydantic", "safetensors"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "source" if name == "rolewise" else "none"
    return {**found, "versions": versions, **commit()}


def commit() -> dict[str, Any]:
    """Returns the source's commit, and whether files differ from it; ROLEWISE_COMMIT where there is no repository."""
    git = ["git", "-C", str(ROOT)]
    try:
        top, head = subprocess.run(
            [*git, "rev-parse", "--show-toplevel", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.split("\n")[:2]
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
        # A copy may lie within a repository of something else.
        if Path(top).resolve() != ROOT:
            raise FileNotFoundError(ROOT / ".git")
    except (OSError, subprocess.CalledProcessError):
        return {"commit": os.environ.get("ROLEWISE_COMMIT") or None, "changed": None}
    return {"commit": head, "changed": bool(status.strip())}


def check_commit(miniature: bool) -> None:
    """Refuses a measurement of which nobody could say what was measured.

    Raises:
        SystemExit: there is no repository, and no commit is given.
    """
    if not miniature and commit()["commit"] is None:
        raise SystemExit(
            f"{ROOT} must be a repository, or its commit be given, as the results keep it: "
            "--commit $(git rev-parse HEAD), from where the copy was made"
        )


def data_folder(given: Path | None) -> Path:
    """Returns the folder over CIFAR-100's files.

    Args:
        given: that folder, or the one of the files itself; None for what ROLEWISE_DATA names.

    Raises:
        SystemExit: the files are not there.
    """
    named = given or Path(os.environ.get("ROLEWISE_DATA") or ".data")
    folder = named.resolve().parent if named.resolve().name == _CIFAR else named.resolve()
    missing = [name for name in ("train", "test", "meta") if not (folder / _CIFAR / name).is_file()]
    if missing:
        raise SystemExit(f"--data must be the folder over {_CIFAR}, got {named}, without {_CIFAR}/{missing[0]}")
    return folder


def miniature_data(folder: Path) -> Path:
    """Writes 300 and 100 small pictures of 100 classes in CIFAR-100's own layout, and returns the folder over it."""
    import numpy as np

    inner = folder / _CIFAR
    inner.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(0))
    tones = random.integers(40, 216, (100, 3, 4, 4))
    for name, each in (("train", 3), ("test", 1)):
        labels = np.arange(100 * each) % 100
        pixels = np.kron(tones[labels], np.ones((1, 1, 8, 8))) + random.normal(0, 20, (len(labels), 3, 32, 32))
        data = pixels.clip(0, 255).astype(np.uint8).reshape(len(labels), 3072)
        record = {b"data": data, b"fine_labels": labels.tolist(), b"coarse_labels": (labels // 5).tolist()}
        (inner / name).write_bytes(pickle.dumps(record))
    names = {b"fine_label_names": [b"class %d" % k for k in range(100)]}
    names[b"coarse_label_names"] = [b"group %d" % k for k in range(20)]
    (inner / "meta").write_bytes(pickle.dumps(names))
    return folder


def bind(out: Path, miniature: bool) -> None:
    """Makes the folder of results, and keeps miniatures and measurements apart.

    Raises:
        SystemExit: the folder holds the other kind.
    """
    path = out / "about.json"
    kind = {"results_of": "a miniature" if miniature else "measurements"}
    if path.is_file() and json.loads(path.read_text()) != kind:
        raise SystemExit(f"{out} must hold {kind['results_of']}, and holds others; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kind) + "\n")
