"""Independent computations of the methods for masks, boxes and maps, in numpy, place by place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from distill_oracles_terms import convolved
from distill_worked import Worked

Array = np.ndarray


def _cosine(first: Array, second: Array) -> float:
    lengths = math.sqrt(float(first @ first)) * math.sqrt(float(second @ second))
    return float(first @ second) / lengths if lengths else 0.0


def ifvd(student: Array, teacher: Array, masks: Array) -> Array:
    """Class by class, pixel by pixel; each place has the class of the pixel that holds its centre."""
    losses = []
    for s, t, mask in zip(student, teacher, masks, strict=True):
        height, width = s.shape[1:]
        members: dict[int, list[tuple[int, int]]] = {}
        for i in range(height):
            for j in range(width):
                at = math.floor((i + 0.5) * len(mask) / height), math.floor((j + 0.5) * len(mask[0]) / width)
                members.setdefault(int(mask[at]), []).append((i, j))
        members.pop(-1, None)
        squares = []
        for places in members.values():
            features = [np.array([feature[:, i, j] for i, j in places]) for feature in (s, t)]
            for own, other in zip(*features, strict=True):
                cosines = [_cosine(one, every.mean(0)) for one, every in zip((own, other), features, strict=True)]
                squares.append((cosines[0] - cosines[1]) ** 2)
        losses.append(np.mean(squares) if squares else 0.0)
    return np.array(losses)


def cirkd(student: Array, teacher: Array, temperature: float = 0.1, pool: int = 1) -> Array:
    """Image beside image, pixel by pixel, probabilities first."""

    def pixels(image: Array) -> list[Array]:
        height, width = image.shape[1:]
        windows = [
            image[:, i : i + min(pool, height), j : j + min(pool, width)].mean((1, 2))
            for i in range(0, height, min(pool, height))
            for j in range(0, width, min(pool, width))
        ]
        return [window / np.linalg.norm(window) if window.any() else window for window in windows]

    both = [[pixels(image) for image in feature] for feature in (student, teacher)]
    losses = np.zeros(len(student))
    for b in range(len(student)):
        for c in range(len(student)):
            for a in range(len(both[0][b])):
                p, q = (
                    np.exp(np.array([images[b][a] @ other for other in images[c]]) / temperature) for images in both
                )
                p, q = p / p.sum(), q / q.sum()
                losses[b] += np.sum(q * np.log(q / p)) / len(student) / len(both[0][b])
    return losses


def pearson_kd(student: Array, teacher: Array) -> Array:
    """Channel by channel, over all images and places."""
    parts = []
    for feature in (student, teacher):
        scaled = np.zeros_like(feature)
        for d in range(feature.shape[1]):
            values = feature[:, d]
            spread = math.sqrt(np.sum((values - np.mean(values)) ** 2) / (values.size - 1))
            scaled[:, d] = (values - np.mean(values)) / spread
        parts.append(scaled)
    return np.array([np.mean((s - t) ** 2) / 2 for s, t in zip(*parts, strict=True)])


def cells(box: Sequence[float], height: int, width: int) -> list[tuple[int, int]]:
    """The places whose cell has an area in common with a box in fractions of the image."""
    x1, y1, x2, y2 = box
    rows = [i for i in range(height) if i / height < y2 and (i + 1) / height > y1]
    columns = [j for j in range(width) if j / width < x2 and (j + 1) / width > x1]
    return [(i, j) for i in rows for j in columns]


def defeat(student: Array, teacher: Array, boxes: Array, foreground: float = 3.0, background: float = 12.0) -> Array:
    """Place by place."""
    losses = []
    for s, t, some in zip(student, teacher, boxes, strict=True):
        height, width = s.shape[1:]
        objects = {cell for box in some for cell in cells(box, height, width)}
        parts: dict[bool, list[float]] = {True: [], False: []}
        for i in range(height):
            for j in range(width):
                parts[(i, j) in objects].append(float(np.sum((s[:, i, j] - t[:, i, j]) ** 2)))
        losses.append(
            sum(w * np.mean(part) / 2 for w, part in ((foreground, parts[True]), (background, parts[False])) if part)
        )
    return np.array(losses)


def generated(
    student: Array, teacher: Array, weights: Mapping[str, Array], kept: Array, own: str = "generators.0."
) -> Array:
    """Masked generation: the student's map, mapped, with holes, through two convolutions."""
    if f"{own}0.weight" in weights:
        student = convolved(student, weights[f"{own}0.weight"]) + weights[f"{own}0.bias"][:, None, None]
    hidden = convolved(student * kept, weights[f"{own}1.0.weight"]) + weights[f"{own}1.0.bias"][:, None, None]
    out = convolved(np.maximum(hidden, 0), weights[f"{own}1.2.weight"]) + weights[f"{own}1.2.bias"][:, None, None]
    return ((out - teacher) ** 2).sum((1, 2, 3))  # type: ignore[no-any-return]


