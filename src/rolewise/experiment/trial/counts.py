"""Whether a data set has as many images as a config divides it into."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.data.splits import count_of
from rolewise.experiment.world import sources

#: Training and test images of sets that are always the same; they need not be there. Without a test part: None.
_KNOWN: dict[str, tuple[int, int | None]] = {
    "digits": (1797, None),
    **dict.fromkeys(("cifar10", "cifar100"), (50_000, 10_000)),
    **dict.fromkeys(("mnist", "fashion_mnist"), (60_000, 10_000)),
}


def count_faults(config: ExperimentConfig) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) where a part of the images is larger than what is left for it.

    Args:
        config: the experiment; its images have been read where they are not of a known set.

    Raises:
        InputError: they cannot be read.
    """
    data = config.data
    if data.name not in _KNOWN and data.limit is not None:
        return  # reading it has tried the limit
    usable, own = _KNOWN.get(data.name) or _sizes(config)
    if own is None and data.test is not None:
        usable -= count_of("data.test", data.test, total := usable)
        if usable <= 0:
            yield ("data", "test"), f"must leave some of the {total:,} images to train on, got {data.test}"
            return
    elif own is not None and data.test is not None and count_of("data.test", data.test, own) > own:
        yield ("data", "test"), f"must be at most the {own:,} images of the set's own test part, got {data.test}"
    if data.limit is not None:
        if data.limit > usable:
            yield ("data", "limit"), f"must be at most the {usable:,} images that are not tested on, got {data.limit}"
            return
        usable = data.limit
    if usable - count_of("data.validation", data.validation, usable) <= 0:
        yield (
            ("data", "validation"),
            f"must leave some of the {usable:,} images that are not tested on to train on, got {data.validation}",
        )


def _sizes(config: ExperimentConfig) -> tuple[int, int | None]:
    train, test = sources(config)
    return len(train), None if test is None else len(test)
