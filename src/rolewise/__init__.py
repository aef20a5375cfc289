"""Rolewise: knowledge distillation in which teacher and student each get their own learned data augmentation."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from rolewise.callable_rooms import make_callable

if TYPE_CHECKING:
    from rolewise.advice import advise
    from rolewise.augment import Plan, Policy, Schedule, apply
    from rolewise.batch import Batch, Context, Outputs, Rows
    from rolewise.config import ExperimentConfig
    from rolewise.deploy import export_network, predict_pictures
    from rolewise.distill import Distiller, Method, Shapes, StoredTeacher, Term, Terms, average_of, configure
    from rolewise.distill.signatures import *  # noqa: F403
    from rolewise.errors import InputError, Interrupted, NonFiniteError, RolewiseError, RunError
    from rolewise.experiment import load, run
    from rolewise.inputs import InputSpec
    from rolewise.report import write_report
    from rolewise.search import SearchResult, search
    from rolewise.taps import tap
    from rolewise.tasks import Classification, Detection, MultiLabel, Regression, Segmentation
    from rolewise.train import Distilled, Trainee, distill, evaluate, fit

__version__ = "0.1.0"

_WHERE = {
    "advice": ("advise",),
    "augment": ("Plan", "Policy", "Schedule", "apply"),
    "batch": ("Batch", "Context", "Outputs", "Rows"),
    "config": ("ExperimentConfig",),
    "deploy": ("export_network", "predict_pictures"),
    "distill": ("Distiller", "Method", "Shapes", "StoredTeacher", "Term", "Terms", "average_of", "configure"),
    "errors": ("InputError", "Interrupted", "NonFiniteError", "RolewiseError", "RunError"),
    "experiment": ("load", "run"),
    "inputs": ("InputSpec",),
    "report": ("write_report",),
    "search": ("SearchResult", "search"),
    "tasks": ("Classification", "Detection", "MultiLabel", "Regression", "Segmentation"),
    "taps": ("tap",),
    "train": ("Distilled", "Trainee", "evaluate", "fit"),
}
# Rooms that are functions too. Each stays a room: rolewise.distill.Distiller, and rolewise.distill(teacher, ...).
_CALLED = {"distill": "rolewise.train:distill", "search": "rolewise.search.search_call:search"}
_ROOM = {name: room for room, names in _WHERE.items() for name in names}

__all__ = [
    "Batch",
    "Classification",
    "Context",
    "Detection",
    "Distilled",
    "Distiller",
    "ExperimentConfig",
    "InputError",
    "InputSpec",
    "Interrupted",
    "Method",
    "MultiLabel",
    "NonFiniteError",
    "Outputs",
    "Plan",
    "Policy",
    "Regression",
    "RolewiseError",
    "Rows",
    "RunError",
    "Schedule",
    "SearchResult",
    "Segmentation",
    "Shapes",
    "StoredTeacher",
    "Term",
    "Terms",
    "Trainee",
    "advise",
    "apply",
    "average_of",
    "configure",
    "distill",
    "evaluate",
    "export_network",
    "fit",
    "load",
    "predict_pictures",
    "run",
    "search",
    "tap",
    "write_report",
]


make_callable(__name__, _CALLED)


def __getattr__(name: str) -> Any:
    """Imports a name at its first use, so that ``import rolewise`` and ``rolewise --help`` are quick."""
    if name in _CALLED:
        return importlib.import_module(f"rolewise.{name}")
    if name in _ROOM:
        return getattr(importlib.import_module(f"rolewise.{_ROOM[name]}"), name)
    if not name.startswith("_"):
        # Every distillation method is a function here, and every combination of some: rolewise.kd(temperature=4).
        distill = importlib.import_module("rolewise.distill")
        if name in distill.METHODS or name in distill.COMBINATIONS:
            return getattr(distill, name)
        # rolewise.augment.Triple needs no import of its own.
        if importlib.util.find_spec(f"{__name__}.{name}") is not None:
            return importlib.import_module(f"{__name__}.{name}")
        absent = importlib.import_module("rolewise.distill.absent")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{absent.elsewhere(name, distill.METHODS)}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns all that is public: the names above, a function for each method and combination, and imported rooms."""
    distill = importlib.import_module("rolewise.distill")
    rooms = (name for name, value in globals().items() if getattr(value, "__name__", "") == f"{__name__}.{name}")
    return sorted({*rooms, *__all__, *distill.METHODS, *distill.COMBINATIONS, "__version__"})
