"""Independent computations of the terms with learned parts and state, in numpy, straight from their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import distill_oracles_peers as peers
import numpy as np

Array = np.ndarray
#: Those whose oracle is here; `test_distill_terms` holds them to it.
TERMS_WITH_ORACLES = {"ab", "crd", "ctkd", "fgd", "ft", "hkd", "ld", "mgd", "review_kd", "vid"}
#: And those of texts; `test_distill_texts` holds them to it.
TERMS_WITH_ORACLES |= {"hidden_cosine", "minilm", "minilm_v2", "patient", "tinybert_attention", "tinybert_hidden"}
#: And those of several teachers, of peers, and of a student that teaches itself.
TERMS_WITH_ORACLES |= peers.TERMS_WITH_ORACLES


class Contrast:
    """Contrastive representation distillation over many steps: probabilities first, then their logarithms.

    Args:
        banks: the student's and the teacher's memory.
        temperature: of the scores.
        momentum: of the memories.
    """

    def __init__(self, banks: tuple[Array, Array], temperature: float, momentum: float) -> None:
        self.banks, self.temperature, self.momentum = [bank.copy() for bank in banks], temperature, momentum
        self.scales: list[float | None] = [None, None]

    def losses(self, embeddings: tuple[Array, Array], rows: Array) -> tuple[Array, list[Array]]:
        """Returns the loss of each example, and its gradients by the two embeddings.

        Args:
            embeddings: the student's and the teacher's, [B, D].
            rows: [B, 1 + M], of which the first is the example's own.
        """
        total, gradients = np.zeros(len(rows)), []
        number, examples = rows.shape[1] - 1, len(self.banks[0])
        noise = number / examples
        for side, embedding in enumerate(embeddings):
            other = self.banks[1 - side]
            raw = np.exp(np.array([other[r] @ e for r, e in zip(rows, embedding, strict=True)]) / self.temperature)
            scale = self.scales[side] or raw.mean() * examples
            p = raw / scale
            total += -np.log(p[:, 0] / (p[:, 0] + noise + 1e-7)) - np.log(noise / (p[:, 1:] + noise + 1e-7)).sum(1)
            by_p = 1 / (p + noise + 1e-7)
            by_p[:, 0] -= 1 / p[:, 0]
            slopes = by_p * p / self.temperature
            gradients.append(np.array([s @ other[r] for s, r in zip(slopes, rows, strict=True)]))
        return total, gradients

    def step(self, embeddings: tuple[Array, Array], rows: Array) -> None:
        """Moves the memories, and settles the constants in the first step."""
        for side, embedding in enumerate(embeddings):
            if self.scales[side] is None:
                scores = np.array([self.banks[1 - side][r] @ e for r, e in zip(rows, embedding, strict=True)])
                self.scales[side] = float(np.exp(scores / self.temperature).mean()) * len(self.banks[0])
        for bank, embedding in zip(self.banks, embeddings, strict=True):
            for row, vector in zip(rows[:, 0], embedding, strict=True):
                mixed = self.momentum * bank[row] + (1 - self.momentum) * vector
                bank[row] = mixed / math.sqrt(sum(mixed**2))


def embedded(feature: Array, weight: Array, bias: Array) -> Array:
    """A linear map of the flattened feature, at unit length."""
    mapped = feature.reshape(len(feature), -1) @ weight.T + bias
    return mapped / np.sqrt((mapped**2).sum(1, keepdims=True))


def before_length(gradient: Array, feature: Array, weight: Array, bias: Array) -> Array:
    """Takes a gradient by `embedded` vectors back to what they were before they had unit length."""
    mapped = feature.reshape(len(feature), -1) @ weight.T + bias
    length = np.sqrt((mapped**2).sum(1, keepdims=True))
    unit = mapped / length
    return (gradient - unit * (unit * gradient).sum(1, keepdims=True)) / length


def pooled(features: Array, height: int, width: int) -> Array:
    """Averages a map [B, D, H, W] over a grid, cell by cell; cells overlap where sides do not divide."""
    sides = features.shape[2:]
    cells = np.zeros((*features.shape[:2], height, width))
    for i in range(height):
        for j in range(width):
            rows = slice(i * sides[0] // height, math.ceil((i + 1) * sides[0] / height))
            columns = slice(j * sides[1] // width, math.ceil((j + 1) * sides[1] / width))
            cells[:, :, i, j] = features[:, :, rows, columns].mean((2, 3))
    return cells


def stretched(features: Array, height: int, width: int) -> Array:
    """Repeats or leaves out places of a map [B, D, H, W]: the nearest from above and left."""
    rows = [i * features.shape[2] // height for i in range(height)]
    columns = [j * features.shape[3] // width for j in range(width)]
    return features[:, :, rows][:, :, :, columns]


def convolved(features: Array, weight: Array) -> Array:
    """A convolution with zeros around the map and as many places after it as before."""
    side = weight.shape[2]
    around = side // 2
    padded = np.pad(features, ((0, 0), (0, 0), (around, around), (around, around)))
    out = np.zeros((len(features), len(weight), *features.shape[2:]))
    for i in range(side):
        for j in range(side):
            window = padded[:, :, i : i + features.shape[2], j : j + features.shape[3]]
            out += np.einsum("od,bdhw->bohw", weight[:, :, i, j], window)
    return out


def standardised(features: Array, weights: Mapping[str, Array], prefix: str, training: bool) -> Array:
    """A norm of the batch: by its own statistics in training, by the running ones otherwise."""
    if training:
        mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3))
    else:
        mean, variance = weights[f"{prefix}.running_mean"], weights[f"{prefix}.running_var"]
    scaled = (features - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    return scaled * weights[f"{prefix}.weight"][:, None, None] + weights[f"{prefix}.bias"][:, None, None]


def review(student: list[Array], teacher: list[Array], weights: Mapping[str, Array], training: bool) -> Array:
    """Knowledge review from the deepest stage up."""
    student, teacher = ([f if f.ndim == 4 else f[:, :, None, None] for f in some] for some in (student, teacher))
    total, deeper = np.zeros(len(student[0])), None
    for index in reversed(range(len(student))):
        own = f"fusions.{index}."
        fused = convolved(student[index], weights[f"{own}narrow.0.weight"])
        fused = standardised(fused, weights, f"{own}narrow.1", training)
        if deeper is not None:
            deeper = stretched(deeper, *fused.shape[2:])
            both = convolved(np.concatenate([fused, deeper], 1), weights[f"{own}gates.weight"])
            gates = 1 / (1 + np.exp(-both - weights[f"{own}gates.bias"][:, None, None]))
            fused = fused * gates[:, [0]] + deeper * gates[:, [1]]
        deeper = stretched(fused, *teacher[index].shape[2:])
        wide = standardised(convolved(deeper, weights[f"{own}spread.0.weight"]), weights, f"{own}spread.1", training)
        parts = [(1.0, wide - teacher[index])]
        for side in (4, 2, 1):
            if side < min(wide.shape[2:]):
                parts.append((parts[-1][0] / 2, pooled(wide, side, side) - pooled(teacher[index], side, side)))
        total += sum(w * (d**2).mean((1, 2, 3)) for w, d in parts) / sum(w for w, _ in parts)
    return total


def variational(student: list[Array], teacher: list[Array], weights: Mapping[str, Array]) -> Array:
    """Negative log-likelihood under a Gaussian, up to half the logarithm of 2 pi."""
    total = np.zeros(len(student[0]))
    for index, (given, wanted) in enumerate(zip(student, teacher, strict=True)):
        if given.ndim == 2:
            given, wanted = given[:, :, None, None], wanted[:, :, None, None]
        sides = [min(a, b) for a, b in zip(given.shape[2:], wanted.shape[2:], strict=True)]
        mean, wanted = pooled(given, *sides), pooled(wanted, *sides)
        for layer in (0, 2, 4):
            mean = convolved(
                mean if layer == 0 else np.maximum(mean, 0), weights[f"gaussians.{index}.mean.{layer}.weight"]
            )
        variance = np.log(1 + np.exp(weights[f"gaussians.{index}.spread"])) + 1e-5
        deviation = np.sqrt(variance)[:, None, None]
        density = np.exp(-0.5 * ((wanted - mean) / deviation) ** 2) / deviation
        total += -np.log(density).mean((1, 2, 3))
    return total


def slope(function: Callable[[dict[str, Array]], Array], at: dict[str, Array], towards: dict[str, Array]) -> float:
    """The derivative of a function's mean in a direction, by differences of fourth order."""

    def value(step: float) -> float:
        return float(function({key: array + step * towards.get(key, 0.0) for key, array in at.items()}).mean())

    h = 2e-5
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
