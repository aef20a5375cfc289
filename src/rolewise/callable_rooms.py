"""Rooms of the package that are functions too: ``rolewise.distill`` holds the methods, and calling it distils."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any


class Room(ModuleType):
    """A module that is called like a function, which is imported at the first call."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Calls the function."""
        return self._function()(*arguments, **named)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's, for ``help`` and editors at run time."""
        return inspect.signature(self._function())

    def _function(self) -> Any:
        package, _, name = self.__name__.partition(".")
        module, _, function = _CALLS[package][name].partition(":")
        return getattr(importlib.import_module(module), function)


class _Package(ModuleType):
    """A package whose rooms become callable as they are imported: the import sets them as attributes here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLS[self.__name__] and type(value) is ModuleType:
            value.__class__ = Room
        super().__setattr__(name, value)


_CALLS: dict[str, Mapping[str, str]] = {}


def make_callable(package: str, calls: Mapping[str, str]) -> None:
    """Makes rooms of a package callable, now or as they are imported.

    Args:
        package: its name.
        calls: room -> ``module:function``.
    """
    _CALLS[package] = dict(calls)
    sys.modules[package].__class__ = _Package
