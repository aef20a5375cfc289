"""Batches out of a source, in an order that the caller draws."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.data.image_sources import ImageData, Source
from rolewise.data.targets import batch_targets
from rolewise.data.text_source import TextData


@dataclass(frozen=True)
class ImageBatch:
    """Some examples.

    Args:
        images: uint8 [B, C, H, W] on the device; of texts a mapping of tensors [B, T].
        labels: int64 [B] on the device, or other targets of the source.
        indices: int64 [B] into the source.
    """

    images: Any
    labels: Tensor
    indices: Tensor

    @property
    def targets(self) -> Any:
        """The labels as a batch has them: boxes as a list of mappings, all others as they are."""
        return batch_targets(self.labels)


def shuffled(indices: Tensor, generator: torch.Generator) -> Tensor:
    """Returns ``indices`` in a random order."""
    return indices[torch.randperm(len(indices), generator=generator)]


def batches(
    source: Source, order: Tensor, batch_size: int, *, drop_last: bool = False, device: torch.device | str = "cpu"
) -> Iterator[ImageBatch]:
    """Yields the examples of ``order`` in batches.

    A streamed source is read one batch ahead, while the caller works on the last one.

    Args:
        source: the images.
        order: int64 [M], indices into the source.
        batch_size: B.
        drop_last: leave out a last batch that is smaller.
        device: the batch's device.
    """
    end = len(order) - len(order) % batch_size if drop_last else len(order)
    parts = [order[start : min(start + batch_size, end)] for start in range(0, end, batch_size)]
    if isinstance(source, (ImageData, TextData)):
        for resident in parts:
            yield _load(source, resident, device)
        return
    with ThreadPoolExecutor(1) as ahead:
        waiting: Future[ImageBatch] | None = None
        part: Tensor | None
        for part in (*parts, None):
            ready = waiting
            waiting = ahead.submit(_load, source, part, device) if part is not None else None
            if ready is not None:
                yield ready.result()


def _load(source: Source, part: Tensor, device: torch.device | str) -> ImageBatch:
    if isinstance(source, TextData):
        texts = {name: tensor.to(device) for name, tensor in source.batch(part).items()}
        labels = source.targets(part, texts["input_ids"].shape[1])
        return ImageBatch(texts, labels.to(device), part)
    return ImageBatch(source.batch(part).to(device), source.labels[part].to(device), part)
