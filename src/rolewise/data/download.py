"""Finding data files, and fetching them with a checksum where they are missing."""

from __future__ import annotations

import hashlib
import os
import tarfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Sequence
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import write_bytes


class ChecksumWarning(UserWarning):
    """A file differs from the official one."""


def data_root(root: str | os.PathLike[str] | None) -> Path:
    """Returns the folder of data: the given one, else ``ROLEWISE_DATA``, else ``~/.cache/rolewise/data``."""
    return Path(root or os.environ.get("ROLEWISE_DATA") or Path.home() / ".cache" / "rolewise" / "data").expanduser()


def find(root: Path, candidates: Sequence[str], dataset: str, address: str) -> Path:
    """Returns the first of several places that exists.

    Raises:
        InputError: none does; file, folder and address are named.
    """
    for candidate in candidates:
        if (root / candidate).exists():
            return root / candidate
    raise InputError(
        f"{dataset} was not found: {candidates[0]} is missing in {root}; get it from {address}, "
        "or set data.download to true where there is a network, or data.root to its folder"
    )


def check_md5(path: Path, md5: str) -> None:
    """Warns where a file is not the official one."""
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        warnings.warn(
            f"{path} has md5 {found}, the official file has {md5}; it is used as it is", ChecksumWarning, stacklevel=3
        )


def fetch(address: str, target: Path, md5: str, timeout: float = 30.0) -> None:
    """Downloads a file, whole or not at all.

    Raises:
        InputError: there is no way to the address, or the content's md5 is another one.
    """
    pieces: list[bytes] = []
    got, shown = 0, -1
    try:
        with urllib.request.urlopen(address, timeout=timeout) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            while piece := answer.read(1 << 20):
                pieces.append(piece)
                got += len(piece)
                percent = 100 * got // total if total else 0
                if percent // 10 > shown:
                    shown = percent // 10
                    print(f"{target.name}: {got / 1e6:.1f} MB" + (f", {percent}%" if total else ""), flush=True)
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise InputError(
            f"{target.name} could not be downloaded from {address} to {target.parent} ({error}); "
            "put the file there by hand, or try again where there is a network"
        ) from error
    content = b"".join(pieces)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise InputError(f"{address} must give a file with md5 {md5}, got {found}; nothing was kept, try again")
    write_bytes(target, content)


def extract(archive: Path, folder: Path) -> None:
    """Unpacks a tar archive; members that would leave the folder are refused."""
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
