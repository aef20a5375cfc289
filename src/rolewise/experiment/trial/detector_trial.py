"""Detectors on trial: made-up boxes, the call of a network in training mode, and what fits the data's classes."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Outputs


def example_boxes(
    images: int, size: tuple[int, int], num_classes: int, device: torch.device
) -> list[dict[str, Tensor]]:
    """Returns a box for each image, in its middle; its class is another one from image to image.

    Args:
        images: B.
        size: (H, W) of the images in pixels.
        num_classes: K.
        device: of the boxes.
    """
    height, width = size
    box = torch.tensor([[width / 4, height / 4, 3 * width / 4, 3 * height / 4]], device=device)
    return [{"boxes": box, "labels": torch.tensor([image % num_classes], device=device)} for image in range(images)]


def detector_output(module: nn.Module, batch: Tensor) -> Any:
    """Returns the output of a detector for a batch; one in training mode whose forward takes ``targets`` gets a box."""
    if module.training and "targets" in inspect.signature(module.forward).parameters:
        size = batch.shape[2], batch.shape[3]
        return module(batch, targets=example_boxes(len(batch), size, 1, batch.device))
    return module(batch)


def detector_fits(outputs: Outputs, batch: int, num_classes: int) -> bool:
    """Returns whether a detector has logits [B, A, K] for the data's classes, or finishes boxes or losses itself."""
    if "logits" not in outputs.values:
        return True
    logits = outputs.logits
    return logits.ndim == 3 and len(logits) == batch and logits.shape[2] == num_classes


def made_detector_output(examples: int, num_classes: int, stream: torch.Generator) -> dict[str, Tensor]:
    """Returns made-up outputs of a dense detector of four locations.

    Args:
        examples: B.
        num_classes: K.
        stream: of the draws.
    """
    locations = torch.tensor([[4.0, 4.0], [12.0, 4.0], [4.0, 12.0], [12.0, 12.0]])
    reach = 2 + 4 * torch.rand(examples, 4, 2, generator=stream)
    return {
        "logits": torch.randn(examples, 4, num_classes, generator=stream),
        "boxes": torch.cat([locations - reach, locations + reach], 2),
        "locations": locations,
        "strides": torch.full((4,), 8.0),
    }
