"""The networks: their sizes against the papers', their taps, their shapes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rolewise.models import MODELS, build, count_parameters, taps_of

#: name, classes, channels, arguments, parameters. Where from is said beside each group.
COUNTS = [
    # He et al. (2016), table 6, rounded there to 0.27, 0.46, 0.66, 0.85 and 1.7 million; shortcuts without parameters.
    ("resnet20", 10, {"shortcut": "padding"}, 269_722),
    ("resnet32", 10, {"shortcut": "padding"}, 464_154),
    ("resnet44", 10, {"shortcut": "padding"}, 658_586),
    ("resnet56", 10, {"shortcut": "padding"}, 853_018),
    ("resnet110", 10, {"shortcut": "padding"}, 1_727_962),
    # The networks of the CIFAR-100 distillation tables; convolutions as shortcuts.
    ("resnet20", 100, {}, 278_324),
    ("resnet8x4", 100, {}, 1_233_540),
    ("resnet32x4", 100, {}, 7_433_860),
    ("wrn_16_2", 100, {}, 703_284),
    ("wrn_40_1", 100, {}, 569_780),
    ("wrn_40_2", 100, {}, 2_255_156),
    # Counted in RepDistiller's modules, which mdistiller has too.
    ("resnet56", 100, {}, 861_620),
    ("resnet110", 100, {}, 1_736_564),
    ("vgg8", 100, {}, 3_965_028),
    ("vgg11", 100, {}, 9_277_284),
    ("vgg13", 100, {}, 9_462_180),
    ("vgg16", 100, {}, 14_774_436),
    ("vgg19", 100, {}, 20_086_692),
    ("mobilenet_v2", 100, {}, 812_836),
    ("shufflenet_v1", 100, {}, 949_258),
    ("shufflenet_v2", 100, {}, 1_355_528),
    # He et al. (2016), table 6: 19.4 million.
    pytest.param("resnet1202", 10, {"shortcut": "padding"}, 19_421_274, marks=pytest.mark.slow),
    # Huang et al. (2017), table 2: 0.8, 15.3 and 25.6 million.
    ("densenet_bc", 10, {}, 769_162),
    ("densenet_bc", 10, {"depth": 250, "growth": 24}, 15_324_406),
    ("densenet_bc", 10, {"depth": 190, "growth": 40}, 25_624_430),
    # Zagoruyko and Komodakis (2016), table 4: 8.9, 11.0 and 36.5 million.
    ("wrn_40_4", 10, {}, 8_949_210),
    ("wrn_16_8", 10, {}, 10_961_370),
    ("wrn", 100, {"depth": 28, "widen": 10}, 36_536_884),
    ("wrn_28_10", 100, {}, 36_536_884),
    # ResNets with the CIFAR stem.
    ("resnet18", 100, {}, 11_220_132),
    ("resnet34", 100, {}, 21_328_292),
    ("resnet50", 100, {}, 23_705_252),
    # Those of ImageNet, counted in torchvision's modules.
    ("resnet18", 1000, {"stem": "imagenet"}, 11_689_512),
    ("resnet34", 1000, {"stem": "imagenet"}, 21_797_672),
    ("resnet50", 1000, {"stem": "imagenet"}, 25_557_032),
]


def on_meta(name: str, num_classes: int, channels: int = 3, **arguments: object) -> nn.Module:
    with torch.device("meta"):  # shapes without the work of filling them
        return build(name, num_classes=num_classes, channels=channels, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "num_classes", "arguments", "expected"), COUNTS)
def test_parameter_counts_are_the_papers(
    name: str, num_classes: int, arguments: dict[str, object], expected: int
) -> None:
    assert count_parameters(on_meta(name, num_classes, **arguments)) == expected


def test_small_networks_have_the_parameters_that_their_layers_have() -> None:
    assert count_parameters(on_meta("small_cnn", 10, 1)) == 9 * 16 + 32 + 9 * 16 * 32 + 64 + 33 * 10
    kept = on_meta("small_cnn", 10, 1, size=(8, 8), places="keep")
    assert count_parameters(kept) == 9 * 16 + 32 + 9 * 16 * 32 + 64 + (4 * 32 + 1) * 10
    wide = on_meta("cnn28", 10, 1, size=(28, 28), widths=[2, 3, 4])
    assert count_parameters(wide) == 18 + 4 + 54 + 6 + 108 + 8 + 50


#: Networks of other outputs, or of tokens, which have a test of their own; and one that is ResNet-110 with more blocks.
ELSEWHERE = ("unet", "fcos_small", "bag_of_embeddings", "resnet1202", "vit_tiny", "vit_small", "vit_mini")


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ELSEWHERE])
def test_every_network_declares_places_that_run_and_have_the_stated_shapes(name: str) -> None:
    model = on_meta(name, 7, 1)
    taps = taps_of(model)
    seen: dict[str, Tensor] = {}
    for tap, path in taps.items():
        model.get_submodule(path).register_forward_hook(lambda _m, _i, output, tap=tap: seen.update({tap: output}))
    logits = model(torch.zeros(2, 1, 32, 32, device="meta"))
    assert logits.shape == (2, 7)
    assert seen.keys() == taps.keys() >= {"stage1", "stage2", "penultimate", "logits"}
    assert seen["logits"] is logits and seen["penultimate"].ndim == 2
    stages = [seen[f"stage{index + 1}"] for index in range(sum(tap.startswith("stage") for tap in taps))]
    assert all(stage.ndim == 4 for stage in stages)
    sizes = [stage.shape[-1] for stage in stages]
    widths = [stage.shape[1] for stage in stages]
    assert sizes == sorted(sizes, reverse=True) and widths == sorted(widths)
    if name.startswith(("resnet", "wrn", "densenet")):
        assert sizes == [32 >> index for index in range(len(stages))]
        assert seen["penultimate"].shape[1] == widths[-1]


@pytest.mark.parametrize(
    ("name", "channels", "size", "arguments"),
    [
        ("small_cnn", 1, (8, 8), {}),
        ("small_cnn", 1, (9, 11), {"places": "keep"}),
        ("cnn28", 1, (28, 28), {}),
        ("resnet8", 3, (32, 32), {"shortcut": "padding"}),
        ("resnet8", 1, (28, 28), {}),
        ("resnet50", 3, (8, 8), {}),
        ("wrn_16_1", 3, (32, 32), {}),
        ("vgg8", 1, (32, 32), {}),
        ("mobilenet_v2", 3, (32, 32), {"width": 0.25}),
        ("shufflenet_v1", 3, (16, 16), {}),
        ("shufflenet_v2", 3, (16, 16), {"width": 0.5}),
        ("densenet_bc", 1, (8, 8), {"depth": 10, "growth": 4}),
    ],
)
def test_every_weight_of_a_family_has_a_gradient(
    name: str, channels: int, size: tuple[int, int], arguments: dict[str, object]
) -> None:
    model = build(name, num_classes=4, channels=channels, size=size, **arguments)
    logits = model(torch.rand(3, channels, *size))
    assert logits.shape == (3, 4) and logits.isfinite().all()
    logits[:, 0].sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_a_padded_shortcut_takes_every_second_place_and_adds_zeros() -> None:
    from rolewise.models.resnet import Padding

    x = torch.arange(2 * 16).float().view(1, 2, 4, 4)
    y = Padding(2, 5, 2)(x)
    assert y.shape == (1, 5, 2, 2)
    assert y[0, :2].tolist() == [[[0, 2], [8, 10]], [[16, 18], [24, 26]]]
    assert not y[0, 2:].any()


def test_a_block_with_silent_convolutions_is_its_shortcut() -> None:
    from rolewise.models.resnet import BasicBlock, Bottleneck
    from rolewise.models.wide import WideBlock

    x = torch.rand(2, 8, 4, 4)
    for block, silent in ((BasicBlock(8, 8, 1), "bn2"), (Bottleneck(8, 2, 1), "bn3")):
        nn.init.zeros_(block.get_submodule(silent).weight)  # type: ignore[arg-type]
        torch.testing.assert_close(block(x), x)  # x is not negative: the last ReLU leaves it
    wide = WideBlock(8, 8, 1)
    nn.init.zeros_(wide.conv2.weight)
    torch.testing.assert_close(wide(-x), -x)


def test_a_wide_block_that_changes_shape_activates_before_its_shortcut() -> None:
    from rolewise.models.wide import WideBlock

    block = WideBlock(2, 4, 2).eval()
    nn.init.zeros_(block.conv2.weight)
    assert block.shortcut is not None
    nn.init.ones_(block.shortcut.weight)
    x = torch.rand(1, 2, 4, 4) - 0.5
    expected = (x / (1 + 1e-5) ** 0.5).relu().sum(1, keepdim=True)[:, :, ::2, ::2].expand(1, 4, 2, 2)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("name", ["resnet20", "wrn_16_2"])
def test_residual_networks_start_as_their_papers_say(name: str) -> None:
    # He et al. (2015): variance 2 / (places x outgoing channels), so that the gradient keeps its size.
    model = build(name, num_classes=10, seed=3)
    convolutions = [
        module for module in model.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert len(convolutions) > 10
    for module in convolutions[-6:]:
        assert module.weight.std().item() == pytest.approx((2 / (9 * module.out_channels)) ** 0.5, rel=0.05)
        assert abs(module.weight.mean().item()) < 0.002


def test_the_small_network_learns_digits() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    for places in ("average", "keep"):
        model = build("small_cnn", num_classes=10, channels=1, size=(8, 8), places=places)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        order = torch.Generator().manual_seed(0)
        for _ in range(8):
            for indices in torch.randperm(1000, generator=order).split(50):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images[indices]), labels[indices]).backward()
                optimizer.step()
        accuracy = (model.eval()(images[1000:]).argmax(1) == labels[1000:]).float().mean().item()
        assert accuracy > 0.9, f"{places}: {accuracy}"
