"""Learned maps between the features of two networks that several methods share."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from rolewise.errors import InputError

Activation = Literal["none", "relu", "leaky_relu"]


def conv_norm(
    width: int, out: int, side: int = 1, *, activation: Activation = "none", fan_out: bool = False
) -> nn.Sequential:
    """Returns a convolution without bias and a batch norm, with an activation behind them.

    Args:
        width: D of the input.
        out: D of the output.
        side: of the kernel, odd; height and width of a map stay.
        activation: ``none``, ``relu`` or ``leaky_relu`` with the slope 0.1.
        fan_out: whether the weights are drawn from a normal distribution of variance 2 over the number of outputs of
            a kernel; elsewhere they are torch's own.
    """
    conv = nn.Conv2d(width, out, side, padding=side // 2, bias=False)
    if fan_out:
        nn.init.normal_(conv.weight, 0.0, (2.0 / (side * side * out)) ** 0.5)
    last: dict[Activation, list[nn.Module]] = {"none": [], "relu": [nn.ReLU()], "leaky_relu": [nn.LeakyReLU(0.1)]}
    return nn.Sequential(conv, nn.BatchNorm2d(out), *last[activation])


def check_maps(name: str, *shapes: object) -> None:
    """Raises InputError unless each shape is that of maps [B, D, H, W].

    Args:
        name: of the method.
        shapes: of features.
    """
    for shape in shapes:
        assert isinstance(shape, tuple)
        if len(shape) != 4:
            raise InputError(
                f'"{name}" must tap maps [B, D, H, W], got {list(shape)}; declare the grid of a network of tokens, as '
                'in network.tokens = {"prefix": 1, "grid": (14, 14)}, or choose other taps'
            )


def check_norm_batch(module: nn.Module, name: str, *features: Tensor) -> None:
    """Raises InputError where a batch norm in training would see one value of each channel.

    Args:
        module: that holds the norm.
        name: of the method.
        features: that the norm reads, [B, D, ...].
    """
    if module.training and any(feature[:, 0].numel() < 2 for feature in features):
        raise InputError(f'"{name}" must have two examples in a batch, as its norms want two values, got one')
