"""A task of one's own, keypoints: the places of a ring and of a cross, searched and distilled like any other.

    python examples/own_task.py

A task is one class and a line of a config, ``task: own_task:KeyPoints``. This one reads heat maps: a softmax over the
places of each point, so that every method on logits distils it. Points move with their images as masks and boxes do.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Batch, Outputs, Rows
from rolewise.experiment import load, run
from rolewise.tasks import MetricInfo
from rolewise.tasks.protocol import reduced

SIDE = 24


def pictures(images: int = 240, test_images: int = 120) -> dict[str, Any]:
    """Returns noisy pictures of a ring and a cross, and where both are; a ring is missing here and there."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    found, points = [], []
    for _ in range(images + test_images):
        ring, cross = draw.uniform(4, SIDE - 4, (2, 2))
        strength = draw.uniform(15, 60)
        picture = 110 + draw.normal(0, 25, (SIDE, SIDE))
        if missing := draw.random() < 0.1:
            ring[:] = np.nan
        else:
            picture += strength * (abs(np.hypot(x - ring[0], y - ring[1]) - 2.5) < 0.7)
        arms = np.minimum(abs(x - cross[0]), abs(y - cross[1])) < 0.6
        picture += strength * (arms & (np.maximum(abs(x - cross[0]), abs(y - cross[1])) < 3.5))
        assert np.isnan(ring).all() == missing
        found.append(picture.clip(0, 255).astype(np.uint8))
        points.append((ring, cross))
    every, places = np.stack(found), np.array(points, np.float32)
    return {
        "targets": "points",
        "classes": ["ring", "cross"],
        "images": every[:images],
        "labels": places[:images],
        "test_images": every[images:],
        "test_labels": places[images:],
    }


def heat_maps(num_classes: int, channels: int, width: int = 8) -> nn.Module:
    """Returns a network whose outputs are a heat map [B, P, h, w] for each point, of half the images' resolution."""
    return nn.Sequential(
        *(nn.Conv2d(channels, width, 5, 2, 2), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()),
        nn.Conv2d(width, num_classes, 3, 1, 1),
    )


class Near:
    """Counts the points that are found within some pixels of their place; what it is measured by."""

    def __init__(self, task: KeyPoints) -> None:
        self._task, self._hits, self._points, self._losses = task, [], [], []  # type: ignore[var-annotated]

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch."""
        targets, (count, _, height, width) = batch.targets, outputs.logits.shape
        best = outputs.logits.flatten(2).argmax(2)
        cell = torch.tensor([SIDE / width, SIDE / height])
        places = (torch.stack([best % width, best // width], 2).cpu() + 0.5) * cell
        known = targets.isfinite().all(2).cpu()
        near = (places - targets.cpu()).norm(dim=2) <= self._task.within
        self._hits.append((near & known).sum(1).double())
        self._points.append(known.sum(1).double())
        self._losses.append(self._task.losses(outputs, batch)["labels"].detach().double().cpu())
        assert len(known) == count

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns the share of points that are found, and the mean loss; ``weights`` [N] are a bootstrap resample."""
        hits, points, losses = (torch.cat(some) for some in (self._hits, self._points, self._losses))
        share = torch.ones_like(hits) if weights is None else weights.double()
        return {"found": float(share @ hits / (share @ points)), "loss": float(share @ losses / share.sum())}

    def per_example(self) -> None:
        """Returns None: images hold one point or two, and the share is that of all points together."""
        return None


