"""A value worked by hand, as every method has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Worked:
    """A value worked by hand."""

    student: Any
    teacher: Any
    losses: list[float]
    settings: dict[str, Any] = field(default_factory=dict)
    #: Classes [B], shares [B, K], masks [B, H, W] or boxes [B, M, 4], where the loss gets targets.
    labels: Any = None
    #: Of the learned part that the loss gets; weights that are not here are zero.
    weights: dict[str, Any] = field(default_factory=dict)
