"""Where the pieces run: packages out of a folder of wheels, the device, the commit, the data."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TORCH = (2, 4)
#: What the package cannot do without; kornia, torchdistill and pytest are wanted by single steps.
NEEDED = {"pydantic": "pydantic", "typer": "typer", "rich": "rich", "safetensors": "safetensors", "yaml": "PyYAML"}
NEEDED |= {"matplotlib": "matplotlib", "jinja2": "Jinja2", "sklearn": "scikit-learn", "scipy": "scipy", "PIL": "pillow"}


def install(wheels: Path, site: Path) -> list[str]:
    """Installs the wheels of a folder, without a network and into a folder of their own, and returns their names.

    A package that this Python has already is left out, so that torch and numpy stay what they are.

    Raises:
        SystemExit: there are no wheels, or pip refuses them.
    """
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise SystemExit(f"--wheels must be a folder of .whl files, got {wheels}, which has none")
    wanted = [wheel for wheel in found if not _installed(wheel.name.split("-")[0], site)]
    if wanted:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
        made = subprocess.run([*pip, *map(str, wanted)], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(f"pip cannot install the wheels of {wheels}:\n{made.stderr.strip()}")
    use(site)
    return [wheel.name for wheel in wanted]


def use(site: Path) -> None:
    """Lets this process and those that it starts import the package's source and what stands in the folder."""
    paths = [str(ROOT / "src"), str(site)]
    sys.path[:0] = [path for path in paths if path not in sys.path]
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*paths, *filter(None, before)]))
    importlib.invalidate_caches()


def _installed(name: str, site: Path) -> bool:
    plain = re.sub(r"[-_.]+", "-", name).lower()
    everywhere = [*sys.path, str(site)]
    return any(
        re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower() == plain
        for one in importlib.metadata.distributions(path=everywhere)
    )


def check(device: str) -> None:
    """Refuses to begin where something that every piece needs is missing.

    Raises:
        SystemExit: torch is missing or too old, a package is missing, or there is no GPU where one is wanted.
    """
    try:
        import torch
    except ImportError:
        raise SystemExit("torch >= 2.4 must be installed, and is not") from None
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < TORCH:
        raise SystemExit(f"torch must be 2.4 or newer, got {torch.__version__}")
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; put their wheels into a folder and name it by --wheels DIR")
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
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {"commit": os.environ.get("ROLEWISE_COMMIT", "unknown"), "changed": None}
    return {"commit": head, "changed": bool(status.strip())}


def miniature_data(folder: Path) -> Path:
    """Writes 600 and 200 small pictures of 100 classes in CIFAR-100's own layout, and returns the folder over it."""
    import numpy as np

    inner = folder / "cifar-100-python"
    inner.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(0))
    tones = random.integers(40, 216, (100, 3, 4, 4))
    for name, each in (("train", 6), ("test", 2)):
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
