"""Numbers of images under a limit: how many are trained on, validate and are tested on."""

from __future__ import annotations

from rolewise.data.splits import count_of
from rolewise.errors import InputError
from rolewise.image_limits import ImageLimits

Limit = int | ImageLimits | None


def used_images(limit: Limit, pool: int, validation: int | float) -> tuple[int, int | float]:
    """Returns the number of images that are trained on or validate, and the number or share of them that validates.

    Args:
        limit: the number of both together, limits of each, or None for all.
        pool: the images that are not tested on.
        validation: the number of validation images, or a share of all that are used.

    Raises:
        InputError: there are not so many; the path of the error is that of the setting.
    """
    if not isinstance(limit, ImageLimits):
        if limit is not None and limit > pool:
            rule = f"must be at most the {pool:,} training examples, got {limit:,}; lower it"
            raise InputError.at(("data", "limit"), rule)
        return pool if limit is None else limit, validation
    share = validation if isinstance(validation, float) and validation < 1 else 0.0
    whole = pool if limit.train is None or not share else min(pool, round(limit.train / (1 - share)))
    validated = limited_validation(limit, count_of("validation", validation, whole))
    if limit.train is None:
        return pool, validated
    if limit.train + validated > pool:
        left = max(0, pool - validated)
        rule = f"must be at most the {left:,} examples that neither validate nor test, got {limit.train:,}; lower it"
        raise InputError.at(("data", "limit", "train"), rule)
    return limit.train + validated, validated


def used_beside(limit: Limit, pool: int, validation: int | float, own: int | None) -> tuple[int, int | float]:
    """Returns the numbers of `used_images` where a data set may have validation images of its own.

    A limit of one number is then that of the training images alone.

    Args:
        limit: the limits, if any.
        pool: the images that are neither tested on nor of the set's own validation images.
        validation: the number of validation images that are drawn, or a share of all that are used.
        own: the number of the set's own validation images; None where they are drawn.

    Raises:
        InputError: there are not so many.
    """
    if own is None:
        return used_images(limit, pool, validation)
    if isinstance(limit, ImageLimits):
        trained = None if limit.train is None else ImageLimits(train=limit.train)
        return used_images(trained, pool, 0)[0], limited_validation(limit, own)
    return used_images(limit, pool, 0)[0], own


def limited_unlabelled(limit: Limit, total: int) -> int:
    """Returns the number of training images that are used, where these have no classes and others validate.

    Args:
        limit: the limits, if any.
        total: the number of training images.

    Raises:
        InputError: there are not so many.
    """
    parts = isinstance(limit, ImageLimits)
    used = limit.train if isinstance(limit, ImageLimits) else limit
    if used is not None and used > total:
        path = ("data", "limit", "train") if parts else ("data", "limit")
        raise InputError.at(path, f"must be at most the {total:,} training examples, got {used:,}; lower it")
    return total if used is None else used


def limited_validation(limit: Limit, validation: int) -> int:
    """Returns the number of validation images under a limit.

    Args:
        limit: the limits, if any.
        validation: the number that the data's own setting gives.

    Raises:
        InputError: the limit is above it.
    """
    most = limit.validation if isinstance(limit, ImageLimits) else None
    return _limited("validation", most, validation, "examples that data.validation sets aside")


def limited_test(limit: Limit, tested: int) -> int:
    """Returns the number of test images under a limit.

    Args:
        limit: the limits, if any.
        tested: the number without it.

    Raises:
        InputError: the limit is above it.
    """
    most = limit.test if isinstance(limit, ImageLimits) else None
    return _limited("test", most, tested, "test examples")


def _limited(part: str, most: int | None, there: int, what: str) -> int:
    if most is not None and most > there:
        rule = f"must be at most the {there:,} {what}, got {most:,}; lower it"
        raise InputError.at(("data", "limit", part), rule)
    return there if most is None else most
