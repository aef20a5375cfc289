"""Parts of a network that are trained in a way of their own, or not at all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from rolewise.config.section import Section, UpToThousand


class Selection(Section):
    """Parts of the networks that are trained.

    Args:
        match: the path of a parameter or module within its network, with ``*`` and ``?``; all below a module that
            matches is chosen too.
        module: the class of a module, or of one that it derives from, such as ``BatchNorm2d``; all within such
            modules. None for any.
        role: ``student`` (all of them), one student's role, or ``terms`` (learned parts of terms, whose paths begin
            with the term's name).
    """

    match: Annotated[str, Field(min_length=1)] = "*"
    module: Annotated[str, Field(min_length=1)] | None = None
    role: Annotated[str, Field(min_length=1)] = "student"

    def __str__(self) -> str:
        given = {"match": self.match, "module": self.module, "role": self.role}
        return ", ".join(f"{name}: {value}" for name, value in given.items() if value is not None)


class GroupSettings(Selection):
    """Parameters with a learning rate or weight decay of their own.

    Args:
        learning_rate: in place of the optimiser's; it follows the same schedule, and a searched rate moves it in
            proportion. None for the optimiser's.
        weight_decay: in place of the optimiser's; None for the optimiser's.
    """

    learning_rate: UpToThousand | None = None
    weight_decay: Annotated[float, Field(ge=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _sets_something(self) -> GroupSettings:
        if self.learning_rate is None and self.weight_decay is None:
            raise ValueError("must have a learning_rate or a weight_decay, got neither; add one")
        return self


class FreezeSettings(Selection):
    """Parts whose parameters are not trained.

    Args:
        eval: whether these modules stay in eval mode while the rest trains: norms normalise by their statistics, which
            do not move, and dropout is off. Without it norms use and follow each batch's statistics, frozen or not.
    """

    eval: bool = False
