"""The command line of a script that measures one of several parts and writes its figures."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rolewise.files import write_json

#: Measures on a device, and in few rounds where that is asked for.
Part = Callable[[torch.device, bool], dict[str, Any]]


def measure_part(parts: Mapping[str, Part], description: str | None, quick: str) -> None:
    """Measures the part that the command line names, prints its figures and writes them.

    Args:
        parts: by name.
        description: of the script.
        quick: what ``--quick`` does, in words.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=parts, required=True)
    parser.add_argument("--device", type=torch.device, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help=quick)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = parts[given.part](given.device, given.quick)
    for name, value in found.items():
        print(name, value)
    write_json(given.json, {"part": given.part, "device": str(given.device), "figures": found})
