"""A registry maps a name to the function that has it; an unknown name lists the near ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from rolewise.errors import InputError, near
from rolewise.foreign_code import import_object, is_import_path

T = TypeVar("T")


class Registry(Generic[T]):
    """Named entries of one kind.

    Where ``adopt`` is given, an import path ``package.module:name`` is a name too: what it names is imported at each
    look-up, and ``adopt`` makes an entry of it. Such entries are not among those that the registry lists.

    Args:
        kind: the name of an entry's kind in errors, such as ``"model"``.
        adopt: makes an entry out of an import path and of the object there; raises InputError where it cannot.
    """

    def __init__(self, kind: str, adopt: Callable[[str, Any], T] | None = None) -> None:
        self.kind = kind
        self._adopt = adopt
        self._entries: dict[str, T] = {}

    def add(self, name: str, *, again: bool = False) -> Callable[[T], T]:
        """Returns a decorator that registers an entry under ``name``.

        Args:
            name: the entry's.
            again: whether it takes the place of one of that name.

        Raises:
            InputError: the name is taken.
        """

        def register(entry: T) -> T:
            if name in self._entries and not again:
                raise InputError(f"{self.kind} {name!r} is registered already; choose another name")
            self._entries[name] = entry
            return entry

        return register

    def __getitem__(self, name: str) -> T:
        if self._adopt is not None and is_import_path(name):
            return self._adopt(name, import_object(name, self.kind.replace(" ", "_")))
        if name not in self._entries:
            raise InputError(f"no {self.kind} is called {name!r}{near(name, self._entries)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or (self._adopt is not None and is_import_path(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
