"""The lineage: who copied whom, when, and the schedule that the best member's ancestry makes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.files import read_json, write_json
from rolewise.search.population import ranking
from rolewise.search.space import Genome

VERSION = 1


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
        scores: [P], at the end.
        history: for each interval: ``fraction`` at its end, ``scores``, the ``genomes`` that it was trained under, and
            the ``events`` (copies) after it.
        images: how many images were trained on, where members say so.
    """

    scores: tuple[float, ...]
    history: tuple[dict[str, Any], ...] = field(default=())

    @property
    def best(self) -> int:
        """The member with the highest last score."""
        return ranking(self.scores)[0]

    def ancestry(self, member: int | None = None) -> list[int]:
        """Returns which member held the history of ``member`` (the best one) in each interval, first to last."""
        current = self.best if member is None else member
        path = []
        for interval in reversed(self.history):
            for event in interval["events"]:
                if event["target"] == current:
                    current = event["donor"]
                    break
            path.append(current)
        return path[::-1]

    def segments(self, member: int | None = None) -> list[tuple[float, Genome]]:
        """Returns the schedule of genomes that the ancestry of ``member`` (the best one) was trained under.

        Returns:
            (start fraction, genome), equal neighbours merged.
        """
        segments: list[tuple[float, Genome]] = []
        start = 0.0
        for interval, holder in zip(self.history, self.ancestry(member), strict=True):
            genome = interval["genomes"][holder]
            if not segments or segments[-1][1] != genome:
                segments.append((start, genome))
            start = interval["fraction"]
        return segments

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "version": VERSION,
            "kind": "lineage",
            "best": self.best,
            "scores": [score if math.isfinite(score) else None for score in self.scores],
            "history": list(self.history),
        }

    def save(self, path: Path) -> None:
        """Writes the lineage as JSON."""
        write_json(path, self.to_json())

    @staticmethod
    def load(path: Path) -> SearchResult:
        """Reads a lineage file.

        Raises:
            InputError: it is missing, damaged or of another kind; the field is named.
        """
        value = read_json(path, "lineage")
        if not isinstance(value, dict) or value.get("kind") != "lineage" or value.get("version") != VERSION:
            raise InputError(f'lineage {path} must have kind "lineage" and version {VERSION}; it is damaged or of another kind')
        scores, history = value.get("scores"), value.get("history")
        if not isinstance(scores, list) or not scores or not isinstance(history, list):
            raise InputError(f"lineage {path}: scores and history must be lists; it is damaged")
        for number, interval in enumerate(history):
            _check_interval(interval, len(scores), f"lineage {path}: history[{number}]")
        if not all(score is None or isinstance(score, (int, float)) for score in scores):
            raise InputError(f"lineage {path}: scores must be numbers; it is damaged")
        return SearchResult(tuple(float("nan") if score is None else float(score) for score in scores), tuple(history))


def _check_interval(interval: Any, members: int, where: str) -> None:
    wanted = ("fraction", "scores", "genomes", "events")
    if not isinstance(interval, dict) or any(key not in interval for key in wanted):
        raise InputError(f"{where} must hold {', '.join(wanted)}; it is damaged")
    if not isinstance(interval["genomes"], list) or len(interval["genomes"]) != members:
        raise InputError(f"{where}: genomes must be {members}; it is damaged")
    for event in interval["events"] if isinstance(interval["events"], list) else [None]:
        known = range(members)
        if not isinstance(event, dict) or event.get("target") not in known or event.get("donor") not in known:
            raise InputError(f"{where}: events must name a target and a donor among {members} members; it is damaged")
