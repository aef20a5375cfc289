"""The table of corruptions as a whole, and accuracy under it by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.corruptions import (
    CORRUPTIONS,
    CorruptionTable,
    corrupt,
    corruption_accuracy,
    corruption_names,
    relative_error,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distances(images: Tensor, name: str, seed: int = 0) -> list[float]:
    corrupted = [corrupt(images, name, strength, seeded(seed)) for strength in range(1, 6)]
    assert all(image.dtype == torch.uint8 and image.shape == images.shape for image in corrupted)
    return [float((image.float() - images.float()).abs().mean()) for image in corrupted]


def grows(values: list[float]) -> bool:
    return values[0] > 0 and all(before < after for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_corruption_grows_with_its_strength(photographs: Tensor, name: str, seed: int) -> None:
    found = distances(photographs, name, seed)
    assert grows(found) and 1 < found[-1] < 60
    if 1 in CORRUPTIONS[name].channels:
        assert grows(distances(photographs[:, 1:2], name, seed))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_larger_images_and_very_small_ones(photographs: Tensor, name: str) -> None:
    channels = CORRUPTIONS[name].channels[0]
    larger = functional.interpolate(photographs[:4].float(), (48, 50), mode="bilinear").round().to(torch.uint8)
    # Snow and coarse pixels come in too few sizes to be ordered on images of 8x8.
    digits = (torch.tensor(load_digits().images[:50]) * 255 / 16).round().to(torch.uint8).unsqueeze(1)
    small = digits.expand(-1, channels, -1, -1)
    if name == "saturate":
        assert grows(distances(larger, name)) and distances(small, name)[-1] > 0
        return
    assert grows(distances(larger[:, :channels], name))
    assert grows(distances(small, name)) or name in ("snow", "pixelate")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_draws_are_the_generators(photographs: Tensor, name: str) -> None:
    same = photographs[:1].expand(6, -1, -1, -1)
    first, again, other = (corrupt(same, name, 3, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    drawn = not torch.equal(first, other)
    fixed = {"gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate", "jpeg"}
    assert drawn == (name not in fixed)
    # What is drawn is drawn for each image.
    assert (len(torch.unique(first.flatten(1), dim=0)) > 1) == drawn


def test_the_source_s_strengths() -> None:
    others = {name for name, corruption in CORRUPTIONS.items() if corruption.published is not None}
    assert others == {"glass_blur", "motion_blur", "snow", "saturate", "elastic"}
    for name in others:
        corruption = CORRUPTIONS[name]
        assert corruption.published is not None and len(corruption.published) == len(corruption.strengths) == 5
        # The strongest is the source's.
        assert torch.tensor(corruption.strengths[-1]).numpy() == pytest.approx(
            torch.tensor(corruption.published[-1]).numpy()
        )
    image = torch.tensor([200, 100, 100], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    # Value 200, saturation one half: three tenths of it leave 200 (1 - 0.15) = 170.
    assert corrupt(image, "saturate", 1, seeded(), published=True)[0, :, 0, 0].tolist() == [200, 170, 170]
    # 1.3 / 2 + 0.04 = 0.69.
    assert corrupt(image, "saturate", 1, seeded())[0, :, 0, 0].tolist() == [200, 62, 62]
    assert torch.equal(corrupt(image, "contrast", 2, seeded(), published=True), corrupt(image, "contrast", 2, seeded()))


class Bright(nn.Module):
    """Class 1 where the mean of the pixels in [0, 1] is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level
        self.dropout = nn.Dropout(0.9)

    def forward(self, images: Tensor) -> Tensor:
        mean = self.dropout(images).mean((1, 2, 3))
        return torch.stack([torch.full_like(mean, self.level), mean], 1)


def grey_batches() -> list[tuple[Tensor, Tensor]]:
    levels = torch.tensor([90, 110, 120, 126, 140], dtype=torch.uint8)
    images, labels = levels.view(5, 1, 1, 1).expand(5, 1, 8, 8), torch.tensor([0, 0, 0, 0, 1])
    return [(images[:3], labels[:3]), (images[3:], labels[3:])]


