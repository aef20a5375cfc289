"""Packages: which ones the pieces need, which of them are not there, and how they come out of a folder of wheels."""

from __future__ import annotations

import email
import importlib
import importlib.metadata
import importlib.util
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

TORCH = (2, 6)
#: What every piece needs, by the module that is imported; `tests/devices` are run by pytest.
NEEDED = {"pydantic": "pydantic", "typer": "typer", "rich": "rich", "safetensors": "safetensors", "yaml": "PyYAML"}
NEEDED |= {"matplotlib": "matplotlib", "jinja2": "Jinja2", "sklearn": "scikit-learn", "scipy": "scipy", "PIL": "pillow"}
NEEDED |= {"numpy": "numpy", "pytest": "pytest"}
#: What is measured against, where it is there.
PEERS = ("kornia", "torchdistill")
#: Packages whose wheels would bring another torch along, and those that are taken as they are.
_OVER_TORCH, _GIVEN = {"kornia", "kornia-rs", "torchdistill"}, {"torch", "torchvision"}

#: Version and requirements of a distribution.
Known = tuple[str, list[str]]


def install(wheels: Path, site: Path) -> list[str]:
    """Installs the wheels of a folder, without a network and into a folder of their own, and returns their names.

    A package that this Python has already is left out, unless another one needs a version that only the wheels have:
    torch and numpy stay what they are.

    Raises:
        SystemExit: there are no wheels, or pip refuses them.
    """
    offered = {_plain(path.name.split("-")[0]): path for path in sorted(wheels.glob("*.whl"))}
    if not offered:
        raise SystemExit(f"--wheels must be a folder of .whl files, got {wheels}, which has none")
    there = installed(site)
    wanted = {name for name in offered if name not in there}
    while True:
        there |= {name: _of_wheel(offered[name]) for name in wanted}
        more = {_name(one) for one in unmet([*NEEDED.values(), *PEERS], there)} & offered.keys() - wanted
        if not more:
            break
        wanted |= more
    paths = [offered[name] for name in sorted(wanted)]
    if paths:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
        made = subprocess.run([*pip, "--target", str(site), *map(str, paths)], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(f"pip cannot install the wheels of {wheels}:\n{made.stderr.strip()}")
    importlib.invalidate_caches()
    return [path.name for path in paths]


def installed(site: Path) -> dict[str, Known]:
    """Returns the distributions that this Python finds, those of a folder first."""
    found: dict[str, Known] = {}
    for one in importlib.metadata.distributions(path=[str(site), *sys.path]):
        found.setdefault(_plain(one.metadata["Name"] or ""), (one.version, list(one.requires or [])))
    return found


def unmet(wanted: Iterable[str], there: Mapping[str, Known]) -> list[str]:
    """Returns the requirements that are not met, those of requirements included, each as pip writes it.

    Args:
        wanted: requirements to begin with.
        there: the distributions that are there or will be.
    """
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]

    left, seen, found = list(wanted), set[str](), []
    while left:
        text = left.pop(0)
        requirement = Requirement(text)
        if text in seen or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(text)
        name = _plain(requirement.name)
        if name in _GIVEN:
            continue
        version, needs = there.get(name, (None, []))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name}{requirement.specifier}")
        left += needs
    return list(dict.fromkeys(found))


def check(site: Path) -> None:
    """Refuses to begin where something that every piece needs cannot be imported, and names all of it.

    Raises:
        SystemExit: torch is missing or too old, or a package is; what is missing is listed, with how to fetch it.
    """
    least = ".".join(map(str, TORCH))
    try:
        import torch
    except ImportError:
        raise SystemExit(f"torch >= {least} must be installed, and is not") from None
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < TORCH:
        raise SystemExit(f"torch must be {least} or newer, got {torch.__version__}")
    there, failed = installed(site), {}
    for module, name in NEEDED.items():
        # Imported and not only looked for: a package may be there without what it needs itself.
        try:
            importlib.import_module(module)
        except Exception as error:
            failed[name] = f"{name} ({' '.join(str(error).split())[:120]})"
    if failed:
        missing = unmet(failed, there) or list(failed)
        raise SystemExit(
            f"cannot be imported: {', '.join(failed.values())}\nmissing: {', '.join(missing)}\n"
            f"fetch their wheels where there is a network, and name the folder by --wheels:\n{fetching(missing)}"
        )
    absent = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if absent:
        missing = unmet(absent, there)
        print(f"measured without {' and '.join(absent)}; wheels of what they need:\n{fetching(missing)}")


def fetching(requirements: Iterable[str]) -> str:
    """Returns the commands that download wheels of requirements for this Python and machine into ``wheels/``."""
    plain, over = [], []
    for one in requirements:
        (over if _name(one) in _OVER_TORCH else plain).append(f"'{one}'" if re.search("[<>!]", one) else one)
    python = f"--only-binary=:all: --python-version {sys.version_info[0]}.{sys.version_info[1]} --implementation cp"
    if sys.platform == "linux":
        kinds = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
        python += "".join(f" --platform {kind}_{platform.machine()}" for kind in kinds)
    pip = f"python3 -m pip download --dest wheels {python}"
    # What stands on torch is fetched without what it needs, or another torch comes with it.
    return "\n".join(
        [f"  {pip} {' '.join(plain)}"] * bool(plain) + [f"  {pip} --no-deps {' '.join(over)}"] * bool(over)
    )


def _of_wheel(path: Path) -> Known:
    with zipfile.ZipFile(path) as wheel:
        inner = next(name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        fields = email.message_from_bytes(wheel.read(inner))
    return str(fields["Version"]), [str(one) for one in fields.get_all("Requires-Dist", [])]


def _name(requirement: str) -> str:
    return _plain(re.split(r"[^A-Za-z0-9._-]", requirement)[0])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
