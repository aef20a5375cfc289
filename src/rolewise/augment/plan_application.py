"""Applies a plan to a batch: nothing here is random."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolewise.augment import enhance, erase, tone
from rolewise.augment.geometry import Matrices, affine_map, warp
from rolewise.augment.kernel import WHOLE, apply_by_kernel
from rolewise.augment.mosaic import compose, rectangles
from rolewise.augment.ops import NAMES, OPS, OWN
from rolewise.augment.own_ops import apply_own
from rolewise.augment.plan import Plan
from rolewise.augment.triton_kernel import apply_by_triton, wants_triton
from rolewise.errors import InputError

#: Bytes of images that are worked on at a time: on a CPU what fits the cache, elsewhere what fills the device.
_PIECE = {"cpu": 1 << 21}
_PIECE_ELSEWHERE = 1 << 27

#: What works in place on images of one operation and its values.
_IN_PLACE: dict[str, Callable[[Tensor, Tensor], None]] = {
    "brightness": enhance.brightness,
    "contrast": enhance.contrast,
    "color": enhance.color,
    "sharpness": enhance.sharpness,
    "posterize": tone.posterize,
    "solarize": tone.solarize,
    "autocontrast": tone.autocontrast,
    "equalize": tone.equalize,
    "invert": tone.invert,
}
#: Operations in the order in which a slot's images are laid out; those that one warp serves are neighbours.
_LAYOUT: tuple[str, ...] = tuple(sorted(NAMES, key=lambda name: (OPS[name].kind, name in WHOLE)))


@functools.lru_cache(maxsize=16)
def _places(own: int) -> NDArray[np.int16]:
    """Returns for each number of an operation its place in the layout, behind which the user's own follow.

    The last place, which -1 finds too, is for none.
    """
    known = [_LAYOUT.index(name) for name in NAMES]
    return np.array([*known, *range(len(known), len(known) + own + 1)], dtype=np.int16)


def apply(
    images: Tensor,
    plan: Plan,
    *,
    interpolation: str = "nearest",
    fill: int | Sequence[int] = 0,
    group: int | None = None,
) -> Tensor:
    """Applies a plan: each image its own operations in its own order.

    On a CPU the compiled kernel does it where it is built (see `rolewise.augment.build_kernel`), and on a GPU one in
    Triton where Triton is installed (``ROLEWISE_TRITON=off`` leaves it out), to the same bytes.

    Args:
        images: [B, C, H, W] uint8, C 1 or 3, on any device. Not changed.
        plan: for B images. It is read on the CPU, wherever the images are.
        interpolation: ``nearest`` or ``bilinear``, of the geometric operations.
        fill: grey level 0 to 255 of what comes from outside the image, or one for each channel.
        group: number of images of a batch, where these are several whole ones: a mosaic is of images of one batch.

    Returns:
        [B, C, H, W] uint8.

    Raises:
        InputError: a shape, a type, a name or a number in the plan is wrong.
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
    colour = _colour(fill, images)
    plan.check()
    if images.numel() == 0:
        return images.clone()
    by_triton = wants_triton(images.device)
    done = (apply_by_triton if by_triton else apply_by_kernel)(images, plan, interpolation, colour)
    if done is None:
        return apply_in_torch(images, plan, interpolation, colour, group)
    result, left = done
    if len(left):
        result[left] = apply_in_torch(images[left], plan[left], interpolation, colour, group)
    return result


