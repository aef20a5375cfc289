"""Minutes that each system takes on two cores: of finished runs by the clock, or of one seed by the processor.

Of a run the time of its commands is counted: from its beginning to the last piece before the last command, and the last
command. Other work on the machine makes it longer. Of a system every piece of its first seed is done here, with the
settings of its committed results, and timed by the processor time of this process; all seeds' pieces are then given to
two workers, each to the one that is free first.

python benchmarks/system_minutes.py RUN... [--seed-of NAME...] [--json benchmarks/results/system_minutes.json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rolewise.files import write_json
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS

RESULTS = Path(__file__).resolve().parent / "results" / "systems"


def run_minutes(root: Path) -> tuple[str, dict[str, Any]]:
    """Returns a finished run's system, and its seeds and minutes by the clock."""
    result, state = (json.loads((root / name).read_text(encoding="utf-8")) for name in ("results.json", "state.json"))
    since, ended = (
        datetime.datetime.strptime(state[key], "%Y-%m-%d %H:%M:%S %z").timestamp() for key in ("since", "ended")
    )
    begun = (root / "system.json").stat().st_mtime
    before = [at for one in (root / "pieces").glob("*.json") if (at := one.stat().st_mtime) < since]
    seconds = ended - since + max(0.0, max(before, default=begun) - begun)
    return result["system"], _entry(result["settings"], seconds, "clock")


def seed_minutes(name: str) -> dict[str, Any]:
    """Returns a system's seeds, and minutes by the processor's time of one of them."""
    system = SYSTEMS[name]
    plain = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["settings"]
    settings, taken = system.settings(**plain), {}
    pieces = system.pieces(settings)
    context = JobContext(lambda line: None, lambda: False)
    for piece in pieces:
        if piece.seed == pieces[0].seed:
            start = time.process_time()
            system.train(piece, settings, context)
            taken[tuple(piece.levels.values())] = time.process_time() - start
    seconds = shared_seconds([taken[tuple(piece.levels.values())] for piece in pieces])
    return _entry(plain, seconds, "processor")


def shared_seconds(pieces: Sequence[float], workers: int = 2) -> float:
    """Returns the seconds until workers have done all pieces, each of which the worker begins that is free first."""
    busy = [0.0] * workers
    for seconds in pieces:
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def _entry(settings: Mapping[str, Any], seconds: float, by: str) -> dict[str, Any]:
    return {"seeds": len(settings["seeds"]), "minutes": round(seconds / 60, 1), "by": by}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--seed-of", nargs="+", default=[], choices=list(SYSTEMS))
    parser.add_argument("--json", type=Path, help="file of figures; those of other systems stay")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(given.json.read_text(encoding="utf-8")) if given.json and given.json.exists() else {}
    made = [run_minutes(root) for root in given.runs]
    for name, entry in (*made, *((name, seed_minutes(name)) for name in given.seed_of)):
        print(f"{name}: {entry['seeds']} seeds in {entry['minutes']} min by the {entry['by']}", flush=True)
        found[name] = entry
        if given.json:
            write_json(given.json, dict(sorted(found.items())))
