"""Picture files that are given to a network: single ones, those of folders, those of patterns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from rolewise.data.data_checks import check_kind
from rolewise.data.image_files import list_images
from rolewise.errors import InputError


def given_pictures(names: Sequence[str]) -> list[Path]:
    """Returns the picture files that names stand for, each once, in the order of the names.

    Args:
        names: files; folders, whose pictures at every depth are taken; or patterns such as ``shots/*.jpg``, where no
            shell has resolved them.

    Raises:
        InputError: a name stands for no picture.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            listed = list_images(path).images
            if not listed:
                raise InputError(
                    f"{path} must hold pictures, got none with an ending that is read; name another folder"
                )
        elif path.exists():
            check_kind(path, "a file")  # a pipe would never end
            listed = [path]
        else:
            listed = sorted(Path(one) for one in glob.glob(name, recursive=True))
            listed = [inner for one in listed for inner in (list_images(one).images if one.is_dir() else [one])]
            if not listed:
                what = "pattern matches no file" if glob.has_magic(name) else "there is no such file or folder"
                raise InputError(f"{name} must name pictures, and {what}; check the path")
        found.update(dict.fromkeys(listed))
    return list(found)
