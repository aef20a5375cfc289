"""Networks of several branches: a common trunk, and several copies of its last stage with a head each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, near
from rolewise.models.model_registry import MODELS


class Branched(nn.Module):
    """A trunk and several branches, of which the first is the network that is evaluated and deployed.

    Args:
        networks: equal networks with ``stages``, ``pool`` and ``fc``, and a ``stem`` before them where they have one;
            the first gives the trunk, each its last stage and its head.

    Raises:
        InputError: a network has no such parts, or one stage alone.
    """

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        for network in networks:
            stages = getattr(network, "stages", None)
            whole = all(isinstance(getattr(network, part, None), nn.Module) for part in ("pool", "fc"))
            if not isinstance(stages, nn.Sequential) or len(stages) < 2 or not whole:
                raise InputError(
                    f"base must be a network of at least two stages, a pooling and a head, got "
                    f"{type(network).__name__}; take one of the residual networks, or small_cnn"
                )
        first = networks[0]
        stem = [first.stem] if isinstance(getattr(first, "stem", None), nn.Module) else []
        early: list[nn.Module] = list(first.stages)[:-1]  # type: ignore[arg-type]
        self.trunk = nn.Sequential(*stem, *early)  # type: ignore[arg-type]
        self.branches = nn.ModuleList(
            nn.ModuleDict({"stage": list(one.stages)[-1], "pool": one.pool, "fc": one.fc})  # type: ignore[arg-type, dict-item]
            for one in networks
        )
        # What methods tap of all branches at once: [B, M, D] and [B, M, K].
        self.features, self.logits = nn.Identity(), nn.Identity()
        start = len(stem)
        self.taps = {f"stage{number + 1}": f"trunk.{start + number}" for number in range(len(early))}
        self.taps |= {"shared": "trunk", "branch_features": "features", "branch_logits": "logits"}
        self.taps |= {"penultimate": "branches.0.pool", "logits": "branches.0.fc"}

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits [B, K] of the first branch, of images [B, C, H, W]."""
        shared = self.trunk(images)
        vectors = [branch["pool"](branch["stage"](shared)) for branch in self.branches]  # type: ignore[index]
        logits = [branch["fc"](vector) for branch, vector in zip(self.branches, vectors, strict=True)]  # type: ignore[index]
        self.features(torch.stack(vectors, 1))
        self.logits(torch.stack(logits, 1))
        # Not out of the stack: an exported network keeps the first branch alone.
        first: Tensor = logits[0]
        return first

    def branch(self, number: int) -> nn.Sequential:
        """Returns the network of one branch, which shares its weights.

        Args:
            number: from 0.

        Raises:
            InputError: there are not so many.
        """
        if not 0 <= number < len(self.branches):
            raise InputError(f"number must be that of a branch, from 0 to {len(self.branches) - 1}, got {number}")
        parts = self.branches[number]
        return nn.Sequential(self.trunk, parts["stage"], parts["pool"], parts["fc"])  # type: ignore[index]


@MODELS.add("branched")
def branched(
    num_classes: int,
    channels: int = 3,
    size: tuple[int, int] = (32, 32),
    base: str = "resnet20",
    branches: int = 3,
    arguments: Mapping[str, Any] | None = None,
) -> Branched:
    """Branches of a base network, such as ``resnet20``, from its last stage on.

    Args:
        num_classes: K.
        channels: C of the images.
        size: (H, W) of the images.
        base: a registered network of stages.
        branches: M, at least 2.
        arguments: of the base.

    Raises:
        InputError: the base is unknown, or has no stages to branch from.
    """
    if base not in MODELS or base == "branched":
        raise InputError(f"base must be a registered network, got {base!r}{near(base, MODELS)}")
    if isinstance(branches, bool) or not isinstance(branches, int) or branches < 2:
        raise InputError(f"branches must be a whole number of at least 2, got {branches!r}")
    own = dict(arguments or {})
    if "size" in MODELS[base].__annotations__:
        own.setdefault("size", size)
    return Branched([MODELS[base](num_classes, channels, **own) for _ in range(branches)])
