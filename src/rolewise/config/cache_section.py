"""The section of a teacher's cached outputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rolewise.config.section import Positive, Section


class CacheSection(Section):
    """A teacher's outputs, computed once and read from a file wherever the same ones are wanted again.

    Args:
        views: ``clean``: the outputs for the examples as they are, under ``distill.view: clean``; ``replay``: those of
            every epoch, for other trainings that draw the same examples (other methods, temperatures or weights of a
            study); or a number V of views: epoch e shows each example under the augmentation that was drawn for it in
            view e modulo V, so that the teacher runs in the first V epochs alone.
        top: number of classes whose probabilities are kept, with what is left spread evenly over the others; None for
            all outputs as they are.
        precision: type of the numbers in the file.
        limit_gb: gigabytes that the outputs of one training may take; more are refused before anything is written.
    """

    views: Literal["clean", "replay"] | Annotated[int, Field(ge=1, le=10**4)] = "clean"
    top: Annotated[int, Field(ge=1, le=10**6)] | None = None
    precision: Literal["float16", "float32"] = "float16"
    limit_gb: Positive = 20.0

    def views_over(self, epochs: int) -> int:
        """Returns the number of views that a training of some epochs shows."""
        return {"clean": 1, "replay": epochs}[self.views] if isinstance(self.views, str) else min(self.views, epochs)
