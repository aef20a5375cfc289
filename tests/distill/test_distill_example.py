"""The example of one's own loop does what it says: the teacher helps the student."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_loop.py"


@pytest.mark.slow
def test_a_loop_of_ones_own_distils() -> None:
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    teacher, alone, distilled = (float(number) for number in re.findall(r"([\d.]+)%", done.stdout))
    assert alone + 1 < distilled < teacher
