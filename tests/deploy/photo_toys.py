"""Small photographs, and an experiment on a folder of them, for the tests beside this file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("=sky", "brick, red", "grass")
TRAIN = "train: {epochs: 3, batch_size: 8, optimizer: {name: adam, learning_rate: 0.01}}"
CONFIG = f"""
name: photos
seeds: [3]
workers: 1
data: {{name: image_folder, root: ROOT, validation: 6, test: 6, arguments: {{size: [20, 24], background: [9, 9, 9]}}}}
teacher: {{model: {{name: small_cnn, arguments: {{widths: [8, 12]}}}}, {TRAIN}}}
students:
  - name: low
    model: {{name: small_cnn, arguments: {{widths: [4, 6]}}}}
    {TRAIN}
    quantise: {{weights: 8, activations: 8}}
arms: {{teacher: [none], student: [none], distill: [true, false]}}
"""


def photograph(kind: int, number: int, size: tuple[int, int] = (30, 44)) -> Image.Image:
    """Draws a picture of one of three kinds: a colour, in stripes of a distance of its own, with noise."""
    draws = np.random.default_rng((kind, number))
    pixels = np.zeros((*size, 3))
    pixels[..., kind] = 170
    pixels[:: kind + 2] += 60
    return Image.fromarray((pixels + draws.normal(0, 20, pixels.shape)).clip(0, 255).astype(np.uint8))


def photographs(root: Path, number: int, names: tuple[str, ...] = CLASSES, ending: str = "png") -> None:
    """Writes so many pictures of each kind into a folder of its name."""
    for kind, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(number):
            photograph(kind, index).save(root / name / f"{index}.{ending}")