def test_accuracy_by_hand() -> None:
    # Brightness adds 12.75, 25.5, 38.25, 51 and 76.5 levels; the threshold is at 127.5.
    model = Bright(0.5)
    found = corruption_accuracy(model, grey_batches(), names=["brightness", "jpeg"], generator=seeded())
    assert found.clean == 1 and found.count == 5 and model.training
    assert found.accuracy["brightness"] == (3 / 5, 2 / 5, 1 / 5, 1 / 5, 1 / 5)
    assert found.accuracy["jpeg"] == (1,) * 5
    assert found.mean == pytest.approx((8 / 5 + 5) / 10)
    spec = InputSpec(mean=(0.5,), std=(0.25,))
    assert corruption_accuracy(
        Bright(0.0), grey_batches(), names=["brightness"], generator=seeded(), spec=spec
    ).accuracy == {"brightness": found.accuracy["brightness"]}
    everything = corruption_accuracy(model, grey_batches(), generator=seeded(), strengths=(2, 5))
    assert tuple(everything.accuracy) == corruption_names(1) and "saturate" not in everything.accuracy
    assert everything.accuracy["brightness"] == (2 / 5, 1 / 5)


def test_every_corruption_has_a_stream_of_its_own(photographs: Tensor) -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return torch.zeros(len(images), 2)

    batches = [(photographs[:2], torch.zeros(2).long()), (photographs[2:4], torch.zeros(2).long())]
    settings: dict[str, Any] = {"generator": seeded(7), "names": ["gaussian_noise", "elastic"], "strengths": (1, 3)}
    corruption_accuracy(Watching(), batches, **settings)
    several, seen[:] = list(seen), []
    corruption_accuracy(Watching(), batches, generator=seeded(7), names=["elastic"], strengths=(3,))
    # For each batch: as it is, then each name at each strength.
    assert [torch.equal(several[index], seen[place]) for index, place in ((0, 0), (4, 1), (5, 2), (9, 3))] == [True] * 4
    assert not torch.equal(several[1] - several[0], several[6] - several[5])


def test_errors_relative_to_a_baseline_by_hand() -> None:
    own = CorruptionTable(0.9, {"fog": (0.8, 0.6), "snow": (0.9, 0.7)}, (1, 2), 10)
    baseline = CorruptionTable(0.8, {"fog": (0.6, 0.4), "snow": (0.7, 0.5)}, (1, 2), 10)
    found = relative_error(own, baseline)
    # Errors 0.2 + 0.4 over 0.4 + 0.6, and 0.1 + 0.3 over 0.3 + 0.5; added 0.4 over 0.6, and 0.2 over 0.4.
    assert found.by_name == pytest.approx({"fog": 0.6, "snow": 0.5}) and found.mean == pytest.approx(0.55)
    assert found.added_by_name == pytest.approx({"fog": 2 / 3, "snow": 0.5})
    assert found.added_mean == pytest.approx(7 / 12)
    assert relative_error(baseline, baseline).mean == 1 == relative_error(baseline, baseline).added_mean
    level = CorruptionTable(0.8, {"fog": (0.6, 0.4), "snow": (0.8, 0.8)}, (1, 2), 10)
    assert relative_error(own, level).added_by_name["snow"] is None and relative_error(own, level).added_mean is None
    with pytest.raises(InputError, match="names and strengths of the table"):
        relative_error(own, CorruptionTable(0.8, {"fog": (0.6, 0.4)}, (1, 2), 10))
    with pytest.raises(InputError, match=r"err at least once under .snow."):
        relative_error(own, CorruptionTable(1, {"fog": (0.6, 0.4), "snow": (1, 1)}, (1, 2), 10))


def test_wrong_arguments_are_named(photographs: Tensor) -> None:
    with pytest.raises(InputError, match=r'no such corruption: .gausian_noise.; did you mean "gaussian_noise"'):
        corrupt(photographs, "gausian_noise", 1, seeded())
    for strength in (0, 6, True, 1.5):
        with pytest.raises(InputError, match="strength must be"):
            corrupt(photographs, "fog", strength, seeded())  # type: ignore[arg-type]
    for images in (photographs.float(), photographs[:, :2], photographs[:, :, :7], photographs[0]):
        with pytest.raises(InputError, match="images must be uint8"):
            corrupt(images, "fog", 1, seeded())
    with pytest.raises(InputError, match="leave it out for grey images"):
        corrupt(photographs[:, :1], "saturate", 1, seeded())
    assert corrupt(photographs[:0], "fog", 1, seeded()).shape == (0, 3, 32, 32)
    for change in ({"names": []}, {"strengths": ()}):
        with pytest.raises(InputError, match="names and strengths must hold"):
            corruption_accuracy(Bright(0.5), grey_batches(), generator=seeded(), **change)
    with pytest.raises(InputError, match="at least one image"):
        corruption_accuracy(Bright(0.5), [], generator=seeded())
    with pytest.raises(InputError, match="logits must be finite"):
        corruption_accuracy(Bright(float("nan")), grey_batches(), generator=seeded(), names=["fog"])
