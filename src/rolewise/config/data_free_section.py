"""The section of a student that learns on made images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from rolewise.config.section import Count, Positive, Section


class DataFreeSection(Section):
    """The making of the images that a student sees under distillation; where nothing is distilled it has its own.

    Args:
        method: maker of the images: a generator that is trained beside the student by DAFL's or ZSKT's loss, or
            FastDFKD's pool of images.
        steps: batches of one epoch.
        every: steps of the student for each of the generator, or for each round of images; None for the 1, 10 and 400
            of the methods' authors.
        noise: numbers that an image is made of.
        width: channels within the generator.
        learning_rate: of the generator's optimiser, Adam.
        settings: settings of the method, such as ``one_hot`` of DAFL or ``inner_steps`` of FastDFKD; what is left out
            has its default.
    """

    method: Literal["dafl", "zskt", "fast_dfkd"]
    steps: Count = 100
    every: Count | None = None
    noise: Count = 100
    width: Annotated[int, Field(ge=2, le=10**4)] = 64
    learning_rate: Positive = 0.001
    settings: dict[str, Any] = {}
