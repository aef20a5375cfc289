"""The cost of searching, beside training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rolewise.report.run_data import RunData


@dataclass
class _Row:
    """The stages of one kind, over all seeds."""

    members: str = ""
    intervals: str = ""
    images: int = 0
    seconds: float = 0.0
    seeds: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


def costs_table(data: RunData) -> list[dict[str, str]]:
    """Returns a row for each search, then the trainings of teachers and of arms, and all together, for one seed."""
    images = (data.results or {}).get("costs", {})
    times: dict[str, Any] = (data.timing or {}).get("stages", {})
    rows: dict[str, _Row] = {}
    for name, number in images.items():
        seed, what = name.split("/", 1)
        row = rows.setdefault(_kind(what), _Row())
        lineage = data.lineages.get(name)
        if lineage is not None:
            row.members, row.intervals = (f"{lineage[key]:,}" for key in ("members", "intervals"))
        row.images, row.seconds = row.images + number, row.seconds + times.get(name, 0.0)
        row.seeds.add(seed)
        row.names.add(what)
    first = ("search: teacher", "search", "teachers", "arms")
    ordered = sorted(
        rows.items(), key=lambda pair: next(place for place, kind in enumerate(first) if pair[0].startswith(kind))
    )
    total = _Row("", "", sum(row.images for row in rows.values()), sum(row.seconds for row in rows.values()))
    total.seeds = {seed for row in rows.values() for seed in row.seeds}
    cells = [_cells(_named(kind, row), row, total.images, bool(times)) for kind, row in ordered]
    return [*cells, _cells("all", total, total.images, bool(times))] if cells else []


def _kind(what: str) -> str:
    if what.endswith("-search"):
        return f"search: {what.removesuffix('-search')}"
    return "teachers" if what.startswith("teacher-") else "arms"


def _named(kind: str, row: _Row) -> str:
    """Returns a row's heading; of trainings with how many there are for a seed."""
    if kind.startswith("search"):
        return kind
    count = len(row.names)
    return f"training: {count} {kind if count != 1 else kind.removesuffix('s')}"


def _cells(what: str, row: _Row, total: int, timed: bool) -> dict[str, str]:
    seeds = max(1, len(row.seeds))
    return {
        "what": what,
        "members": row.members,
        "intervals": row.intervals,
        "images": f"{row.images / seeds:,.0f}",
        "share": f"{row.images / total:.1%}" if total else "",
        "seconds": f"{row.seconds / seeds:,.1f}" if timed else "",
    }
