"""Results of runs for tests of their answers: committed ones, and small ones that are worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "results"


def committed(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def run_of(
    arms: dict[str, list[float]], teacher: list[float] | None = None, metric: str = "accuracy", **more: Any
) -> dict[str, Any]:
    """Results of one student: from an arm's name to its values."""
    error = metric != "accuracy"
    info = {"key": metric, "title": metric, "unit": "km" if error else "fraction", "higher_is_better": not error}
    count = len(next(iter(arms.values())))

    def measured(values: list[float]) -> dict[str, Any]:
        return {"metrics": {metric: {str(seed): value for seed, value in enumerate(values)}}}

    def arm(name: str, values: list[float]) -> dict[str, Any]:
        label, distilled = name.removesuffix("+distill"), name.endswith("+distill")
        return {
            "name": name,
            "student": "small",
            "student_augmentation": label,
            "teacher_augmentation": "own" if distilled else None,
            "distilled": distilled,
            "control": name.replace(label, "none"),
            "images": 100,
            **measured(values),
        }

    return {
        "version": 2,
        "primary": metric,
        "metrics": [info],
        "seeds": list(range(count)),
        "teachers": [] if teacher is None else [{"augmentation": "own", **measured(teacher)}],
        "arms": [arm(name, values) for name, values in arms.items()],
        **more,
    }
