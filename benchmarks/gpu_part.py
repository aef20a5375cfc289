"""Measures one part of what a GPU is needed for, and writes its figures; `benchmarks/gpu.py` runs all of them.

python benchmarks/gpu_part.py --part operations --device cuda --json FILE [--quick]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from gpu_pieces import agreement, one_device

from rolewise.files import write_json

PARTS = {**agreement.PARTS, **one_device.PARTS}


def main() -> None:
    """Writes the figures of one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--device", type=torch.device, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="few images and rounds, one epoch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = PARTS[given.part](given.device, given.quick)
    for name, value in found.items():
        print(name, value)
    write_json(given.json, {"part": given.part, "device": str(given.device), "figures": found})


if __name__ == "__main__":
    main()
