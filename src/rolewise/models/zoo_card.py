"""The declaration of another library's network."""

from __future__ import annotations

from dataclasses import dataclass

#: Interpolations that images are resized by; a network of another one gets the first.
INTERPOLATIONS = ("bilinear", "bicubic")
#: The statistics of ImageNet's images, which nearly all published networks are normalised by.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class ZooCard:
    """The declaration of a network by its library: input, classes, and where its pretrained weights are.

    Args:
        mean: mean of each channel, of pixels in [0, 1]; empty for a network of texts.
        std: standard deviation of each channel.
        size: (H, W) in pixels; None where any will do.
        interpolation: ``bilinear`` or ``bicubic``.
        classes: number of classes of its pretrained weights; None where there are none.
        repository: of the Hugging Face hub, with the pretrained weights; empty where they are elsewhere.
        file: name of the file of the pretrained weights; empty where there are none.
        url: its address, where it is on no hub.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None
    interpolation: str
    classes: int | None
    repository: str = ""
    file: str = ""
    url: str = ""
