"""Memory that is freed: kept for the next tensors, given back when asked, and left alone where the user has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the setting is of glibc")

# The system clears a page at its first use: what is counted is such pages, while 64 MB are taken, filled and freed.
_PROGRAM = """
import resource, sys
from rolewise.freed_memory import give_back_freed_memory, keep_freed_memory

def cleared():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

made = sys.argv[1] == "keep" and keep_freed_memory()
cleared()
kept = [cleared() for _ in range(4)]
give_back_freed_memory()
print(made, max(kept), min(kept), cleared())
"""


def _counted(mode: str, **own: str) -> tuple[bool, int, int, int]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, mode], env={**clean, **own}, capture_output=True, text=True, check=True
    )
    made, most, least, afterwards = ran.stdout.split()
    return made == "True", int(most), int(least), int(afterwards)


def test_large_pieces_are_taken_again_without_new_pages_until_they_are_given_back() -> None:
    made, most, _, afterwards = _counted("keep")
    if not made:
        pytest.skip("another library than glibc")
    assert most < 100 and afterwards > 10_000
    assert _counted("leave")[2] > 10_000


@pytest.mark.parametrize("own", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}])
def test_what_the_user_set_stays(own: dict[str, str]) -> None:
    made, _, least, _ = _counted("keep", **own)
    assert not made and least > 10_000
