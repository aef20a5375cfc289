"""The classifier of a network as a function of features: vectors, or each place of a map or of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rolewise.distill.term import Bound, through
from rolewise.errors import InputError
from rolewise.taps import names_of, parse_tap
from rolewise.taps.names import uncompiled


@dataclass(frozen=True)
class Head:
    """A network's classifier. No module, so that its weights stay the network's own wherever it is kept.

    Args:
        module: a layer, or several, of vectors [R, D]; or a 1x1 convolution of maps.
    """

    module: nn.Module

    def __call__(self, features: Tensor) -> Tensor:
        """Returns logits [B, K] of vectors [B, D], [B, K, H, W] of maps [B, D, H, W], or [B, T, K] of tokens.

        Gradients go through; the weights of a teacher's have none.
        """
        if features.ndim == 4:
            places = features.movedim(1, 3)
            logits: Tensor = torch.unflatten(self._of_rows(places.flatten(0, 2)), 0, places.shape[:3])
            return logits.movedim(3, 1)
        if features.ndim == 3:
            tokens: Tensor = torch.unflatten(self._of_rows(features.flatten(0, 1)), 0, features.shape[:2])
            return tokens
        return self._of_rows(features)

    def _of_rows(self, rows: Tensor) -> Tensor:
        if isinstance(self.module, nn.Conv2d):
            return through(self.module, rows[:, :, None, None]).flatten(1)
        return through(self.module, rows)


def head_of(name: str, bound: Bound, feature: Tensor, role: str) -> Head:
    """Returns the classifier of a network, tried: its logits are those of the mean of a feature over its places.

    Args:
        name: of the method, for the errors.
        bound: the network with its outputs for the example.
        feature: of the same example: a map [B, D, H, W], or vectors [B, D].
        role: ``student`` or ``teacher``, for the errors.

    Raises:
        InputError: the network names no ``logits`` in its taps, or these are not made of that feature.
    """
    path = names_of(bound.network).get("logits")
    if path is None or parse_tap(path).module != path:
        raise InputError(
            f'"{name}" must find the classifier of the {role}, which names none: declare it, as in '
            'network.taps = {"logits": "fc"}'
        )
    head = Head(uncompiled(bound.network).get_submodule(path))
    vectors = feature.flatten(2).mean(2) if feature.ndim == 4 else feature
    if "logits" in bound.outputs.values and not _gives(head, vectors, bound.outputs.logits):
        if outputs := _chosen_of(head, vectors, bound.outputs.logits):
            raise InputError(
                f'"{name}" must have a {role} that gives all logits of its classifier, {path!r}, in their order, got '
                f"one that gives {bound.outputs.logits.shape[1]} of {outputs} or others in their place, as under "
                f'label_map; give it a last layer of the data\'s classes, or leave "{name}" out'
            )
        raise InputError(
            f'"{name}" must tap the map of the {role} whose mean over all places its classifier, {path!r}, reads, got '
            f"one of shape {list(feature.shape)} that gives other logits; tap the input of the pooling, as "
            f'{role}_taps: "last_map" does where it is a module'
        )
    return head


def _chosen_of(head: Head, vectors: Tensor, logits: Tensor) -> int:
    """Returns the number of a classifier's logits where those of the network are chosen out of them, else 0."""
    try:
        found = head(vectors)
    except RuntimeError:
        return 0
    if found.ndim != 2 or logits.ndim != 2 or len(found) != len(logits):
        return 0
    apart = (logits.to(found)[:, :, None] - found[:, None]).abs().amin(2)
    return found.shape[1] if bool((apart <= 1e-3 * logits.abs().max() + 1e-6).all()) else 0


def _gives(head: Head, vectors: Tensor, logits: Tensor) -> bool:
    try:
        found = head(vectors)
    except RuntimeError:
        return False
    if found.shape != logits.shape:
        return False
    # What is not finite is another fault, which the first step names.
    near = torch.allclose(found, logits.to(found), rtol=0, atol=0.02 * float(logits.abs().max()) + 1e-6)
    return near or not bool(logits.isfinite().all())
