"""The U-Net: shapes of its logits and taps, sizes that do not halve evenly, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rolewise.errors import InputError
from rolewise.models import build, count_parameters
from rolewise.taps import taps_of


@pytest.mark.parametrize(("size", "stride"), [((32, 48), 1), ((45, 60), 1), ((45, 61), 2), ((8, 8), 2)])
def test_logits_have_a_fraction_of_the_images_resolution_rounded_up(size: tuple[int, int], stride: int) -> None:
    model = build("unet", num_classes=5, size=size, widths=[4, 6, 8], stride=stride)
    seen: dict[str, Tensor] = {}
    for tap, path in taps_of(model).items():
        model.get_submodule(path).register_forward_hook(lambda _m, _i, output, tap=tap: seen.update({tap: output}))
    height, width = (-(-side // stride) for side in size)
    assert model(torch.zeros(2, 3, *size)).shape == (2, 5, height, width)
    assert set(seen) == {"stage1", "stage2", "stage3", "decoder1", "decoder2", "penultimate", "logits"}
    assert [seen[f"stage{level}"].shape[1] for level in (1, 2, 3)] == [4, 6, 8]
    assert seen["penultimate"].shape == (2, 4, height, width)
    assert seen["stage2"].shape[-1] == -(-width // 2)


def test_it_has_the_parameters_that_its_layers_have() -> None:
    blocks = (3 * 4 + 4 * 4) * 9 + (4 * 6 + 6 * 6) * 9 + ((6 + 4) * 4 + 4 * 4) * 9
    norms = 2 * 2 * (4 + 6 + 4)
    assert count_parameters(build("unet", num_classes=5, widths=[4, 6])) == blocks + norms + (4 + 1) * 5


def test_every_weight_gets_a_gradient() -> None:
    model = build("unet", num_classes=2, size=(16, 16), widths=[2, 3, 4])
    model(torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"widths": [4]}, "widths must hold at least two numbers"),
        ({"widths": [4, 0]}, "all positive"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"size": (6, 20), "stride": 2}, "size must be at least 8 for 3 levels, got \\[6, 20\\]"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build("unet", num_classes=2, **arguments)
