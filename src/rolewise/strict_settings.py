"""The base of settings that a config holds and that the code takes: strict, unchanging, with faults in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rolewise.errors import InputError, dotted
from rolewise.setting_messages import messages_of

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from typing_extensions import Self
else:
    ModelMetaclass = type(BaseModel)


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
            found = messages_of(error, given, kind, cls.__name__)
            path, rule = next(iter(found.items()))
            text = "; ".join(_sentence(dotted(steps), message) for steps, message in found.items())
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


def _sentence(name: str, message: str) -> str:
    """Returns a rule behind its setting's name; what is no rule of it stands behind a colon."""
    return f"{name}{' ' if message.startswith('must ') else ': '}{message}" if name else message


def _replaced(current: Any, steps: Sequence[str | int], value: Any) -> Any:
    if isinstance(current, Section):
        return current.changed_at(steps, value)
    place, *rest = steps
    if not isinstance(current, tuple) or not isinstance(place, int) or place >= len(current):
        raise InputError.at(steps, "must be a setting, got none at this place")
    inner = _replaced(current[place], rest, value) if rest else value
    return (*current[:place], inner, *current[place + 1 :])
