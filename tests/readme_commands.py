"""Runs every command of the README's bash blocks in a folder of its own; stops at the first that fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines() if line.strip()]
    if not commands:
        sys.exit("the README must have commands in bash blocks, got none")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "configs", Path(folder) / "configs")
        for command in commands:
            print(f"$ {command}", flush=True)
            subprocess.run(command, shell=True, check=True, cwd=folder, env={**os.environ, "PATH": path})
    print(f"{len(commands)} commands of the README ran")


if __name__ == "__main__":
    main()
