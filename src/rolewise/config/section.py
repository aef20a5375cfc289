"""The base of every section of a config: strictness, and the kinds of numbers and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rolewise.errors import InputError, dotted
from rolewise.seeds import LARGEST_SEED
from rolewise.spans import RULE, is_span

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from typing_extensions import Self
else:
    ModelMetaclass = type(BaseModel)

#: What is smaller counts as nothing in single precision, and is a slip.
_TINY = 1e-12


def _not_tiny(value: float) -> float:
    if value < _TINY:
        raise ValueError(f"must be at least {_TINY:g}, got {value:g}")
    return value


def _moment(value: object) -> object:
    if not is_span(value):
        raise ValueError(f"must be {RULE}, got {value!r}")
    return value


# Numbers at the edge of their type mean nothing, or run into it where they are multiplied: every kind has its end.
Fraction = Annotated[float, Field(ge=0, le=1)]
#: A moment or a length of training.
Moment = Annotated[float | str, BeforeValidator(_moment)]
Positive = Annotated[float, Field(gt=0, le=10**9), AfterValidator(_not_tiny)]
NotNegative = Annotated[float, Field(ge=0, le=10**9)]
UpToThousand = Annotated[float, Field(gt=0, le=1000), AfterValidator(_not_tiny)]
#: How many images: more than there are of them counts as all.
Count = Annotated[int, Field(ge=1, le=10**9)]
#: How many of what takes time or memory for each.
Times = Annotated[int, Field(ge=1, le=10**6)]
Several = Annotated[int, Field(ge=2, le=10_000)]
Side = Annotated[int, Field(ge=1, le=8192)]
#: Processes, 0 for as many as the machine takes; and threads of each.
Workers = Annotated[int, Field(ge=0, le=1024)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]


class _SectionType(ModelMetaclass):
    """Lets sections be made in Python as other settings are: by position too, and with an InputError for a fault."""

    def __call__(cls, *values: Any, **settings: Any) -> Any:
        kind: type[BaseModel] = cls  # type: ignore[assignment]
        names = list(kind.model_fields)
        twice = set(names[: len(values)]) & settings.keys()
        if len(values) > len(names) or twice:
            what = f"{', '.join(sorted(twice))} twice" if twice else f"{len(values)} values"
            raise TypeError(f"{cls.__name__} has the settings {', '.join(names)}, got {what}")
        given = {**dict(zip(names, values, strict=False)), **settings}
        try:
            return super().__call__(**given)
        except ValidationError as error:
            from rolewise.config.messages import messages_of

            found = messages_of(error, given, kind, cls.__name__)
            path, rule = next(iter(found.items()))
            text = "; ".join(f"{dotted(steps)} {message}".strip() for steps, message in found.items())
            raise InputError(text, path=path, rule=rule) from error


class Section(BaseModel, metaclass=_SectionType):
    """Base of every section: unknown keys are faults, and a section does not change once it is made.

    Raises:
        InputError: a setting is unknown or wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    def changed(self, **settings: Any) -> Self:
        """Returns the same with other settings.

        Args:
            settings: new values by name.

        Raises:
            InputError: a setting is unknown or wrong.
        """
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **settings})

    def changed_at(self, steps: Sequence[str | int], value: Any) -> Self:
        """Returns the same with one other setting, however deep it is.

        Args:
            steps: the way to it, such as ("optimizer", "weight_decay"), through sections and lists.
            value: new value.

        Raises:
            InputError: there is no such setting, or the value is wrong.
        """
        name, *rest = steps
        if rest:
            value = _replaced(getattr(self, str(name), None), rest, value)
        return self.changed(**{str(name): value})


def _replaced(current: Any, steps: Sequence[str | int], value: Any) -> Any:
    if isinstance(current, Section):
        return current.changed_at(steps, value)
    place, *rest = steps
    if not isinstance(current, tuple) or not isinstance(place, int) or place >= len(current):
        raise InputError.at(steps, "must be a setting, got none at this place")
    inner = _replaced(current[place], rest, value) if rest else value
    return (*current[:place], inner, *current[place + 1 :])
