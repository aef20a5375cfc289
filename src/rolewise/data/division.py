"""The division that is the same for every seed: which images are tested on, and which of the others are used at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.data.data_checks import warn
from rolewise.data.held_images import held_images
from rolewise.data.image_sources import ImageData, Source
from rolewise.data.limits import Limit, limited_test, limited_unlabelled, limited_validation, used_beside
from rolewise.data.own_validation import own_validation, trained_rows
from rolewise.data.splits import count_of, split, stratified_subset
from rolewise.data.targets import are_unlabelled, kind_of_targets, strata_of
from rolewise.data.text_source import TextData
from rolewise.data.unlabelled import JoinedSources, labelled_parts
from rolewise.errors import InputError
from rolewise.image_limits import ImageLimits
from rolewise.seeds import derive_seed


@dataclass(frozen=True)
class Division:
    """Images to train, validate and search on, and images to test on.

    Args:
        source: holds the first.
        usable: int64, indices into ``source``, ascending.
        test_source: holds the second; it may be ``source``.
        test: int64, indices into ``test_source``, ascending.
        validation: int64, indices into ``source`` that validate, where the training images have no classes, or the set
            has validation images of its own; else None, and validation images are drawn of ``usable`` for each seed.
        raw: the training images and the test images as they were read, where ``source`` is joined of both.
        validating: the number of images of ``usable`` that validate, where a limit sets it; else None.
    """

    source: Source
    usable: Tensor
    test_source: Source
    test: Tensor
    validation: Tensor | None = None
    raw: tuple[Source, Source | None] | None = None
    validating: int | None = None


def divide(
    train: Source,
    test_part: Source | None,
    *,
    name: str,
    test: int | float | None,
    limit: Limit,
    split_seed: int,
    validation: int | float = 0,
    budget_mb: float | None = None,
) -> Division:
    """Divides a data set; where only some of its images are used, the others are not held.

    Args:
        train: the training images.
        test_part: the set's own test images, or None.
        name: of the data set, for errors.
        test: the number of images that are tested on, or a fraction where it is below 1: of the set's own test part, by
            class, or held out of ``train`` where there is none. None takes the whole test part.
        limit: the number of remaining training images that are used, validation images among them, or the number of
            each part; by class. None for all.
        split_seed: of the draws.
        validation: number or fraction of images that validate: labelled ones, where ``train`` has no classes. It is of
            influence there, and where ``limit`` names parts.
        budget_mb: the size of all pixels up to which the chosen images of files are decoded and held; None leaves
            files on disk.

    Raises:
        InputError: there are not so many, or ``test`` is None and the set has no test part.
    """
    if are_unlabelled(train.labels):
        return _unlabelled(train, test_part, name, test, limit, split_seed, validation, budget_mb)
    own, usable = own_validation(train), trained_rows(train)
    test_source, tested = (train, usable[:0]) if test_part is None else (test_part, torch.arange(len(test_part)))
    stream = derive_seed(split_seed, "test")
    if test_part is None:
        if test is None:
            rule = f"must be the number of examples to hold out: {name!r} has no test set of its own"
            raise InputError.at(("data", "test"), rule)
        if (held := count_of("data.test", test, len(usable))) >= len(usable):
            rule = f"must leave some of the {len(usable):,} examples to train on, got {held:,}; lower it"
            raise InputError.at(("data", "test"), rule)
        fixed = split(train.labels[usable], validation=0, test=test, seed=stream)
        usable, tested = usable[fixed.train], usable[fixed.test]
    elif test is not None:
        count = count_of("data.test", test, len(test_part))
        if not 1 <= count <= len(test_part):
            rule = f"must be 1 to {len(test_part)}, the size of the set's own test part, got {test}"
            raise InputError.at(("data", "test"), rule)
        if count < len(test_part):
            test_source, tested = _some(test_part, stratified_subset(tested, test_part.labels, count, stream))
    if limit is None:
        return Division(train, usable, test_source, tested, own)
    used, validating = used_beside(limit, len(usable), validation, None if own is None else len(own))
    most = limited_test(limit, len(tested))
    if most < len(tested):
        stream = derive_seed(split_seed, "limit", "test")
        test_source, tested = _some(test_source, stratified_subset(tested, test_source.labels, most, stream))
    elif test_part is None:
        test_source, tested = _some(train, tested)
    chosen = _limited(usable, train, used, split_seed)
    test_source, tested = held_images(test_source, tested, budget_mb)
    if own is not None:
        if validating < len(own):
            own = stratified_subset(own, train.labels, int(validating), derive_seed(split_seed, "limit", "validation"))
        train, rows = held_images(*_some(train, torch.cat([chosen, own])), budget_mb)
        return Division(train, rows[: len(chosen)], test_source, tested, rows[len(chosen) :])
    train, usable = held_images(*_some(train, chosen), budget_mb)
    set_aside = int(validating) if isinstance(limit, ImageLimits) else None
    return Division(train, usable, test_source, tested, validating=set_aside)


def _limited(usable: Tensor, train: Source, used: int, split_seed: int) -> Tensor:
    """Returns the indices of so many training images, by class."""
    chosen = stratified_subset(usable, train.labels, used, derive_seed(split_seed, "limit"))
    strata = strata_of(train.labels)
    left, there = (len(torch.unique(strata[part])) for part in (chosen, usable))
    if left < there and kind_of_targets(train.labels) == "classes":
        warn(f"data.limit: {used} leaves {there - left} of {there} classes without an image; raise it")
    return chosen


def _unlabelled(
    train: Source,
    labelled: Source | None,
    name: str,
    test: int | float | None,
    limit: Limit,
    split_seed: int,
    validation: int | float,
    budget_mb: float | None,
) -> Division:
    """Divides training images without classes, and labelled images that validate and test."""
    if isinstance(limit, ImageLimits) and labelled is not None:
        validation = limited_validation(limit, count_of("data.validation", validation, len(labelled)))
    validated, tested = labelled_parts(labelled, name=name, test=test, validation=validation, split_seed=split_seed)
    assert labelled is not None
    raw, usable = (train, labelled), torch.arange(len(train))
    if (most := limited_test(limit, len(tested))) < len(tested):
        tested = stratified_subset(tested, labelled.labels, most, derive_seed(split_seed, "limit", "test"))
    if (used := limited_unlabelled(limit, len(train))) < len(train) or isinstance(limit, int):
        chosen = stratified_subset(usable, train.labels, used, derive_seed(split_seed, "limit"))
        train, usable = _some(train, chosen)
    train, usable = held_images(train, usable, budget_mb)
    labelled = held_images(labelled, torch.arange(len(labelled)), budget_mb)[0]
    joined = JoinedSources(train, labelled)
    return Division(joined, usable, labelled, tested, validated + len(train), raw)


def _some(source: Source, indices: Tensor) -> tuple[Source, Tensor]:
    """Returns a source of some images alone, which holds no others, and its indices."""
    if isinstance(source, TextData):
        return source.subset(indices), torch.arange(len(indices))
    if isinstance(source, ImageData):
        source = ImageData(source.images[indices], source.labels[indices], source.classes)
        return source, torch.arange(len(indices))
    # On disk nothing is held.
    return source, indices