def _softmax(values: Array) -> Array:
    powers = np.exp(values - np.max(values))
    return powers / powers.sum()


def _context(feature: Array, weights: Mapping[str, Array], own: str) -> Array:
    """A global context block on one map [D, H, W]."""
    places = feature.reshape(len(feature), -1)
    mean = places @ _softmax(weights[f"{own}attention.weight"][0, :, 0, 0] @ places + weights[f"{own}attention.bias"])
    hidden = weights[f"{own}transform.0.weight"] @ mean + weights[f"{own}transform.0.bias"]
    hidden = (hidden - hidden.mean()) / math.sqrt(hidden.var() + 1e-5)
    hidden = np.maximum(hidden * weights[f"{own}transform.1.weight"] + weights[f"{own}transform.1.bias"], 0)
    added = weights[f"{own}transform.3.weight"] @ hidden + weights[f"{own}transform.3.bias"]
    return feature + added[:, None, None]


def fgd(
    student: Array,
    teacher: Array,
    boxes: Sequence[Sequence[Sequence[float]]],
    weights: Mapping[str, Array],
    shares: tuple[float, float, float, float] = (1e-3, 5e-4, 5e-4, 5e-6),
    temperature: float = 0.5,
    level: int = 0,
) -> Array:
    """Focal and global distillation of one level, entry by entry; boxes in fractions of the images."""
    if f"maps.{level}.weight" in weights:
        student = convolved(student, weights[f"maps.{level}.weight"]) + weights[f"maps.{level}.bias"][:, None, None]
    losses = []
    for s, t, some in zip(student, teacher, boxes, strict=True):
        depth, height, width = t.shape
        inside, covered = np.zeros((height, width)), np.zeros((height, width), bool)
        for box in some:
            places = cells(box, height, width)
            for cell in places:
                inside[cell], covered[cell] = max(inside[cell], 1 / len(places)), True
        outside = ~covered / max(1, np.sum(~covered))
        seen = [_softmax(abs(f).mean(0).reshape(-1) / temperature) * height * width for f in (s, t)]
        used = [_softmax(abs(f).mean((1, 2)) / temperature) * depth for f in (s, t)]
        focal = 0.0
        for d in range(depth):
            for i in range(height):
                for j in range(width):
                    mask = shares[0] * inside[i, j] + shares[1] * outside[i, j]
                    focal += mask * seen[1][i * width + j] * used[1][d] * (s[d, i, j] - t[d, i, j]) ** 2
        attended = abs(seen[0] - seen[1]).sum() + abs(used[0] - used[1]).sum()
        whole = [_context(f, weights, f"{role}_contexts.{level}.") for f, role in ((s, "student"), (t, "teacher"))]
        losses.append(focal + shares[2] * attended + shares[3] * np.sum((whole[0] - whole[1]) ** 2))
    return np.array(losses)


