"""Places for files that workers on several machines share: folders, and addresses of any store that fsspec knows."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rolewise.errors import InputError
from rolewise.files import as_path, write_bytes


@dataclass(frozen=True)
class StoredPath:
    """A file or a folder in a store, with the part of `pathlib.Path` that members' states need.

    A file is written as one object, which is whole or not there; stores for which that does not hold leave damaged
    files, which their digests give away.

    Args:
        address: its address, such as ``s3://bucket/search``.
    """

    address: str

    def __str__(self) -> str:
        return self.address

    def __truediv__(self, name: str) -> StoredPath:
        return StoredPath(f"{self.address.rstrip('/')}/{name}")

    def read_bytes(self) -> bytes:
        """Returns the file's content; raises a FileNotFoundError where there is none."""
        with self._reached():
            files, path = self._place()
            content: bytes = files.cat_file(path)
        return content

    def write_bytes(self, content: bytes) -> None:
        """Writes the file."""
        with self._reached():
            files, path = self._place()
            if self.is_local:  # fsspec would write under the file's own name
                write_bytes(path, content)
            else:
                files.pipe_file(path, content)

    def is_file(self) -> bool:
        """Returns whether the file is there."""
        with self._reached():
            files, path = self._place()
            return bool(files.isfile(path))

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the file."""
        with self._reached():
            files, path = self._place()
            if not missing_ok or files.isfile(path):
                files.rm_file(path)

    @property
    def is_local(self) -> bool:
        """Whether it lies in the files of this machine."""
        return self.address.startswith("file:")

    def names(self) -> list[str]:
        """Returns the names below the folder, sorted; none where there is no such folder."""
        try:
            with self._reached():
                files, path = self._place()
                found = files.ls(path, detail=False)
        except FileNotFoundError:
            return []
        return sorted({str(entry).rstrip("/").rpartition("/")[2] for entry in found})

    def files(self) -> list[str]:
        """Returns the paths of all files below the folder, from there, sorted; none where there is no such folder."""
        with self._reached():
            files, path = self._place()
            start = len(path.rstrip("/")) + 1
            return sorted(str(file)[start:] for file in files.find(path))

    def remove_folder(self) -> None:
        """Removes the folder and all below it; what is not there is removed already."""
        with self._reached():
            files, path = self._place()
            if self.is_local:  # where folders are there without files
                shutil.rmtree(path, ignore_errors=True)
                return
            for file in files.find(path):  # one by one: a removal in bulk takes brackets in an address for a pattern
                files.rm_file(file)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turns what a store's package raises, of any class, into an OSError, as of a disk: no fault of what is stored.

        A RuntimeError, such as of a closed connection, would retire the member of a search whose state is written.
        """
        try:
            yield
        except (FileNotFoundError, ImportError, ValueError):  # no such file, or no such kind of store
            raise
        except Exception as error:
            if self.is_local:
                raise
            raise OSError(f"the store at {self} cannot be used: {type(error).__name__}: {error}") from error

    def _place(self) -> tuple[Any, str]:
        # By name, because it has no types.
        core: Any = importlib.import_module("fsspec.core")
        files, path = core.url_to_fs(self.address)
        files.invalidate_cache()  # another machine may have written since it was listed
        return files, path


StatePath: TypeAlias = Path | StoredPath


def store_at(address: str | Path) -> StatePath:
    """Returns the place at an address: a folder of this machine, or a store.

    Args:
        address: a path, or an address such as ``s3://bucket/search`` or ``memory://search``.

    Raises:
        InputError: the kind of store is unknown, its package is not installed, or no place in it is named.
    """
    kind, mark, rest = str(address).partition("://")
    if slip := re.match(r"([a-z0-9+]{2,}):/(?!/)", str(address)):  # it would be a folder of that name
        raise InputError(f"states must be a folder or an address with two slashes, such as {slip[1]}://, got {address}")
    if mark and not rest.strip("/"):
        raise InputError(f"states must name a place in the store, such as {kind}://bucket/run, got {address}")
    if not mark or kind in ("file", "local"):
        return as_path(rest if mark else address, "address")
    try:
        StoredPath(str(address)).is_file()
    except (ImportError, ValueError) as error:
        raise InputError(f"states must be a folder or an address of a store, got {address}: {error}") from error
    return StoredPath(str(address))


def check_reach(place: StatePath, workers: int, *, apart: bool) -> None:
    """Makes sure that workers reach a place.

    Args:
        place: of what they read and leave.
        workers: their number.
        apart: whether they are in processes of their own even where there is one.

    Raises:
        InputError: it is in the memory of this process, and they are not.
    """
    if (workers > 1 or apart) and str(place).startswith("memory:"):
        raise InputError(
            f"states must be where all workers reach them, got {place}, which is of one process; use one worker"
        )
