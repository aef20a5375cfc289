"""The small detector: shapes of its outputs and taps, the places of its locations, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rolewise.errors import InputError
from rolewise.models import build, count_parameters
from rolewise.taps import taps_of

SMALL = {"num_classes": 3, "widths": [2, 3, 4, 5], "bins": 5}


@pytest.mark.parametrize("size", [(48, 64), (45, 61), (16, 16)])
def test_outputs_are_those_of_a_dense_detector_at_strides_8_and_16(size: tuple[int, int]) -> None:
    model = build("fcos_small", size=size, **SMALL)
    seen: dict[str, Tensor] = {}
    for tap, path in taps_of(model).items():
        model.get_submodule(path).register_forward_hook(lambda _m, _i, output, tap=tap: seen.update({tap: output}))
    found = model(torch.rand(2, 3, *size))
    grids = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in (8, 16)]
    places = sum(height * width for height, width in grids)
    assert found["logits"].shape == (2, places, 3) and found["boxes"].shape == (2, places, 4)
    assert found["distribution"].shape == (2, places, 4, 5)
    fine = grids[0][0] * grids[0][1]
    assert found["strides"].tolist() == [8.0] * fine + [16.0] * (places - fine)
    width = grids[0][1]
    assert found["locations"][[0, 1, width, fine]].tolist() == [[4, 4], [12, 4], [4, 12], [8, 8]]
    assert set(seen) == {"stage1", "stage2", "stage3", "stage4", "level1", "level2", "penultimate"}
    assert [tuple(seen[f"level{at + 1}"].shape[1:]) for at in (0, 1)] == [(4, *grid) for grid in grids]


def test_boxes_are_at_the_means_of_their_distributions() -> None:
    model = build("fcos_small", **SMALL)
    found = model.eval()(torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)))
    means = (found["distribution"].softmax(-1) * torch.arange(5.0)).sum(-1) * found["strides"][:, None]
    x, y = found["locations"].unbind(1)
    left, top, right, bottom = means.unbind(-1)
    assert torch.allclose(found["boxes"], torch.stack([x - left, y - top, x + right, y + bottom], -1), atol=1e-4)
    # In the beginning no class is likely anywhere.
    assert found["logits"].sigmoid().max() < 0.05


def test_it_has_the_parameters_that_its_layers_have() -> None:
    stages = sum((before * after + after * after) * 9 + 4 * after for before, after in ((3, 2), (2, 3), (3, 4), (4, 5)))
    laterals, levels = (4 + 1) * 4 + (5 + 1) * 4, 2 * (4 * 4 * 9 + 8)
    towers, heads = 2 * 2 * (4 * 4 * 9 + 8), (4 * 9 + 1) * 3 + (4 * 9 + 1) * 20
    assert count_parameters(build("fcos_small", **SMALL)) == stages + laterals + levels + towers + heads
    assert count_parameters(build("fcos_small", num_classes=80)) == 613_764


def test_every_weight_gets_a_gradient() -> None:
    model = build("fcos_small", **SMALL)
    found = model(torch.rand(2, 3, 32, 32))
    (found["logits"].sum() + found["boxes"].square().sum()).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"widths": [4, 4, 4]}, "widths must hold four numbers"),
        ({"widths": [4, 4, 4, 0]}, "all positive"),
        ({"neck": 0}, "neck must be at least 1"),
        ({"depth": -1}, "depth must be at least 0"),
        ({"bins": 1}, "bins must be at least 2"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build("fcos_small", num_classes=2, **arguments)
