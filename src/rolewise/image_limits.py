"""The numbers of images that are used of a data set, where not all are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from rolewise.strict_settings import Section

Images = Annotated[int, Field(ge=1, le=10**9)]


class ImageLimits(Section):
    """The number of images of each part that are used, drawn by class; the others are not held in memory.

    Args:
        train: images that may be trained on; None for all that are neither validation nor test images.
        validation: images of those that ``data.validation`` sets aside; None for all of them.
        test: images of those that are tested on; None for all of them.
    """

    train: Images | None = None
    validation: Images | None = None
    test: Images | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> ImageLimits:
        if self.train is None and self.validation is None and self.test is None:
            raise ValueError("must have train, validation or test, got none of them; add one, or leave limit out")
        return self
