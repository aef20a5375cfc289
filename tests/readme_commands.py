"""Runs what the README shows: each line of its bash blocks, each python block, in a folder with the configs alone.

`make` lines are run by .ci/run itself, in the clone; here it is only checked that it does. A python block finds what
the README leaves to the reader: a teacher, a student, a loader and an optimizer. Stops at the first fault.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What a python block may take for granted.
PRELUDE = """
import torch
from torch import nn
generator = torch.Generator().manual_seed(0)
teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
student = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
loader = [
    (torch.rand(8, 1, 8, 8, generator=generator), torch.randint(0, 10, (8,), generator=generator)) for _ in range(3)
]
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
"""


def blocks(text: str, language: str) -> list[str]:
    """Gives the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def commands(text: str) -> list[str]:
    """Gives the lines of the bash blocks without their comments; a line that ends in a backslash goes on."""
    joined = "".join(blocks(text, "bash")).replace("\\\n", " ")
    lines = [re.sub(r"\s+#.*|^#.*", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line]


def main() -> None:
    """Runs everything, or says what failed."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    check = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found, programs = commands(text), blocks(text, "python")
    if not found or not programs:
        sys.exit(f"the README must show commands and Python, got {len(found)} and {len(programs)} blocks")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "configs", Path(folder) / "configs")
        for command in found:
            if command.startswith("make "):
                if not re.search(rf"^{re.escape(command)}$", check, re.M):
                    sys.exit(f"{command!r} is in the README and must be in .ci/run too")
                continue
            print(f"$ {command}", flush=True)
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], check=True, cwd=folder, env=environment)
        for program in programs:
            print(f"python:\n{program}", flush=True)
            subprocess.run([sys.executable, "-W", "error", "-c", PRELUDE + program], check=True, cwd=folder)
    print(f"README: {len(found)} commands and {len(programs)} python blocks ran")


if __name__ == "__main__":
    main()
