"""Examples as a distillation in one call is given them: images that it augments itself, or anybody's batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.data import ImageData, Source
from rolewise.data.targets import batch_targets
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.tasks import Task
from rolewise.train.evaluate import Metrics, evaluate, evaluate_batches
from rolewise.train.example_feed import LoaderFeed, TensorFeed, feed_of


@dataclass(frozen=True)
class Examples:
    """Examples to train on or to evaluate.

    Args:
        feed: of the batches; None where there is a source.
        source: images of uint8 with classes, which a training augments itself; None for all others.
        device: of the batches.
        batch_size: B.
    """

    feed: TensorFeed | LoaderFeed | None
    source: Source | None
    device: torch.device
    batch_size: int

    @property
    def indices(self) -> Tensor | None:
        """All rows of the source, int64 [N]."""
        return None if self.source is None else torch.arange(len(self.source))

    @property
    def number(self) -> int | None:
        """N, where batches carry their examples' rows."""
        if self.source is not None:
            return len(self.source)
        return self.feed.examples if isinstance(self.feed, TensorFeed) else None

    @property
    def labels(self) -> Tensor | None:
        """The classes of all examples, int64 [N], where they are known."""
        labels = self.source.labels if self.source is not None else getattr(self.feed, "targets", None)
        return labels if isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.ndim == 1 else None

    @property
    def pixels(self) -> InputSpec | None:
        """The input by which images of uint8 become pixels in [0, 1]; None for other inputs."""
        if self.source is not None:
            channels = self.source.channels
        elif isinstance(self.feed, TensorFeed) and self.feed.inputs.dtype == torch.uint8 and self.feed.inputs.ndim == 4:
            channels = self.feed.inputs.shape[1]
        else:
            return None
        return InputSpec((0.0,) * channels, (1.0,) * channels)

    def example(self) -> Batch:
        """Returns some of the examples."""
        if self.source is not None:
            rows = torch.arange(min(2, len(self.source)))
            return Batch(self.source.batch(rows), batch_targets(self.source.labels[rows])).to(self.device)
        assert self.feed is not None
        return next(self.feed.batches(0))

    def evaluate(self, network: nn.Module, spec: InputSpec | None, task: Task) -> Metrics:
        """Evaluates a network on all examples.

        Args:
            network: on the device.
            spec: its input, or None.
            task: of the network.
        """
        if self.source is not None and self.indices is not None:
            return evaluate(network, self.source, self.indices, spec, device=self.device, task=task)
        assert self.feed is not None
        return evaluate_batches(network, self.feed.batches(0), spec, task=task)


def examples_of(
    data: Any,
    name: str,
    *,
    batch_size: int,
    seed: int | None,
    device: torch.device,
    names: tuple[str | None, str | None],
) -> Examples:
    """Returns examples of what was given as data.

    Args:
        data: see `rolewise.train.distill`.
        name: of the argument, for errors.
        batch_size: B.
        seed: of the order; None for the order as it is.
        device: of the batches.
        names: the keys of inputs and labels in batches that are mappings.

    Raises:
        InputError: it is of another kind.
    """
    pair = data if isinstance(data, (tuple, list)) and len(data) == 2 else (None, None)
    images, labels = pair
    if isinstance(images, Tensor) and isinstance(labels, Tensor) and _are_pictures(images, labels):
        data = ImageData(images.cpu(), labels.cpu(), tuple(map(str, range(max(2, int(labels.max()) + 1)))))
    if isinstance(data, Source):
        return Examples(None, data, device, batch_size)
    feed = feed_of(data, name, batch_size=batch_size, seed=seed, device=device, names=names)
    return Examples(feed, None, device, batch_size)


def _are_pictures(images: Tensor, labels: Tensor) -> bool:
    """Whether they are images of uint8 [N, C, H, W] with a class each."""
    pictures = images.dtype == torch.uint8 and images.ndim == 4 and images.shape[1] in (1, 3) and len(images) > 0
    return pictures and labels.dtype == torch.int64 and labels.shape == images.shape[:1]


def check_augmentable(examples: Examples, augmentation: Any, teacher_augmentation: Any, view: str) -> None:
    """Raises InputError where something is to be augmented that a training cannot augment."""
    if examples.source is not None:
        return
    for name, given in (("augmentation", augmentation), ("teacher_augmentation", teacher_augmentation)):
        if given is not None:
            raise InputError(
                f"{name} must be left out unless train holds images of uint8 [N, C, H, W] with classes: give these, or "
                "augment in the data set"
            )
    if view != "shared":
        raise InputError(
            f'view must be "shared" unless train holds images of uint8 [N, C, H, W] with classes, got {view!r}; give '
            "the teacher other images by batches that are rolewise.Batch, with views"
        )
