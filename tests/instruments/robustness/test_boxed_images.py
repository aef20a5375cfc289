"""Adversarial images with boxes: the loss sees boxes where objects are moved to; and noise at the ball's corners."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.data import box_list, drawn_shapes
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments import adversarial_boxed_images, corner_noise

SPEC = InputSpec((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def inside(batch: Batch) -> Tensor:
    """The sum of all pixels in boxes: pixels of objects raise it, wherever they are moved to, and no other ones."""
    sums = []
    for image, target in zip(batch.inputs, batch.targets, strict=True):
        for x, y, right, bottom in target["boxes"].round().int().tolist():
            sums.append(image[:, y:bottom, x:right].sum())
    return torch.stack(sums).sum()


def test_what_is_attacked_moves_with_its_boxes_and_nothing_else_does() -> None:
    images = drawn_shapes(6, (48, 64), draws())
    network = nn.BatchNorm2d(3).train()
    found, again = (
        adversarial_boxed_images(network, images, inside, SPEC, radius=8, generator=draws(), batch_size=4)
        for _ in range(2)
    )
    assert torch.equal(found, again) and found.dtype == torch.uint8 and network.training
    moved = found.int() - images.images.int()
    assert int(moved.abs().max()) == 8
    for change, target in zip(moved, box_list(images.labels), strict=True):
        near = torch.zeros(48, 64, dtype=torch.bool)
        for x, y, right, bottom in target["boxes"].round().int().tolist():
            near[max(0, y - 1) : bottom + 1, max(0, x - 1) : right + 1] = True
        assert not change[:, ~near].any() and float((change[:, near] > 0).double().mean()) > 0.8


def test_corner_noise_moves_every_pixel_as_far_as_it_can() -> None:
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=draws(), dtype=torch.uint8)
    moved = corner_noise(images, 8, draws()).int() - images.int()
    middle = (images >= 8) & (images <= 247)
    assert set(moved[middle].unique().tolist()) == {-8, 8}
    assert 0.45 < float((moved[middle] > 0).double().mean()) < 0.55
    assert int(moved.abs().max()) == 8


@pytest.mark.parametrize("radius", [0, 256])
def test_a_radius_out_of_its_range_is_refused(radius: int) -> None:
    images = drawn_shapes(1, (48, 64), draws())
    with pytest.raises(InputError, match="radius must be from 1 to 255 grey levels"):
        corner_noise(images.images, radius, draws())
    with pytest.raises(InputError, match="radius must be from 1 to 255 grey levels"):
        adversarial_boxed_images(nn.Identity(), images, inside, SPEC, radius=radius, generator=draws())