class KeyPoints:
    """Points of an image, each found as the highest place of its heat map.

    Args:
        within: pixels from its place at which a point counts as found.
    """

    name = "key_points"
    metrics = (
        MetricInfo("found", "points that are found", "fraction"),
        MetricInfo("loss", "cross-entropy of places", "nats", higher_is_better=False),
    )
    rows_hold, row_classes = "logits", None

    def __init__(self, *, within: float = 2.0) -> None:
        self.within = within

    def check(self, batch: Batch) -> None:
        """Raises InputError unless points are [B, P, 2] of images [B, C, H, W]."""
        shape = getattr(batch.targets, "shape", ())
        if len(shape) != 3 or shape[2] != 2 or shape[0] != len(batch.inputs):
            raise rw.InputError(f"points must be [B, P, 2] of {len(batch.inputs)} images, got {list(shape)}")

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns heat maps [B, P, h, w]."""
        return Outputs({"logits": network(inputs)})

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless there is a heat map for each point."""
        if outputs.logits.ndim != 4 or outputs.logits.shape[:2] != batch.targets.shape[:2]:
            wanted, got = list(batch.targets.shape[:2]), list(outputs.logits.shape)
            raise rw.InputError(f"the network must return heat maps {[*wanted, 'h', 'w']}, got {got}")

    def places(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the place of each point in its heat map, int64 [B, P], and which are known."""
        height, width = outputs.logits.shape[2:]
        size = batch.targets.new_tensor([batch.inputs.shape[3] / width, batch.inputs.shape[2] / height])
        known = batch.targets.isfinite().all(2)
        x, y = (batch.targets.nan_to_num(0.0) / size).long().unbind(2)
        return y.clamp(0, height - 1) * width + x.clamp(0, width - 1), known

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: str = "none") -> Mapping[str, Tensor]:
        """Returns the cross-entropy of the places, a mean over each image's points."""
        places, known = self.places(outputs, batch)
        each = functional.cross_entropy(outputs.logits.flatten(2).transpose(1, 2), places, reduction="none")
        loss = (each * known).sum(1) / known.sum(1).clamp(min=1)
        return {"labels": reduced(loss, reduction)}  # type: ignore[arg-type]

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns a row of logits over places for each point, which is all that a method on logits sees."""
        count, points = student.logits.shape[:2]
        owner = torch.arange(count, device=student.logits.device).repeat_interleave(points)
        labels, weight = None, None
        if batch.targets is not None:
            places, known = self.places(student, batch)
            labels, weight = places.reshape(-1), known.reshape(-1).float()
        first, second = (outputs.logits.flatten(2).flatten(0, 1) for outputs in (student, teacher))
        return Rows(first, owner, weight, labels), Rows(second, owner, weight, labels)

    def example_targets(self, outputs: Outputs) -> Tensor:
        """Returns points that go with a student's outputs."""
        return outputs.logits.new_zeros(*outputs.logits.shape[:2], 2)

    def metric(self) -> Near:
        """Returns an empty metric."""
        return Near(self)


CONFIG = """
name: key_points
task: {name: "own_task:KeyPoints", within: 2.0}
seeds: [0]
data: {name: "own_task:pictures", validation: 60}
teacher:
  model: {name: "own_task:heat_maps", arguments: {width: 24}}
  train: {epochs: 12, batch_size: 20, optimizer: {name: adam, learning_rate: 0.01}}
students:
  - name: small
    model: {name: "own_task:heat_maps", arguments: {width: 3}}
    train: {epochs: 12, batch_size: 20, optimizer: {name: adam, learning_rate: 0.01}}
distill: {methods: [{name: kd, temperature: 2.0}]}
augment: {ops: [rotate, translate_x, translate_y, flip, brightness]}
search: {members: 2, intervals: 2, teacher_epochs: 2, student_epochs: 2, initial: random}
arms: {student: [none, own], distill: [true, false]}
"""


def main() -> None:
    """Runs the experiment from a config and prints what each student found."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "key_points.yaml"
        config.write_text(CONFIG)
        run(load(config), Path(folder) / "run")
        results = json.loads((Path(folder) / "run" / "results.json").read_text())
        for arm in results["arms"]:
            print(f"{arm['name']:14s} {arm['metrics']['found']['0']:.1%} of the points")


if __name__ == "__main__":
    main()
