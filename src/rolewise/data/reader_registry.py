"""The registry of readers, and what one gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rolewise.data.image_sources import Source
from rolewise.registry import Registry


@dataclass(frozen=True)
class RawData:
    """A data set as its community divides it.

    Args:
        train: the training images.
        test: the official test images, or None where there are none.
        name: the registered name, or ``package.module:function``.
    """

    train: Source
    test: Source | None
    name: str


#: Functions ``(root, download, memory_budget_mb, **arguments) -> (train, test)``; arguments are typed by a
#: `rolewise.data.arguments.Rule` in their annotation.
READERS: Registry[Callable[..., tuple[Source, Source | None]]] = Registry("data set")
