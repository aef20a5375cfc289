"""Metrics of objects in segmentation: connected regions of a class, matched with the true ones by their overlap."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rolewise.batch import IGNORED, Batch, Outputs
from rolewise.errors import InputError
from rolewise.metric_info import MetricInfo
from rolewise.tasks.metric_registry import register
from rolewise.tasks.pixel_logits import counted_labels, resized

_THRESHOLDS = np.arange(0.5, 1.0, 0.05)


@register("objects")
class ObjectMetric:
    r"""The share of objects that are found, an object being a connected region of pixels of a class.

    .. math:: s_b = \frac{1}{10} \sum_{t \in \{0.5, 0.55, \dots, 0.95\}}
        \frac{\mathrm{TP}_b(t)}{\mathrm{TP}_b(t) + \mathrm{FP}_b(t) + \mathrm{FN}_b(t)}

    of image b, where a predicted and a true region that overlap by an IoU above t are a true positive. Pixels are
    connected by their sides. ``object_precision`` is the mean of s over images, in which an image without any object
    counts 1 where none is predicted and 0 else. ``object_f1`` is that of all images' objects together, at an IoU above
    0.5. Ignored pixels belong to no region. Two objects that touch are one: let the masks have a class of outlines.

    Source: Caicedo et al. (2019), Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl,
    https://doi.org/10.1038/s41592-019-0612-7, methods, evaluation.
    Differs from source: regions are made from masks of classes and not given as instances.

    Args:
        object_class: number of the class whose regions are objects.
        least_pixels: the size of a region in pixels from which it counts; smaller ones are left out on both sides.
        ignore: the label of pixels that do not count, as of the task; None where all count.

    Raises:
        InputError: a setting is out of range.
    """

    info = (
        MetricInfo("object_precision", "mean precision of objects", "fraction"),
        MetricInfo("object_f1", "F1 of objects at IoU 0.5", "fraction"),
    )
    tasks = ("segmentation",)

    def __init__(self, *, object_class: int = 1, least_pixels: int = 1, ignore: int | None = IGNORED) -> None:
        for name, value in (("object_class", object_class), ("least_pixels", least_pixels)):
            if isinstance(value, bool) or not isinstance(value, int) or value < (name == "least_pixels"):
                least = "at least 1" if name == "least_pixels" else "the number of a class"
                raise InputError(f"{name} must be a whole number, {least}, got {value!r}")
        self._object_class, self._least_pixels, self._ignore = object_class, least_pixels, ignore
        self._found: list[tuple[int, int, np.ndarray]] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with masks [B, H, W]."""
        masks = batch.targets
        logits = resized(outputs.logits.detach().float(), masks.shape[-2:])
        if self._object_class >= logits.shape[1]:
            raise InputError(f"object_class must be below the {logits.shape[1]} classes, got {self._object_class}")
        labels, counts = counted_labels(masks, self._ignore)
        predicted = (logits.argmax(1) == self._object_class) & counts
        true = (labels == self._object_class) & counts
        for own, wanted in zip(predicted.cpu().numpy(), true.cpu().numpy(), strict=True):
            self._found.append(self._matched(own, wanted))

    def _matched(self, predicted: np.ndarray, true: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Returns the numbers of predicted and of true regions, and of matches at each threshold [10]."""
        (own, own_sizes), (wanted, sizes) = (self._regions(mask) for mask in (predicted, true))
        both = (own > 0) & (wanted > 0)
        table = np.zeros((len(own_sizes), len(sizes)))
        np.add.at(table, (own[both] - 1, wanted[both] - 1), 1)
        overlap = table / (own_sizes[:, None] + sizes[None, :] - table)
        # Above one half a region has one partner at most. The margin is of rounding in the thresholds alone.
        matches = [int((overlap > threshold + 1e-9).sum()) for threshold in _THRESHOLDS]
        return len(own_sizes), len(sizes), np.array(matches)

    def _regions(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the number of each pixel's region, from 1, 0 for none, and the regions' sizes."""
        from scipy import ndimage  # whoever measures no objects need not wait for it

        numbers, count = ndimage.label(mask)
        sizes = np.bincount(numbers.reshape(-1), minlength=count + 1)[1:]
        large = sizes >= self._least_pixels
        renumbered = np.concatenate([[0], np.where(large, large.cumsum(), 0)])
        return renumbered[numbers], sizes[large]

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns both numbers (see `rolewise.tasks.protocol.Metric`); F1 is NaN where there is no object at all."""
        share = np.ones(len(self._found)) if weights is None else weights.double().numpy()
        counts = np.array([[own, wanted, matches[0]] for own, wanted, matches in self._found], float)
        own, wanted, matches = share @ counts
        f1 = 2 * matches / (own + wanted) if own + wanted else float("nan")
        return {"object_precision": float(share @ self._scores() / share.sum()), "object_f1": float(f1)}

    def per_example(self) -> Tensor:
        """Returns the score s of each image, double [N]."""
        return torch.from_numpy(self._scores())

    def _scores(self) -> np.ndarray:
        scores = [
            (matches / (own + wanted - matches)).mean() if own + wanted else 1.0 for own, wanted, matches in self._found
        ]
        return np.array(scores)
