"""Figures that are laid out and written without their marks: most of a page's time goes into drawing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def unrendered(write: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a stand-in for `Figure.savefig` that writes an empty SVG of the figure's size, and all else as it is.

    Args:
        write: the method that it stands for.
    """

    def empty(figure: Any, place: Any, **settings: Any) -> Any:
        if settings.get("format") != "svg":
            return write(figure, place, **settings)
        width, height = 72 * figure.get_size_inches()
        place.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"/>')
        return None

    return empty
