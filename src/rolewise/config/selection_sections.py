"""Parts of a network that are trained in a way of their own, or not at all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from rolewise.config.section import Section, UpToThousand


class SelectionSection(Section):
    """Parts of the network: by path, by class of module, or by role."""

    match: Annotated[str, Field(min_length=1)] = "*"
    module: Annotated[str, Field(min_length=1)] | None = None


class GroupSection(SelectionSection):
    """Parameters with a learning rate or weight decay of their own."""

    role: Annotated[str, Field(min_length=1)] = "student"
    learning_rate: UpToThousand | None = None
    weight_decay: Annotated[float, Field(ge=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _sets_something(self) -> GroupSection:
        if self.learning_rate is None and self.weight_decay is None:
            raise ValueError("must have a learning_rate or a weight_decay, got neither; add one")
        return self


class FreezeSection(SelectionSection):
    """Parts that are not trained."""

    eval: bool = False
