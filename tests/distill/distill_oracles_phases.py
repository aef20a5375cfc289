"""Independent computations, in numpy, of the methods that are phases of a training in their papers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np

Array = np.ndarray


def ab(student: list[Array], teacher: list[Array], margin: float = 1.0) -> Array:
    """Neuron by neuron; maps are of one size here."""
    losses = np.zeros(len(student[0]))
    for number, (s, t) in enumerate(zip(student, teacher, strict=True)):
        for image in range(len(losses)):
            total = 0.0
            for own, wanted in zip(s[image].ravel(), t[image].ravel(), strict=True):
                if wanted > 0:
                    total += (margin - own) ** 2 if own < margin else 0.0
                else:
                    total += (own + margin) ** 2 if own > -margin else 0.0
            losses[image] += total / s[image].size / 2 ** (len(student) - 1 - number)
    return losses


def convolved(features: Array, weight: Array, bias: Array) -> Array:
    """A 3x3 convolution of maps [B, D, H, W] with zeros around them, place by place."""
    batch, _, height, width = features.shape
    around = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((batch, len(weight), height, width))
    for r, c in itertools.product(range(height), range(width)):
        out[:, :, r, c] = np.einsum("bdij,odij->bo", around[:, :, r : r + 3, c : c + 3], weight) + bias
    return out


def layered(features: Array, weights: Mapping[str, Array], name: str) -> Array:
    """Three layers of a part of factor transfer; a transposed convolution is one with the kernel turned round."""
    for layer in (0, 2, 4):
        weight, bias = weights[f"{name}.{layer}.weight"], weights[f"{name}.{layer}.bias"]
        if name.endswith("decoder"):
            weight = weight.swapaxes(0, 1)[:, :, ::-1, ::-1]
        features = convolved(features, weight, bias)
        features = np.where(features > 0, features, 0.1 * features)
    return features


def factors(students: list[Array], teachers: list[Array], weights: Mapping[str, Array]) -> tuple[Array, Array]:
    """Returns the difference of factors and the error of the paraphraser, each [B]; maps are of one size here."""
    losses, errors = np.zeros(len(students[0])), np.zeros(len(students[0]))
    for number, (student, teacher) in enumerate(zip(students, teachers, strict=True)):
        wanted = layered(teacher, weights, f"estimator.{number}.encoder")
        made = layered(wanted, weights, f"estimator.{number}.decoder")
        translated = layered(student, weights, f"translators.{number}")
        for image in range(len(losses)):
            errors[image] += np.mean((made[image] - teacher[image]) ** 2)
            units = [one[image].ravel() / math.sqrt(np.sum(one[image] ** 2)) for one in (translated, wanted)]
            losses[image] += np.mean(np.abs(units[0] - units[1]))
    return losses, errors
