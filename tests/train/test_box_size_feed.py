"""The feed of boxes by size: what lies beside moves alike, noise is where it should be, and a resumed epoch."""

from __future__ import annotations

import functools
from typing import Any

import torch

from rolewise.augment import BoxSizeAugmentation
from rolewise.data import ImageData, box_list, drawn_shapes
from rolewise.seeds import generator
from rolewise.train import BoxSizeFeed, Feed
from rolewise.train.box_size_feed import BESIDE

DRAWS = functools.partial(generator, 1, "feed")


def shapes(count: int) -> ImageData:
    return drawn_shapes(count, (48, 64), torch.Generator().manual_seed(0))


def noise(images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    return (images.float() + 20 * torch.randn(images.shape, generator=draws)).clamp(0, 255).to(torch.uint8)


def feed(given: ImageData, size: int, *by_size: Any, **settings: Any) -> BoxSizeFeed:
    augmentation = BoxSizeAugmentation(20, *by_size) if by_size else None
    return BoxSizeFeed(given, size, 1, DRAWS, augmentation=augmentation, noise=noise, **settings)


def test_images_beside_move_as_their_own_and_boxes_with_them() -> None:
    given, moved = shapes(40), 0
    made = feed(given, 7, 0.0, 0.8, 1.0, beside=255 - given.images)
    assert isinstance(made, Feed) and made.steps == len(list(made.batches(0))) == 6
    for batch in made.batches(0):
        assert int((batch.inputs.int() + batch.views[BESIDE].int() - 255).abs().max()) <= 1
        for image, target, row in zip(batch.inputs, batch.targets, batch.indices.tolist(), strict=True):
            for x1, y1, x2, y2 in target["boxes"].round().int().tolist():
                # A shape is bright in its middle, wherever its image went.
                assert int(image[0, (y1 + y2 - 1) // 2, (x1 + x2 - 1) // 2]) > 120
            moved += not torch.equal(target["boxes"], box_list(given.labels[row : row + 1])[0]["boxes"])
    assert moved > 20


def test_noise_is_on_images_of_small_boxes_and_not_on_those_beside() -> None:
    given = shapes(30)
    (noisy,) = feed(given, 30, 1.0, 1.0, 1.0, beside=given.images).batches(0)
    (plain,) = feed(given, 30).batches(0)
    assert torch.equal(noisy.views[BESIDE], plain.inputs) and not plain.views
    changed = (noisy.inputs != plain.inputs).flatten(1).any(1)
    assert torch.equal(changed, BoxSizeAugmentation(20).all_small(given.labels)[noisy.indices]) and changed.any()


def test_mirroring_and_order_are_those_without_augmentation() -> None:
    given = shapes(30)
    by_size, alone = feed(given, 30, 0.0, 0.5, 1.0), feed(given, 30)
    assert torch.equal(by_size.plan(0)[0].ops[:, -1:], alone.plan(0)[0].ops)
    assert [batch.indices.tolist() for batch in by_size.batches(0)] == [
        batch.indices.tolist() for batch in alone.batches(0)
    ]


def test_an_epoch_that_begins_within_has_the_rest_of_its_batches() -> None:
    made = feed(shapes(30), 4, 1.0, 0.8, 1.0)
    whole, rest = list(made.batches(0)), list(made.batches(0, 3))
    assert len(rest) == len(whole) - 3
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(rest, whole[3:], strict=True))
