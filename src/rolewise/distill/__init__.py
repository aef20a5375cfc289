"""Distillation: methods that compose, and the Distiller that composes them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rolewise.distill.combinations import (
    COMBINATIONS,
    build_methods,
    function_matching,
    ii_kd,
    section_faults,
    section_terms,
)
from rolewise.distill.distiller import Distiller
from rolewise.distill.gradient_limit import limit_factors, limit_gradients
from rolewise.distill.logit_scale import logit_scale_of
from rolewise.distill.method import Info, Method
from rolewise.distill.method_makers import maker_of
from rolewise.distill.method_registry import METHODS, configure, discover, method, method_settings
from rolewise.distill.mixed import Pairs, isotonic, mixed_logits
from rolewise.distill.step_state import average_of
from rolewise.distill.stored_outputs import StoredTeacher
from rolewise.distill.term import Shapes, Term
from rolewise.distill.term_weights import Weight, weight_of
from rolewise.distill.terms import Terms

if TYPE_CHECKING:
    from rolewise.distill.signatures import *  # noqa: F403

discover()


def __getattr__(name: str) -> Callable[..., Method]:
    # Any registered method can be taken as rolewise.distill.<name>: adding one is adding its file.
    if name in METHODS:
        return maker_of(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *METHODS})


__all__ = [
    "COMBINATIONS",
    "METHODS",
    "Distiller",
    "Info",
    "Method",
    "Pairs",
    "Shapes",
    "StoredTeacher",
    "Term",
    "Terms",
    "Weight",
    "average_of",
    "build_methods",
    "configure",
    "function_matching",
    "ii_kd",
    "isotonic",
    "limit_factors",
    "limit_gradients",
    "logit_scale_of",
    "method",
    "method_settings",
    "mixed_logits",
    "section_faults",
    "section_terms",
    "weight_of",
]
