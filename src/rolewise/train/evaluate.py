"""Evaluation of a classifier on part of a source, in eval mode, over every image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.data import Source, batches
from rolewise.inputs import InputSpec, prepare
from rolewise.logits import logits_in
from rolewise.train.given import check_count, check_indices


@dataclass(frozen=True)
class Metrics:
    """What an evaluation found.

    Args:
        accuracy: in [0, 1].
        loss: mean cross-entropy in nats.
        correct: bool [N], in the order of the indices.
    """

    accuracy: float
    loss: float
    correct: Tensor


# Not inference_mode: tensors that something keeps from within it could never take part in a gradient later.
@torch.no_grad()
def evaluate(
    model: nn.Module,
    source: Source,
    indices: Tensor,
    spec: InputSpec | None,
    *,
    batch_size: int = 512,
    device: torch.device | str = "cpu",
) -> Metrics:
    """Evaluates a classifier.

    Args:
        model: returns logits [B, K], or an object that has ``logits``.
        source: where the images are.
        indices: int64 [N], which of them.
        spec: what the model is fed; None for pixels in [0, 1].
        batch_size: B, of no influence on the result but for rounding.
        device: where the model is.

    Raises:
        InputError: there is no image, or an argument is wrong.
    """
    check_indices(indices, source)
    check_count("batch_size", batch_size, least=1)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    correct, loss = [], 0.0
    try:
        for batch in batches(source, indices, batch_size, device=device):
            images = prepare(batch.images, spec) if spec is not None else batch.images.float() / 255
            logits = logits_in(model(images)).float()
            correct.append((logits.argmax(1) == batch.labels).cpu())
            loss += float(functional.cross_entropy(logits, batch.labels, reduction="sum"))
    finally:
        # Each its own: someone may keep a part of the network in eval mode.
        for module, training in modes:
            module.training = training
    hits = torch.cat(correct)
    return Metrics(int(hits.sum()) / len(hits), loss / len(hits), hits)
