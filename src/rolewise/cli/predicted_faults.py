"""The end of the command predict where pictures or texts have faults: they are named, and the exit code is 1."""

from __future__ import annotations

from collections.abc import Sequence

from rolewise.errors import RunError
from rolewise.words import counted

_LISTED = 20


def report_faults(faults: Sequence[str], number: int, what: str) -> None:
    """Raises where there are faults, after all others were predicted for.

    Args:
        faults: for each, which one it is and why.
        number: of all that were given.
        what: name of one: ``picture`` or ``text``.

    Raises:
        RunError: there are faults; the first of them are listed.
    """
    if not faults:
        return
    listed = "\n".join(f"  {one}" for one in faults[:_LISTED])
    more = f"\n  and {len(faults) - _LISTED:,} more" if len(faults) > _LISTED else ""
    raise RunError(f"{counted(len(faults), what)} of {number:,} cannot be read:\n{listed}{more}")
