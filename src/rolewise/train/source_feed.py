"""The feed of a source: of its images, or of its texts."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from rolewise.config.training_sections import TrainSettings
from rolewise.data import Source, TextData
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.train.feed import Feed
from rolewise.train.image_feed import ImageFeed, image_feed_of
from rolewise.train.mixing import Mixing
from rolewise.train.text_feed import TextFeed

SourceFeed: TypeAlias = ImageFeed | TextFeed


def source_feed_of(
    distiller: Distiller,
    source: Source | Feed,
    indices: Tensor | None,
    settings: TrainSettings,
    *,
    device: torch.device,
    mixing: Any = None,
    **given: Any,
) -> Feed:
    """Returns the feed of a training.

    Args:
        distiller: student and teacher.
        source: images or texts, or a feed, which is the result.
        indices: int64 [N], those to train on.
        settings: of the training.
        device: of the training.
        mixing: the rule of mixing of images; None for none.
        given: the other arguments of `ImageFeed` or `TextFeed`.

    Raises:
        InputError: an argument is of another kind, mixing does not go with the methods, or texts are to be mixed.
    """
    if isinstance(source, Feed):
        return source
    assert indices is not None
    if not isinstance(source, TextData):
        return image_feed_of(distiller, source, indices, settings, device=device, mixing=mixing, **given)
    if mixing is not None:
        raise InputError("mixing must be left out for texts: two of them have nothing between them")
    if settings.channels_last:
        raise InputError("channels_last must be false for texts, which have no channels; leave it out")
    return TextFeed(distiller, source, indices, settings, device=device, **given)


def checked_feed(feed: Feed) -> SourceFeed:
    """Returns the feed of a training on a source.

    Raises:
        InputError: it is another feed.
    """
    if not isinstance(feed, (ImageFeed, TextFeed)):
        raise InputError(f"a training must have an ImageFeed for this, got {type(feed).__name__}")
    return feed


def set_mixing(feed: SourceFeed, mixing: Mixing | None) -> None:
    """Replaces how the images of a feed are mixed.

    Raises:
        InputError: they are texts.
    """
    if not isinstance(feed, ImageFeed):
        raise InputError("a training on texts must not be mixed; leave mixing out")
    feed.mixing = mixing
