"""Channels' mean and deviation: exact, in pieces, and no other bytes than one tensor of doubles gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rolewise.data import ImageData, channel_statistics, read
from rolewise.data import image_statistics as counting
from rolewise.errors import InputError


class Watched:
    """Remembers how many images were read at once."""

    def __init__(self, source: ImageData) -> None:
        self.source, self.sizes = source, []
        self.labels, self.classes, self.channels, self.size = (
            source.labels,
            source.classes,
            source.channels,
            source.size,
        )

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(indices))
        return self.source.batch(indices)


def photographs(num: int, side: int) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=generator)
    images[:, 1] //= 3
    return ImageData(images, torch.zeros(num, dtype=torch.int64), ("all",))


def test_by_hand() -> None:
    images = torch.tensor([[[[0, 255]]], [[[255, 255]]]], dtype=torch.uint8)
    mean, std = channel_statistics(ImageData(images, torch.zeros(2, dtype=torch.int64), ("a",)), torch.arange(2))
    assert mean == (0.75,) and std == (0.5,)
    one = ImageData(images[:1, :, :, :1], torch.zeros(1, dtype=torch.int64), ("a",))
    assert channel_statistics(one, torch.arange(1)) == ((0.0,), (0.0,))


def test_as_numpy_has_it_however_many_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    source, indices = photographs(21, 16), torch.randperm(21, generator=torch.Generator().manual_seed(1))
    pixels = source.images[indices].double().numpy() / 255
    whole = channel_statistics(source, indices)
    np.testing.assert_allclose(whole, (pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), ddof=1)), rtol=1e-12)
    monkeypatch.setattr(counting, "_PIECE", 2000)
    assert channel_statistics(source, indices.flip(0)) == whole


def test_large_images_are_read_a_few_at_a_time() -> None:
    watched = Watched(photographs(40, 224))
    channel_statistics(watched, torch.arange(40))
    assert max(watched.sizes) * 3 * 224 * 224 <= 1 << 22 and sum(watched.sizes) == 40


@pytest.mark.parametrize("num", [50, 1000])
def test_a_network_is_fed_the_same_bytes_as_with_one_tensor_of_doubles(num: int) -> None:
    source = read("digits").train
    chosen = torch.randperm(len(source), generator=torch.Generator().manual_seed(num))[:num]
    pixels = source.batch(chosen).double() / 255
    before = torch.stack([pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))])
    # Pixels go through float32, where the last digits of a double are gone.
    now = torch.tensor(channel_statistics(source, chosen), dtype=torch.double)
    assert torch.equal((now * 255).float(), (before * 255).float())


def test_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="indices must name at least one image"):
        channel_statistics(photographs(1, 4), torch.arange(0))