def valuable(locations: Array, strides: Array, boxes: Array) -> Array:
    """Weights of the valuable locations: box by box, square by square."""
    weights = np.zeros(len(locations))
    for x1, y1, x2, y2 in boxes:
        overlaps, nearness, apart = [], [], []
        for (x, y), stride in zip(locations, strides, strict=True):
            a1, b1, a2, b2 = x - 4 * stride, y - 4 * stride, x + 4 * stride, y + 4 * stride
            shared = max(0.0, min(a2, x2) - max(a1, x1)) * max(0.0, min(b2, y2) - max(b1, y1))
            iou = shared / ((a2 - a1) * (b2 - b1) + (x2 - x1) * (y2 - y1) - shared)
            squared = ((x1 + x2) / 2 - x) ** 2 + ((y1 + y2) / 2 - y) ** 2
            diagonal = (max(a2, x2) - min(a1, x1)) ** 2 + (max(b2, y2) - min(b1, y1)) ** 2
            overlaps.append(iou), nearness.append(iou - squared / diagonal), apart.append(squared)
        chosen: list[float] = []
        for stride in sorted(set(strides.tolist())):
            level = sorted((apart[a], a) for a in range(len(locations)) if strides[a] == stride)
            chosen += [overlaps[a] for _, a in level[:9]]
        threshold = np.mean(chosen) + (np.std(chosen, ddof=1) if len(chosen) > 1 else 0.0)
        for a, value in enumerate(nearness):
            if threshold / 4 <= value < threshold:
                weights[a] = max(weights[a], overlaps[a])
    return weights


def ld(
    student: Array, teacher: Array, logits: Array, learns: Array, around: Array, temperature: float, share: float
) -> Array:
    """Location by location, side by side; `learns` [B, A] and the weights `around` [B, A] as given."""
    losses = []
    for s, t, z, main, near in zip(student, teacher, logits, learns, around, strict=True):
        each = np.zeros(len(s))
        for a in range(len(s)):
            for side in range(4):
                p, q = (_softmax(part[a, side] / temperature) for part in (t, s))
                each[a] += temperature**2 * np.sum(p * np.log(p / q)) / 4 / len(p)
        total = 0.0
        for weight, part in ((1.0, main * np.max(1 / (1 + np.exp(-z)), 1)), (share, near * ~main)):
            if part.sum():
                total += weight * np.sum(part * each) / part.sum()
        losses.append(total)
    return np.array(losses)


ORACLES: dict[str, Callable[..., Array]] = {
    "ifvd": ifvd,
    "cirkd": cirkd,
    "pearson_kd": pearson_kd,
    "defeat": defeat,
}

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "cirkd": [{"temperature": 0.7, "pool": 2}, {"pool": 3}, {"pool": 9}],
    "defeat": [{"foreground": 0.5, "background": 0.0}],
}

WORKED: dict[str, list[Worked]] = {
    # Two pixels of a class at a right angle, each at the cosine sqrt(1/2) from their mean; alike in the teacher. The
    # third is the only one of its class, and the fourth does not count.
    "ifvd": [
        Worked(
            [[[[1.0, 0.0, 5.0, 9.0]], [[0.0, 1.0, 2.0, 1.0]]]],
            [[[[1.0, 1.0, 3.0, 1.0]], [[0.0, 0.0, 1.0, 4.0]]]],
            [2 * (1 - math.sqrt(0.5)) ** 2 / 3],
            labels=[[[0, 0, 1, -1]]],
        )
    ],
    # At T = 1 / log 3 two pixels at a right angle give 3/4 and 1/4, two that are alike 1/2 and 1/2.
    "cirkd": [
        Worked(
            [[[[1.0, 0.0]], [[0.0, 1.0]]]],
            [[[[1.0, 1.0]], [[1.0, 1.0]]]],
            [math.log(4 / 3) / 2],
            {"temperature": 1 / math.log(3)},
        )
    ],
    # A correlation of -1 over two values: half of 1 + 1.
    "pearson_kd": [Worked([[[[0.0, 2.0]]]], [[[[5.0, 1.0]]]], [1.0])],
    # The box covers the first of two places: 3 times 1 / 2, and 12 times 4 / 2.
    "defeat": [Worked([[[[1.0, 2.0]]]], [[[[0.0, 0.0]]]], [25.5], labels=[[[0.0, 0.0, 0.5, 1.0]]])],
}
