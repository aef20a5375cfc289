"""Everything that is worth measuring on a GPU, in pieces that go on from what stands in the folder of results.

    python benchmarks/gpu.py --wheels DIR --data DIR [--minutes 9] [--pieces agreement,pair] [--list]
    python benchmarks/gpu.py --device cpu --miniature

A GPU is had rarely and for a short time. Each call works for so many minutes at most, in the order of worth, and stops
its step as Ctrl-C would, so that the next call goes on with it. Killed at any moment, nothing that was done is lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from gpu_pieces import packages, place, plan, progress, running
from gpu_pieces.plan import Piece, Setting, Step
from gpu_pieces.running import GRACE, Records

#: Of a call's minutes, kept for a training to write its checkpoint and for the record.
_RESERVE = GRACE + 5


def main() -> None:
    """Runs what is left, until it is done or the time is over; exits with 1 where a step failed."""
    began = time.monotonic()
    given = _arguments()
    place.use(given.site)
    if given.wheels is not None:
        new = packages.install(given.wheels, given.site)
        print(f"installed into {given.site}: {', '.join(new) or 'nothing that was not there'}")
    packages.check(given.site)
    if given.commit:
        os.environ["ROLEWISE_COMMIT"] = given.commit
    if not given.list:
        place.check_device(given.device)
        place.check_commit(given.miniature)
    place.bind(given.out, given.miniature)
    if given.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a config's device is the GPU where there is one
    chosen = _chosen(given)
    data = place.miniature_data(given.out / "data") if given.miniature and given.data is None else given.data
    if not given.list and any(piece.reads_data for piece in chosen):
        os.environ["ROLEWISE_DATA"] = str(place.data_folder(data))
    if not given.list:
        about = {**place.about(given.device), "miniature": given.miniature}
        failed = _run(chosen, given.out, about, began + 60 * given.minutes - _RESERVE)
    minutes = _show(chosen, given.out)
    if given.list:
        print(f"about {minutes:.0f} minutes are left" if minutes else "nothing is left")
        return
    for name in failed:
        print(f"failed: {name}; see {given.out / name.replace(':', os.sep)}.log")
    print("nothing is left" if not minutes else f"about {minutes:.0f} minutes are left; the same command goes on")
    if failed:
        raise SystemExit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="of this call, at most (default: 9)")
    parser.add_argument("--pieces", default="", help="names of pieces, with commas between; all by default")
    parser.add_argument("--data", type=Path, help="the folder over cifar-100-python; ROLEWISE_DATA by default")
    parser.add_argument("--out", type=Path, help="of the results (default: benchmarks/results/gpu)")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels of what is not installed; no network is used")
    parser.add_argument(
        "--site", type=Path, default=place.ROOT / "build" / "gpu-site", help="where wheels are installed"
    )
    parser.add_argument("--commit", help="of the source, where it is a copy without its repository")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--miniature", action="store_true", help="the same code on tiny cases; the figures mean nothing"
    )
    parser.add_argument("--list", action="store_true", help="say what is left, and run nothing")
    given = parser.parse_args()
    if not 0.5 <= given.minutes <= 24 * 60:
        parser.error(f"--minutes must be 0.5 to 1440, got {given.minutes}")
    usual = place.ROOT / ("runs/gpu_miniature" if given.miniature else "benchmarks/results/gpu")
    given.out = (given.out or usual).resolve()
    given.site = given.site.resolve()
    return given


def _chosen(given: argparse.Namespace) -> list[Piece]:
    every = {piece.name: piece for piece in plan.pieces(Setting(given.out, given.device, given.miniature))}
    names = [name for name in given.pieces.split(",") if name] or list(every)
    for name in names:
        if name not in every:
            raise SystemExit(f"--pieces must be of {', '.join(every)}, got {name!r}")
    return [every[name] for name in names]


def _run(pieces: list[Piece], out: Path, about: dict[str, object], deadline: float) -> list[str]:
    """Runs steps until the deadline and returns those that failed, with which a piece ends whose steps follow on."""
    failed: list[str] = []
    for piece, step, records in _steps(pieces, out):
        ended = not piece.apart and any(name.startswith(f"{piece.name}:") for name in failed)
        if ended or records.result(step.name).is_file():
            continue
        if deadline - time.monotonic() < 60 * step.least:
            print(f"{piece.name}: {step.name} waits for a call with {step.least} minutes left", flush=True)
            continue
        print(f"{piece.name}: {step.name} ...", flush=True)
        how = running.run_part(step, records, about, deadline)
        print(f"{piece.name}: {step.name} {how} after {records.spent(step.name):.0f} s in all", flush=True)
        if how == "failed":
            failed.append(f"{piece.name}:{step.name}")
            print("\n".join((records.folder / f"{step.name}.log").read_text(errors="replace").splitlines()[-8:]))
    return failed


def _steps(pieces: list[Piece], out: Path) -> list[tuple[Piece, Step, Records]]:
    found = []
    for piece in pieces:
        records = Records(out / piece.name)
        records.folder.mkdir(parents=True, exist_ok=True)
        found += [(piece, step, records) for step in piece.steps]
    return found


def _show(pieces: list[Piece], out: Path) -> float:
    """Prints what is left, and returns its minutes."""
    total = 0.0
    for piece, step, records in _steps(pieces, out):
        minutes, known = progress.left(step, records)
        total += minutes
        first = step is piece.steps[0]
        print(f"{piece.name if first else '':<10} {step.name:<15} {minutes:7.1f} min left   {known}", file=sys.stdout)
    return total


if __name__ == "__main__":
    main()
