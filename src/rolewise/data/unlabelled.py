"""Training images without classes: validation images are drawn from the labelled ones, and joined to them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from rolewise.data.image_sources import Source
from rolewise.data.splits import count_of, split, stratified_subset
from rolewise.data.targets import are_unlabelled
from rolewise.errors import InputError
from rolewise.seeds import derive_seed


class JoinedSources:
    """Images of two sources as those of a single one, the second behind the first.

    Args:
        first: the one source.
        second: the other, with images of the same shape and the same classes.
    """

    def __init__(self, first: Source, second: Source) -> None:
        self.first, self.second = first, second
        self.labels = torch.cat([first.labels, second.labels])
        self.classes, self.channels, self.size = second.classes, second.channels, second.size

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> Tensor:
        """Returns uint8 images [B, C, H, W]."""
        behind = indices >= len(self.first)
        parts: tuple[Tensor, Tensor]
        if not bool(behind.any()):
            images: Tensor = self.first.batch(indices)
            return images
        if bool(behind.all()):
            images = self.second.batch(indices - len(self.first))
            return images
        parts = self.first.batch(indices[~behind]), self.second.batch(indices[behind] - len(self.first))
        images = torch.empty((len(indices), self.channels, *self.size), dtype=torch.uint8)
        for place, part in zip((~behind, behind), parts, strict=True):
            images[place] = part.cpu()
        return images

    def with_labels(self, labels: Tensor) -> JoinedSources:
        """Returns the same images with other labels.

        Args:
            labels: int64 [N].
        """
        other = copy.copy(self)
        other.labels = labels
        return other


def labelled_parts(
    labelled: Source | None, *, name: str, test: int | float | None, validation: int | float, split_seed: int
) -> tuple[Tensor, Tensor]:
    """Returns the labelled images that validate, and those that are tested on, as ascending indices.

    Both are the same for every seed, as a test set is. The validation images are drawn first, by class.

    Args:
        labelled: the images with classes, or None.
        name: of the data set, for errors.
        test: the number or fraction of the others that are tested on, by class; None for all.
        validation: the number or fraction of labelled images that validate.
        split_seed: of the draws.

    Raises:
        InputError: there are no labelled images, or not so many.
    """
    if labelled is None or are_unlabelled(labelled.labels):
        rule = f"must have test images with classes: the training images of {name!r} have none"
        raise InputError.at(("data", "arguments"), rule)
    if fault := validation_fault(validation, len(labelled)):
        raise InputError.at(("data", "validation"), fault)
    parts = split(
        labelled.labels, validation=validation, test=0, seed=derive_seed(split_seed, "labelled", "validation")
    )
    tested = parts.train
    if test is not None:
        count = count_of("data.test", test, len(tested))
        if not 1 <= count <= len(tested):
            rule = f"must be 1 to {len(tested):,}, the labelled images that do not validate, got {test}"
            raise InputError.at(("data", "test"), rule)
        tested = stratified_subset(tested, labelled.labels, count, derive_seed(split_seed, "test"))
    return parts.validation, tested


def validation_fault(validation: int | float, labelled: int) -> str | None:
    """Returns the fault of a number of validation images that labelled images cannot give; None without a fault.

    Args:
        validation: the number, or a fraction below 1.
        labelled: the number of labelled images.
    """
    count = count_of("data.validation", validation, labelled)
    if 1 <= count < labelled:
        return None
    return (
        f"must leave some of the {labelled:,} labelled images to test on, since the training images have no classes "
        f"to validate by, got {count:,}; change it"
    )
