"""The sections of weights that were trained elsewhere: their file, and the classes of the teacher in it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from rolewise.config.section import Section


def with_tuples(value: Any) -> Any:
    """Returns a section's values with their lists as tuples: behind a validator, JSON has none any more.

    Args:
        value: the section's values, or something else, which is returned as it is.
    """
    if not isinstance(value, dict):
        return value
    return {key: tuple(inner) if isinstance(inner, list) else inner for key, inner in value.items()}


class WeightsSection(Section):
    """A file of weights, and what of it goes where in the network.

    Args:
        file: ``.safetensors`` or a file of ``torch.save``, sharded or not; ``RUN#STAGE`` of another run; or
            ``pretrained`` for a model of another library. It may stand alone in place of the section.
        rename: names in the network by names in the file, with ``*`` for any characters.
        leave_out: names in the network, as patterns, that keep their initial weights. The key is ``except``.
        key: dotted key of the weights in a checkpoint that holds several networks, such as ``ema``.
    """

    model_config = ConfigDict(populate_by_name=True)

    file: str
    rename: dict[str, str] = {}
    # A word of Python's own: in a config it is `except`.
    leave_out: tuple[str, ...] = Field(default=(), alias="except")
    key: str | None = None

    @model_serializer(mode="wrap")
    def _as_in_a_config(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"except" if name == "leave_out" else name: value for name, value in values(self).items()}


def _form(value: object) -> str:
    return "section" if isinstance(value, (dict, WeightsSection)) else "path"


#: A file of weights, or one with what of it goes where. By its form alone, so that a fault is of one of them.
Weights = Annotated[Annotated[str, Tag("path")] | Annotated[WeightsSection, Tag("section")], Discriminator(_form)]


#: The number of a class among a network's outputs.
ClassNumber = Annotated[int, Field(ge=0, le=10**7)]


class LabelMapSection(Section):
    """The classes of a teacher that stand for the data's: their numbers, or a JSON file of them.

    ``to`` is a list in the order of the data's classes, or a mapping from their names.

    Args:
        to: numbers of the teacher's classes: a list in the order of the data's classes, a mapping from their names, or
            a JSON file of either. It may stand alone in place of the section.
        classes: number of the teacher's outputs; None where the model knows it.
    """

    to: tuple[ClassNumber, ...] | dict[str, ClassNumber] | str
    classes: Annotated[int, Field(ge=2, le=10**7)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_classes_alone(cls, value: Any) -> Any:
        whole = isinstance(value, LabelMapSection) or (isinstance(value, dict) and "to" in value)
        return with_tuples(value if whole else {"to": value})
