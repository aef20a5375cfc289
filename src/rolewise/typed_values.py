"""Values against the types of a function's parameters, and the words for what a type wants."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

#: What pydantic's kinds of errors want, in words that complete "must be".
RULES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping of settings",
    "tuple_type": "a list",
    "list_type": "a list",
    "none_required": "nothing",
}


def keyword_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the types of a function's keyword-only parameters, as far as they are annotated and can be resolved.

    Args:
        function: a function or a class.
    """
    known = inspect.signature(function).parameters.values()
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except Exception:
        # Names that exist for a type checker alone: nothing is known of any of them.
        return {}
    return {one.name: hints[one.name] for one in known if one.kind is one.KEYWORD_ONLY and one.name in hints}


def written_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the types of a function's parameters as they are written, with what ``Annotated`` adds to them.

    `typing.get_type_hints` puts ``Optional`` around a type whose default is None before Python 3.11, and hides that.

    Args:
        function: a function whose annotations can be resolved.
    """
    known = inspect.signature(function, eval_str=True).parameters.values()
    return {one.name: one.annotation for one in known if one.annotation is not one.empty}


def type_fault(value: Any, kind: Any) -> str:
    """Returns the rule of a type that a value breaks; empty where it breaks none.

    Strict: text is no number, and 1 is no boolean; a list is a tuple too.

    Args:
        value: as YAML or Python gives it. A value that is neither text, number, list nor mapping is taken as it is.
        kind: the type; one of which nothing is known accepts everything.

    Returns:
        Words that complete "must be", such as ``a whole number``.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        phrases = [RULES.get(item["type"], item["msg"].removeprefix("Input should be ")) for item in error.errors()]
        return " or ".join(dict.fromkeys(phrases))
    except (TypeError, ValueError, PydanticSchemaGenerationError, PydanticUserError):
        return ""  # not of JSON, or a type that only a checker understands
    return ""


def is_number_type(kind: Any) -> bool:
    """Returns whether a type takes every number, and neither text nor a boolean.

    Args:
        kind: the type; one of which nothing is known takes everything, and is none.
    """
    return not type_fault(0.5, kind) and bool(type_fault("text", kind)) and bool(type_fault(True, kind))
