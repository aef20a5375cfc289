"""A plan: what was drawn for each image of a batch. Drawing is random, applying is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rolewise.augment.geometry import GEOMETRIC, matrices, warp
from rolewise.augment.ops import INDEX, NAMES, OPS
from rolewise.augment.tone import TONE, blend, grey, look_up, tables
from rolewise.errors import InputError
from rolewise.files import write_bytes

#: Grey levels that cutout fills with: the rounded mean of CIFAR's channels, as Population Based Augmentation has it.
CUTOUT_FILL = (125, 122, 113)


@dataclass(frozen=True)
class Plan:
    """Concrete operations for each of B images, in S slots that are applied from the first to the last.

    Args:
        ops: [B, S] int64, numbers of operations (`rolewise.augment.ops.INDEX`), -1 for none.
        values: [B, S] float32, in each operation's own unit, sign included.
        draws: [B, S, 2] float32 in [0, 1): places, of the hole of cutout and of a crop (along x, along y).

    Raises:
        InputError: the shapes do not fit, an operation is unknown, or a value is not finite.
    """

    ops: Tensor
    values: Tensor
    draws: Tensor

    def __post_init__(self) -> None:
        if self.ops.ndim != 2 or self.values.shape != self.ops.shape or self.draws.shape != (*self.ops.shape, 2):
            raise InputError(
                "a plan must hold ops [B, S], values [B, S] and draws [B, S, 2], got "
                f"{list(self.ops.shape)}, {list(self.values.shape)}, {list(self.draws.shape)}"
            )

    def __len__(self) -> int:
        return len(self.ops)

    def __getitem__(self, part: slice) -> Plan:
        return Plan(self.ops[part], self.values[part], self.draws[part])

    def describe(self, image: int) -> list[str]:
        """Returns what happens to one image, such as ``["rotate -12 degrees", "flip"]``."""
        lines = []
        for op, value in zip(self.ops[image].tolist(), self.values[image].tolist(), strict=True):
            if op >= 0:
                name, unit = NAMES[op], OPS[NAMES[op]].unit
                lines.append(name if unit == "switch" else f"{name} {value:.3g} {unit}")
        return lines

    def save(self, path: Path) -> None:
        """Writes the plan as a safetensors file."""
        tensors = {"ops": self.ops, "values": self.values, "draws": self.draws}
        content = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_bytes(path, save(content, metadata={"ops": ",".join(NAMES)}))

    @staticmethod
    def load(path: Path) -> Plan:
        """Reads a plan that `save` wrote.

        Raises:
            InputError: the file is missing, damaged or of another kind.
        """
        try:
            content = load(path.read_bytes())
            ops, values, draws = (content[name] for name in ("ops", "values", "draws"))
        except OSError as error:
            raise InputError(f"plan {path} cannot be read: {error.strerror or error}; check the path") from error
        except (SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"plan {path} is damaged or of another kind ({error}); save it anew") from error
        if ops.dtype != torch.int64 or not values.is_floating_point() or not draws.is_floating_point():
            raise InputError(f"plan {path} must hold ops int64, values and draws float32; save it anew")
        if ops.numel() and (int(ops.min()) < -1 or int(ops.max()) >= len(NAMES)):
            raise InputError(
                f"plan {path}: ops must be -1 to {len(NAMES) - 1}, got {int(ops.min())} to {int(ops.max())}"
            )
        if not (torch.isfinite(values).all() and torch.isfinite(draws).all()):
            raise InputError(f"plan {path}: values and draws must be finite; save it anew")
        return Plan(ops, values, draws)


def apply(images: Tensor, plan: Plan, *, interpolation: str = "nearest", fill: int = 0) -> Tensor:
    """Applies a plan: each image its own operations in its own order.

    Args:
        images: [B, C, H, W] uint8, C 1 or 3, on any device. Not changed.
        plan: for B images. It may stay on the CPU: then nothing waits for the device.
        interpolation: ``nearest`` or ``bilinear``, of the geometric operations.
        fill: grey level 0 to 255 of what comes from outside the image.

    Returns:
        [B, C, H, W] uint8.

    Raises:
        InputError: a shape, a type or a name is wrong.
    """
    if images.ndim != 4 or images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
        raise InputError(
            f"images must be uint8 [B, C, H, W] with C 1 or 3, got {images.dtype} {list(images.shape)}; "
            "augmentation comes before normalisation"
        )
    if len(plan) != len(images):
        raise InputError(f"plan must be for {len(images)} images, got one for {len(plan)}; draw it for this batch")
    if interpolation not in ("nearest", "bilinear"):
        raise InputError(f'interpolation must be "nearest" or "bilinear", got {interpolation!r}')
    if images.numel() == 0:
        return images.clone()
    return _apply_slots(images, plan, interpolation, fill)


#: Operations in the order in which a slot's images are laid out: tone together, geometric together.
_RANK = torch.full((len(NAMES) + 1,), len(NAMES))
_RANK[[*TONE, *GEOMETRIC, INDEX["color"], INDEX["sharpness"], INDEX["cutout"]]] = torch.arange(len(NAMES))


def _apply_slots(images: Tensor, plan: Plan, interpolation: str, fill: int) -> Tensor:
    """Sorts the images by operation for each slot, so that every operation works on one contiguous piece."""
    device = images.device
    place = torch.arange(len(images), device=plan.ops.device)
    current = images.clone()
    for slot in range(plan.ops.shape[1]):
        ops = plan.ops[:, slot][place]
        order = _RANK.to(ops.device)[ops].argsort(stable=True)
        ops, place = ops[order], place[order]
        current = current.index_select(0, order.to(device))
        _apply_sorted(current, ops, plan.values[:, slot][place], plan.draws[:, slot][place], interpolation, fill)
    return current.index_select(0, place.argsort().to(device))


def _apply_sorted(images: Tensor, ops: Tensor, values: Tensor, draws: Tensor, interpolation: str, fill: int) -> None:
    """Applies one slot in place; ``ops`` are in the order of `_RANK`."""
    device = images.device
    present, counts = torch.unique_consecutive(ops, return_counts=True)
    start, toned, moved = 0, [], []
    for op, count in zip(present.tolist(), counts.tolist(), strict=True):
        part = slice(start, start + count)
        start += count
        if op in TONE:
            toned.append((part, tables(op, values[part].to(device), images[part]).expand(count, images.shape[1], 256)))
        elif op in GEOMETRIC:
            moved.append(part)
        elif op == INDEX["color"]:
            images[part] = _color(images[part], (values[part] + 1).to(device).view(-1, 1, 1, 1))
        elif op == INDEX["sharpness"]:
            images[part] = _sharpness(images[part], (values[part] + 1).to(device).view(-1, 1, 1, 1))
        elif op == INDEX["cutout"]:
            images[part] = _cutout(images[part], values[part].to(device), draws[part].to(device))
    if toned:
        whole = slice(toned[0][0].start, toned[-1][0].stop)
        images[whole] = look_up(images[whole], torch.cat([table for _, table in toned]))
    if moved:
        whole = slice(moved[0].start, moved[-1].stop)
        maps = matrices(ops[whole], values[whole], draws[whole], *images.shape[-2:]).to(device)
        images[whole] = warp(images[whole], maps, interpolation, fill)


def _color(images: Tensor, factor: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    return blend(grey(images).float().unsqueeze(1), images.float(), factor)


def _sharpness(images: Tensor, factor: Tensor) -> Tensor:
    pixels = images.float()
    height, width = images.shape[-2:]
    smooth = pixels.clone()
    if height > 2 and width > 2:
        # Pillow's SMOOTH: (sum of the nine + 4 times the middle) / 13, rounded; the border stays as it is.
        rows = pixels[..., :-2, :] + pixels[..., 1:-1, :] + pixels[..., 2:, :]
        nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        smooth[..., 1:-1, 1:-1] = ((nine + 4 * pixels[..., 1:-1, 1:-1]) / 13 + 0.5).floor()
    return blend(smooth, pixels, factor)


def _cutout(images: Tensor, values: Tensor, draws: Tensor) -> Tensor:
    channels, height, width = images.shape[1:]
    half = (values * max(height, width) / 2 + 1e-4).floor().view(-1, 1)
    middle_x, middle_y = (draws[:, 0:1] * width).floor(), (draws[:, 1:2] * height).floor()
    x = torch.arange(width, device=images.device)
    y = torch.arange(height, device=images.device)
    in_x = (x >= middle_x - half) & (x < middle_x + half)
    in_y = (y >= middle_y - half) & (y < middle_y + half)
    hole = (in_y.unsqueeze(2) & in_x.unsqueeze(1)).unsqueeze(1)
    levels = CUTOUT_FILL if channels == 3 else (0,)
    colour = torch.tensor(levels, dtype=torch.uint8, device=images.device).view(1, -1, 1, 1)
    return torch.where(hole, colour, images)
