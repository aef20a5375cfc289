"""The division that is the same for every seed: which images are tested on, and which of the others are used at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.data.data_checks import warn
from rolewise.data.image_sources import ImageData, Source
from rolewise.data.splits import count_of, split, stratified_subset
from rolewise.data.targets import are_unlabelled, kind_of_targets, strata_of
from rolewise.data.unlabelled import JoinedSources, labelled_parts
from rolewise.errors import InputError
from rolewise.seeds import derive_seed


@dataclass(frozen=True)
class Division:
    """Images to train, validate and search on, and images to test on.

    Args:
        source: holds the first.
        usable: int64, indices into ``source``, ascending.
        test_source: holds the second; it may be ``source``.
        test: int64, indices into ``test_source``, ascending.
        validation: int64, indices into ``source`` that validate, where the training images have no classes; else None,
            and validation images are drawn of ``usable`` for each seed.
        raw: the training images and the test images as they were read, where ``source`` is joined of both.
    """

    source: Source
    usable: Tensor
    test_source: Source
    test: Tensor
    validation: Tensor | None = None
    raw: tuple[Source, Source | None] | None = None


def divide(
    train: Source,
    test_part: Source | None,
    *,
    name: str,
    test: int | float | None,
    limit: int | None,
    split_seed: int,
    validation: int | float = 0,
) -> Division:
    """Divides a data set; where only some of its images are used, the others are not held.

    Args:
        train: the training images.
        test_part: the set's own test images, or None.
        name: of the data set, for errors.
        test: the number of images that are tested on, or a fraction where it is below 1: of the set's own test part, by
            class, or held out of ``train`` where there is none. None takes the whole test part.
        limit: the number of remaining training images that are used, by class; None for all.
        split_seed: of the draws.
        validation: number or fraction of labelled images that validate, of influence where ``train`` has no classes.

    Raises:
        InputError: there are not so many, or ``test`` is None and the set has no test part.
    """
    if are_unlabelled(train.labels):
        return _unlabelled(train, test_part, name, test, limit, split_seed, validation)
    usable = torch.arange(len(train))
    test_source, tested = (train, usable[:0]) if test_part is None else (test_part, torch.arange(len(test_part)))
    stream = derive_seed(split_seed, "test")
    if test_part is None:
        if test is None:
            rule = f"must be the number of images to hold out: {name!r} has no test set of its own"
            raise InputError.at(("data", "test"), rule)
        if (held := count_of("data.test", test, len(train))) >= len(train):
            rule = f"must leave some of the {len(train):,} images to train on, got {held:,}; lower it"
            raise InputError.at(("data", "test"), rule)
        fixed = split(train.labels, validation=0, test=test, seed=stream)
        usable, tested = fixed.train, fixed.test
    elif test is not None:
        count = count_of("data.test", test, len(test_part))
        if not 1 <= count <= len(test_part):
            rule = f"must be 1 to {len(test_part)}, the size of the set's own test part, got {test}"
            raise InputError.at(("data", "test"), rule)
        if count < len(test_part):
            test_source, tested = _some(test_part, stratified_subset(tested, test_part.labels, count, stream))
    if limit is not None:
        if limit > len(usable):
            raise InputError.at(("data", "limit"), f"must be at most the {len(usable)} training images, got {limit}")
        chosen = stratified_subset(usable, train.labels, limit, derive_seed(split_seed, "limit"))
        strata = strata_of(train.labels)
        left, there = (len(torch.unique(strata[part])) for part in (chosen, usable))
        if left < there and kind_of_targets(train.labels) == "classes":
            warn(f"data.limit: {limit} leaves {there - left} of {there} classes without an image; raise it")
        if test_part is None:
            test_source, tested = _some(train, tested)
        train, usable = _some(train, chosen)
    return Division(train, usable, test_source, tested)


def _unlabelled(
    train: Source,
    labelled: Source | None,
    name: str,
    test: int | float | None,
    limit: int | None,
    split_seed: int,
    validation: int | float,
) -> Division:
    """Divides training images without classes, and labelled images that validate and test."""
    validated, tested = labelled_parts(labelled, name=name, test=test, validation=validation, split_seed=split_seed)
    assert labelled is not None
    raw, usable = (train, labelled), torch.arange(len(train))
    if limit is not None:
        if limit > len(train):
            raise InputError.at(("data", "limit"), f"must be at most the {len(train)} training images, got {limit}")
        chosen = stratified_subset(usable, train.labels, limit, derive_seed(split_seed, "limit"))
        train, usable = _some(train, chosen)
    joined = JoinedSources(train, labelled)
    return Division(joined, usable, labelled, tested, validated + len(train), raw)


def _some(source: Source, indices: Tensor) -> tuple[Source, Tensor]:
    """Returns a source of some images alone, which holds no others, and its indices."""
    if isinstance(source, ImageData):
        source = ImageData(source.images[indices], source.labels[indices], source.classes)
        return source, torch.arange(len(indices))
    # On disk nothing is held.
    return source, indices
