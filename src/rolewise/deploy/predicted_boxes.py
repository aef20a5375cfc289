"""The boxes that a detector finds, on their pictures: places in the picture's own pixels, and drawings."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from rolewise.data.box_files import box_on_picture
from rolewise.data.label_decoder import stored_size
from rolewise.data.picture_source import PictureRules
from rolewise.deploy.file_agreement import detector_outputs
from rolewise.deploy.file_facts import FileFacts
from rolewise.experiment.drawn_targets import with_boxes
from rolewise.files import write_bytes
from rolewise.tasks.detection_outputs import detections_of

#: The probability from which a box is shown where nobody names another: what metrics count begins far below it.
SHOWN = 0.25


@dataclass(frozen=True)
class FoundBox:
    """A box in a picture.

    Args:
        label: the number of its class.
        score: its probability.
        corners: x1, y1, x2, y2 in pixels of the picture as it is seen, from its upper left corner.
    """

    label: int
    score: float
    corners: tuple[float, float, float, float]


def detections_in(facts: FileFacts, outputs: Tensor) -> Tensor:
    """Returns the boxes that a file's outputs hold, after suppression, [B, D, 6] (see `rolewise.tasks.Detection`).

    Args:
        facts: of the file.
        outputs: of the file, [B, A, 4 + K].
    """
    assert facts.boxes is not None
    return detections_of(detector_outputs(facts, outputs), **vars(facts.boxes))


def boxes_in_picture(rows: Tensor, stored: tuple[int, int], rules: PictureRules) -> tuple[FoundBox, ...]:
    """Returns a detector's boxes on a picture, the highest score first; those outside of it are left out.

    Args:
        rows: [D, 6], x1, y1, x2, y2 in pixels of the image, score and label, -1 where there is no box.
        stored: (width, height) of the picture as it is seen.
        rules: the way from the picture to the image.
    """
    found = []
    for *corners, score, label in rows.tolist():
        x1, y1, x2, y2 = box_on_picture(corners, stored, rules.shape, rules.resize)
        if label >= 0 and x2 > x1 and y2 > y1:
            found.append(FoundBox(int(label), score, (x1, y1, x2, y2)))
    return tuple(found)


def write_drawing(
    path: Path, boxes: Sequence[FoundBox], names: Sequence[str], picture: Path, rules: PictureRules
) -> None:
    """Writes a picture with its boxes as a PNG file: outlines in a colour for each class, with name and score.

    Args:
        path: the file.
        boxes: of the picture.
        names: of the classes.
        picture: the picture file.
        rules: the way from the picture to the network's input.
    """
    from PIL import Image, ImageDraw

    width, height = stored_size(picture, rules.orientation)
    whole = replace(rules, size=(height, width), grayscale=False, resize="squash")
    pixels = whole.decoder()(picture)
    table = torch.tensor([[*box.corners, box.label, 0.0] for box in boxes]).view(1, -1, 6)
    drawn = with_boxes(torch.from_numpy(pixels.copy())[None], table)[0]
    image = Image.fromarray(drawn.permute(1, 2, 0).contiguous().numpy())
    draw = ImageDraw.Draw(image)
    for box in boxes:
        name = names[box.label] if box.label < len(names) else str(box.label)
        text, (left, top) = f"{name} {box.score:.0%}", box.corners[:2]
        extent = draw.textbbox((0, 0), text)
        # Above its box, or inside where the picture ends there.
        place = left, top - extent[3] - 2 if top >= extent[3] + 2 else top
        draw.rectangle((*place, place[0] + extent[2] + 2, place[1] + extent[3] + 2), fill=(0, 0, 0))
        draw.text((place[0] + 1, place[1]), text, fill=(255, 255, 255))
    content = io.BytesIO()
    image.save(content, "PNG")
    write_bytes(path, content.getvalue())
