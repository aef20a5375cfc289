"""The spaces of torchvision's RandAugment, TrivialAugmentWide and AutoAugment: choices, levels and signs.

Source: torchvision 0.28, ``torchvision/transforms/autoaugment.py``, ``_augmentation_space`` of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.augment.autoaugment_policies import POLICIES
from rolewise.augment.ops import INDEX, OPS, check_op
from rolewise.augment.plan import Plan
from rolewise.augment.policy_draws import append_base, check_base, random_signs
from rolewise.errors import InputError, near

#: What RandAugment and TrivialAugmentWide choose among, beside leaving the image as it is.
CHOICES: tuple[str, ...] = (
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
#: AutoAugment's levels.
_TEN = 10


@dataclass(frozen=True)
class _Space:
    """The largest values of one space: shear, translation, degrees, factor - 1, bits removed.

    A translation is in pixels, or a fraction of the side where it is below 1.
    """

    shear: float
    translation: float
    degrees: float
    factor: float
    bits: int


_NARROW = _Space(0.3, 150.0 / 331.0, 30.0, 0.9, 4)
SPACES = {
    "randaugment": _NARROW,
    "autoaugment": _NARROW,
    "trivialaugment_wide": _Space(0.99, 32.0, 135.0, 0.99, 6),
}


def levels(space: str, op: str, bins: int, size: Sequence[int]) -> Tensor:
    """Returns an operation's values at each level, without a sign, in the unit of `rolewise.augment.OPS`.

    Args:
        space: ``randaugment``, ``autoaugment`` or ``trivialaugment_wide``.
        op: the operation; one without levels has one value, on.
        bins: number of levels, at least 2.
        size: (H, W) in pixels.

    Returns:
        float32 [bins]. Translations are whole pixels, cut off; posterize removes whole bits; solarize inverts from
        255 up at level 0.
    """
    ends = SPACES[space]
    if op in ("shear_x", "shear_y"):
        return torch.linspace(0.0, ends.shear, bins)
    if op in ("translate_x", "translate_y"):
        side = size[1] if op == "translate_x" else size[0]
        farthest = ends.translation * side if ends.translation < 1 else ends.translation
        return torch.linspace(0.0, farthest, bins).trunc() / side
    if op == "rotate":
        return torch.linspace(0.0, ends.degrees, bins)
    if op in ("brightness", "color", "contrast", "sharpness"):
        return torch.linspace(0.0, ends.factor, bins)
    if op == "posterize":
        return (torch.arange(bins) / ((bins - 1) / ends.bits)).round()
    if op == "solarize":
        return 256 - torch.linspace(255.0, 0.0, bins)
    return torch.ones(bins)


@dataclass(frozen=True)
class TorchvisionOps:
    """Operations drawn evenly, the identity among them, as torchvision's RandAugment and TrivialAugmentWide draw them.

    Source: torchvision 0.28; Cubuk et al. (2020), https://arxiv.org/abs/1909.13719; Müller and Hutter (2021),
    https://arxiv.org/abs/2103.10158.
    Differs from source: drawn for each image and from a generator. Pixels are Pillow's, as of torchvision on Pillow
    images, whichever way these come in.

    Args:
        space: ``randaugment`` or ``trivialaugment_wide``.
        num_ops: operations for each image.
        level: 0 to bins - 1, or None to draw it evenly.
        bins: number of levels.
        base: operations that follow for every image.
    """

    space: str = "randaugment"
    num_ops: int = 2
    level: int | None = 9
    bins: int = 31
    base: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = ("randaugment", "trivialaugment_wide")
        if self.space not in known:
            raise InputError(f"space must be one of {', '.join(known)}, got {self.space!r}{near(self.space, known)}")
        if self.num_ops < 0:
            raise InputError(f"num_ops must be at least 0, got {self.num_ops}")
        if not 2 <= self.bins <= 1000:
            raise InputError(f"bins must be between 2 and 1000, got {self.bins}")
        if self.level is not None and not 0 <= self.level < self.bins:
            raise InputError(f"magnitude must be a level from 0 to {self.bins - 1}, got {self.level}")
        check_base(self.base, {})

    def draw(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        """Draws a plan for ``num`` images of ``size`` (C, H, W)."""
        shape = (num, self.num_ops)
        picked = torch.randint(0, len(CHOICES) + 1, shape, generator=generator) - 1
        at = torch.full(shape, self.level or 0)
        if self.level is None:
            at = torch.randint(0, self.bins, shape, generator=generator)
        table = torch.stack([levels(self.space, name, self.bins, size[1:]) for name in CHOICES])
        plan = _plan(picked, CHOICES, table[picked.clamp_min(0), at], generator)
        return append_base(plan, self.base, generator, {})

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "kind": "torchvision_ops",
            "space": self.space,
            "num_ops": self.num_ops,
            "level": self.level,
            "bins": self.bins,
            "base": list(self.base),
        }


@dataclass(frozen=True)
class TorchvisionPolicy:
    """Each image gets one of the 25 pairs of operations that AutoAugment found, as torchvision applies them.

    Source: torchvision 0.28; Cubuk et al. (2019), https://arxiv.org/abs/1805.09501.
    Differs from source: as `TorchvisionOps`.

    Args:
        policy: ``imagenet``, ``cifar10`` or ``svhn``, what it was found on.
        base: operations that follow for every image.
    """

    policy: str = "imagenet"
    base: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise InputError(
                f"policy must be one of {', '.join(POLICIES)}, got {self.policy!r}{near(self.policy, POLICIES)}"
            )
        check_base(self.base, {})

    def draw(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        """Draws a plan for ``num`` images of ``size`` (C, H, W)."""
        rows = POLICIES[self.policy]
        which = torch.randint(0, len(rows), (num,), generator=generator)
        names = list(OPS)
        ops = torch.tensor([[INDEX[check_op(op)] for op, _, _ in row] for row in rows])[which]
        probability = torch.tensor([[tenths / 10 for _, tenths, _ in row] for row in rows])[which]
        values = torch.tensor(
            # An operation without levels has the same value at each.
            [
                [float(levels("autoaugment", op, _TEN, size[1:])[min(level, _TEN - 1)]) for op, _, level in row]
                for row in rows
            ]
        )[which]
        taken = torch.rand(probability.shape, generator=generator) < probability
        plan = _plan(torch.where(taken, ops, -1), names, values, generator)
        return append_base(plan, self.base, generator, {})

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {"kind": "torchvision_policy", "policy": self.policy, "base": list(self.base)}


def _plan(picked: Tensor, names: Sequence[str], values: Tensor, generator: torch.Generator) -> Plan:
    """Returns the plan of picked operations, -1 for none, their signs drawn where they have one."""
    index = picked.clamp_min(0)
    numbers = torch.tensor([INDEX[name] for name in names])
    signed = torch.tensor([OPS[name].signed for name in names])[index]
    values = values * random_signs(signed, generator)
    draws = torch.rand(*picked.shape, 2, generator=generator)
    return Plan(torch.where(picked >= 0, numbers[index], -1), torch.where(picked >= 0, values, 0.0), draws)
