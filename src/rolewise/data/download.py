"""Finding data files, and fetching them with a checksum where they are missing."""

from __future__ import annotations

import hashlib
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from rolewise.data.data_checks import ChecksumWarning, MissingDataError, check_kind, warn
from rolewise.errors import InputError
from rolewise.files import kind_of, open_regular, write_bytes

#: No file that is fetched is nearly so large; an address that never ends is left.
_LARGEST_DOWNLOAD = 1 << 30


def data_root(root: str | os.PathLike[str] | None) -> Path:
    """Returns the folder of data: the given one, else ``ROLEWISE_DATA``, else ``~/.cache/rolewise/data``."""
    # os.path leaves a home that nobody has as it is, and it is then called missing; pathlib raises.
    return Path(os.path.expanduser(root or os.environ.get("ROLEWISE_DATA") or "~/.cache/rolewise/data"))


def find(root: Path, candidates: Sequence[str], dataset: str, address: str | None, kind: str = "a file") -> Path:
    """Returns the first of several places that exists.

    Args:
        root: the folder of data.
        candidates: paths below it.
        dataset: its name, for the error.
        address: its address in the web, for the error; None where it is the user's own.
        kind: ``a file`` or ``a folder``; a pipe or a device is neither.

    Raises:
        MissingDataError: none does; file, folder and address are named.
        InputError: it is of another kind, or the folder of data is a file.
    """
    if kind_of(root) == "a file":
        rule = f"must be a folder, got the file {root}; set it to the folder that holds the file"
        raise InputError.at(("data", "root"), rule)
    for candidate in candidates:
        if kind_of(root / candidate) is not None:
            check_kind(root / candidate, kind)
            return root / candidate
    if address is None:
        raise MissingDataError(
            f"{root / candidates[0]} is missing; set data.root to the folder it is in, or name it in data.arguments"
        )
    raise MissingDataError(
        f"{dataset} was not found: {candidates[0]} is missing in {root}; get it from {address}, "
        "or set data.download to true where there is a network, or data.root to its folder"
    )


def check_md5(path: Path, md5: str) -> None:
    """Warns where a file is not the official one."""
    digest = hashlib.md5(usedforsecurity=False)
    with open_regular(path, "file") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != md5:
        warn(f"{path} has md5 {digest.hexdigest()}, the official file has {md5}; it is used as it is", ChecksumWarning)


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
                if got > _LARGEST_DOWNLOAD:
                    raise ValueError(f"more than {_LARGEST_DOWNLOAD:,} bytes came")
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
    """Unpacks a tar archive of files and folders.

    Args:
        archive: the archive.
        folder: the folder.

    Raises:
        InputError: a member would leave the folder, or is neither a file nor a folder; nothing is unpacked.
    """
    root = folder.resolve()
    with tarfile.open(archive) as content:
        for member in content.getmembers():
            if not (member.isfile() or member.isdir()) or not (root / member.name).resolve().is_relative_to(root):
                raise InputError(
                    f"{archive} must hold files and folders of its own alone, got {member.name!r}; fetch it anew"
                )
        # Releases of Python before 3.10.12 and 3.11.4 have no filters.
        if hasattr(tarfile, "data_filter"):
            content.extractall(folder, filter="data")
        else:
            content.extractall(folder)
