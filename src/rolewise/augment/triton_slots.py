"""One slot of a batch's plans in Triton: tables of what depends on a whole image, then every pixel of every image.

Each line repeats the arithmetic of the torch functions (tone.py, enhance.py, erase.py, geometry.py), in the same types
and order. Products and sums must not be fused (``enable_fp_fusion=False``). Importing this module needs Triton.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Numbers of the steps, as of `rolewise.augment.kernel.STEP_NUMBERS`, behind the geometric ones, which are 0.
BRIGHTNESS, CONTRAST, COLOR = tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
SHARPNESS, POSTERIZE, SOLARIZE = tl.constexpr(4), tl.constexpr(5), tl.constexpr(6)
AUTOCONTRAST, EQUALIZE, INVERT, CUTOUT = tl.constexpr(7), tl.constexpr(8), tl.constexpr(9), tl.constexpr(10)


@triton.jit
def luma(image, at, inside, pixels, CHANNELS: tl.constexpr):
    """Returns the luma of pixels, int32, as Pillow has it; of one channel the level."""
    first = tl.load(image + at, mask=inside, other=0).to(tl.int32)
    if CHANNELS == 3:
        green = tl.load(image + pixels + at, mask=inside, other=0).to(tl.int32)
        blue = tl.load(image + 2 * pixels + at, mask=inside, other=0).to(tl.int32)
        total = (19595 * first + 38470 * green + 7471 * blue + 0x8000) >> 16
        return tl.where(inside, total, 0)
    else:
        return first


@triton.jit
def cut(level):
    """Returns float levels cut off at 0 and 255, fractions dropped, uint8."""
    return tl.minimum(tl.maximum(level, 0.0), 255.0).to(tl.int32).to(tl.uint8)


@triton.jit
def fill_tables(
    source, steps, values, tables, middles, slot, slots, pixels, CHANNELS: tl.constexpr, BLOCK: tl.constexpr
):
    """Fills what a step needs of a whole image: tables of levels, or the mean luma. One program for each image.

    source: [B, C, H W]; steps, values: [B, S]; tables: uint8 [B, C, 256]; middles: float32 [B].
    """
    image = tl.program_id(0).to(tl.int64)
    step = tl.load(steps + image * slots + slot)
    share = tl.load(values + image * slots + slot)
    begin = source + image * CHANNELS * pixels
    places = tl.arange(0, BLOCK)
    if step == CONTRAST:
        total = tl.zeros((BLOCK,), dtype=tl.int64)
        for start in range(0, pixels, BLOCK):
            at = start + places
            total += luma(begin, at, at < pixels, pixels, CHANNELS).to(tl.int64)
        mean = tl.sum(total, 0).to(tl.float64) / pixels.to(tl.float64)
        tl.store(middles + image, tl.floor(mean + 0.5).to(tl.float32))
    elif (step == AUTOCONTRAST) | (step == EQUALIZE):
        levels = tl.arange(0, 256)
        plain = levels.to(tl.float32)
        # Places behind the last pixel are counted as level 0.
        surplus = tl.cdiv(pixels, BLOCK) * BLOCK - pixels
        for channel in tl.static_range(CHANNELS):
            counts = tl.zeros((256,), dtype=tl.int32)
            for start in range(0, pixels, BLOCK):
                at = start + places
                found = tl.load(begin + channel * pixels + at, mask=at < pixels, other=0)
                counts += tl.histogram(found.to(tl.int32), 256)
            counts -= tl.where(levels == 0, surplus, 0)
            high = tl.max(tl.where(counts > 0, levels, 0), 0)
            if step == EQUALIZE:
                each = (pixels - tl.sum(tl.where(levels == high, counts, 0), 0)) // 255
                divisor = tl.maximum(each, 1)
                before = tl.cumsum(counts, 0) - counts
                moved = tl.minimum((before + divisor // 2) // divisor, 255)
                table = tl.where(each > 0, moved, levels).to(tl.float32)
            else:
                low = tl.min(tl.where(counts > 0, levels, 255), 0)
                span = tl.where(high == low, 1, high - low).to(tl.float64)
                scale = tl.where(high == low, 1.0, 255.0 / span)
                offset = tl.where(high == low, 0.0, low.to(tl.float64) * scale)
                stretched = levels.to(tl.float64) * scale - offset
                table = tl.floor(tl.minimum(tl.maximum(stretched, 0.0), 255.0)).to(tl.float32)
            blended = (table - plain) * share + plain + 0.5
            tl.store(tables + (image * CHANNELS + channel) * 256 + levels, blended.to(tl.int32).to(tl.uint8))


@triton.jit
def apply_slot(
    source, target, steps, values, draws, maps, tables, middles, fill, slot, slots, height, width, half_side,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes every pixel of a slot. One program for each image and block of pixels.

    source, target: [B, C, H, W]; draws: [B, S, 2]; maps: int64 [B, S, 6] in fixed point; fill: [C]; ``half_side``: half
    of the longer side.
    """
    image = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    pixels = height * width
    inside = at < pixels
    row, column = at // width, at % width
    entry = image * slots + slot
    step = tl.load(steps + entry)
    value = tl.load(values + entry)
    begin, end = source + image * CHANNELS * pixels, target + image * CHANNELS * pixels
    if step == 0:
        here = maps + entry * 6
        across, down = column.to(tl.int64), row.to(tl.int64)
        x = (tl.load(here) * across + tl.load(here + 1) * down + tl.load(here + 2)) >> 16
        y = (tl.load(here + 3) * across + tl.load(here + 4) * down + tl.load(here + 5)) >> 16
        known = inside & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        for channel in tl.static_range(CHANNELS):
            moved = tl.load(begin + channel * pixels + y * width + x, mask=known, other=0)
            tl.store(end + channel * pixels + at, tl.where(known, moved, tl.load(fill + channel)), mask=inside)
    elif step <= COLOR and step > 0:
        if step == COLOR:
            middle = luma(begin, at, inside, pixels, CHANNELS).to(tl.float32)
        elif step == CONTRAST:
            middle = tl.zeros((BLOCK,), dtype=tl.float32) + tl.load(middles + image)
        else:
            middle = tl.zeros((BLOCK,), dtype=tl.float32)
        for channel in tl.static_range(CHANNELS):
            found = tl.load(begin + channel * pixels + at, mask=inside, other=0).to(tl.float32)
            tl.store(end + channel * pixels + at, cut((found - middle) * (value + 1.0) + middle), mask=inside)
    elif step == SHARPNESS:
        smoothed = inside & (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
        for channel in tl.static_range(CHANNELS):
            first = begin + channel * pixels + at
            level = tl.load(first, mask=inside, other=0).to(tl.int32)
            total = 4 * level
            for down in tl.static_range(3):
                for across in tl.static_range(3):
                    total += tl.load(first + (down - 1) * width + across - 1, mask=smoothed, other=0).to(tl.int32)
            smooth = tl.floor((total.to(tl.float32) + 6.5) * (1 / 13))
            middle = tl.where(smoothed, smooth, level.to(tl.float32))
            sharp = cut((level.to(tl.float32) - middle) * (value + 1.0) + middle)
            tl.store(end + channel * pixels + at, sharp, mask=inside)
    else:
        removed = tl.minimum(tl.maximum(value + 0.5, 0.0), 8.0).to(tl.int32)
        lowest = tl.ceil(256.0 - value)
        side = tl.floor(value * half_side + 1e-4)
        middle_x = tl.floor(tl.load(draws + 2 * entry) * width)
        middle_y = tl.floor(tl.load(draws + 2 * entry + 1) * height)
        along, below = column.to(tl.float32), row.to(tl.float32)
        hole = (along >= middle_x - side) & (along < middle_x + side)
        hole = hole & (below >= middle_y - side) & (below < middle_y + side)
        for channel in tl.static_range(CHANNELS):
            level = tl.load(begin + channel * pixels + at, mask=inside, other=0).to(tl.int32)
            if (step == AUTOCONTRAST) | (step == EQUALIZE):
                table = tables + (image * CHANNELS + channel) * 256
                level = tl.load(table + level, mask=inside, other=0).to(tl.int32)
            elif step == POSTERIZE:
                level = level & ((255 >> removed) << removed)
            elif step == SOLARIZE:
                level = tl.where(level.to(tl.float32) >= lowest, 255 - level, level)
            elif step == INVERT:
                level = tl.where(value > 0, 255 - level, level)
            elif step == CUTOUT:
                # Of three channels CIFAR's mean, of one black.
                colour = (125 if channel == 0 else 122 if channel == 1 else 113) if CHANNELS == 3 else 0
                level = tl.where(hole, colour, level)
            tl.store(end + channel * pixels + at, level.to(tl.uint8), mask=inside)