def apply_in_torch(
    images: Tensor, plan: Plan, interpolation: str = "nearest", fill: Tensor | None = None, group: int | None = None
) -> Tensor:
    """Applies a checked plan by torch's functions alone, wherever the images are.

    Args:
        images: [B, C, H, W] uint8, at least one. Not changed.
        plan: for B images.
        interpolation: ``nearest`` or ``bilinear``, of the geometric operations.
        fill: [C, 1, 1] uint8 on the images' device, what comes from outside; None is 0.
        group: number of images of a batch (see `apply`).

    Returns:
        [B, C, H, W] uint8.
    """
    colour = _colour(0, images) if fill is None else fill
    size = _PIECE.get(images.device.type, _PIECE_ELSEWHERE) // images[0].numel()
    pieces = max(1, -(-len(images) // max(1, size)))
    size = -(-len(images) // pieces)
    done = [
        _apply_piece(images, slice(start, start + size), plan[start : start + size], interpolation, colour, group)
        for start in range(0, len(images), size)
    ]
    return done[0] if len(done) == 1 else torch.cat(done)


def _colour(fill: int | Sequence[int], images: Tensor) -> Tensor:
    channels = images.shape[1]
    levels = [fill] * channels if isinstance(fill, int) else list(fill)
    if len(levels) != channels or not all(isinstance(level, int) and 0 <= level <= 255 for level in levels):
        raise InputError(f"fill must be a grey level 0 to 255, or one for each of {channels} channels, got {fill!r}")
    return torch.tensor(levels, dtype=torch.uint8, device=images.device).view(-1, 1, 1)


def _apply_piece(
    everything: Tensor, piece: slice, plan: Plan, interpolation: str, fill: Tensor, group: int | None
) -> Tensor:
    """Sorts a piece's images by operation for each slot, so that every operation works on one contiguous part."""
    images = everything[piece]
    ops, values, draws = plan.ops.cpu().numpy(), plan.values.cpu().numpy(), plan.draws.cpu().numpy()
    device = images.device
    current, spare = images, torch.empty_like(images, memory_format=torch.contiguous_format)
    # Which image stands where in `current`.
    where = np.arange(len(images))
    for slot in range(ops.shape[1]):
        places = _places(len(OWN))[ops[where, slot]]
        order = places.argsort(kind="stable")
        where = where[order]
        torch.index_select(current, 0, torch.from_numpy(order).to(device), out=spare)
        current, spare = spare, torch.empty_like(spare) if current is images else current
        groups = _groups(np.bincount(places, minlength=len(NAMES) + len(OWN)).tolist())
        _apply_slot(current, groups, values[where, slot], draws[where, slot], interpolation, fill)
        for name, part in groups:
            if name == "mosaic":
                some = where[part]
                found = rectangles(
                    values[some, slot].astype(float), draws[some, slot].astype(float), *images.shape[-2:]
                )
                compose(current[part], everything, piece.start + some, found, group)
    back = np.empty_like(where)
    back[where] = np.arange(len(where))
    return torch.index_select(current, 0, torch.from_numpy(back).to(device), out=spare)


def _groups(counts: list[int]) -> list[tuple[str, slice]]:
    """Returns each operation that occurs, with the part of the sorted images that it works on."""
    starts = [0, *itertools.accumulate(counts)]
    return [(name, slice(starts[at], starts[at + 1])) for at, name in enumerate((*_LAYOUT, *OWN)) if counts[at]]


def _apply_slot(
    images: Tensor,
    groups: list[tuple[str, slice]],
    values: NDArray[np.float32],
    draws: NDArray[np.float32],
    interpolation: str,
    fill: Tensor,
) -> None:
    """Applies one slot in place to images that are sorted by operation."""
    height, width = images.shape[-2:]
    here = torch.from_numpy(values).to(images.device)
    maps: dict[str, list[tuple[slice, Matrices]]] = {}
    for name, part in groups:
        if name in _IN_PLACE:
            _IN_PLACE[name](images[part], here[part])
        elif name in OWN:
            apply_own(OWN[name], images[part], here[part], torch.from_numpy(draws[part]).to(images.device))
        elif OPS[name].kind == "compose":
            continue  # it needs all images, not these alone
        elif name == "cutout":
            erase.cutout(images[part], here[part], torch.from_numpy(draws[part]).to(images.device))
        else:
            found = affine_map(name, values[part].astype(float), draws[part].astype(float), height, width)
            maps.setdefault("nearest" if name in WHOLE else interpolation, []).append((part, found))
    for method, parts in maps.items():
        whole = slice(parts[0][0].start, parts[-1][0].stop)
        warp(images[whole], np.concatenate([found for _, found in parts]), method, fill)
