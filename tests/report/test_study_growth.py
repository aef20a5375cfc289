"""The page of a study of very many cells: large maps have colours alone, figures and tables have bounds."""

from __future__ import annotations

import itertools
from typing import Any

from rolewise.metric_info import CLASS_METRICS
from rolewise.report.effects_figure import MOST_DRAWN, effects_figure, foremost
from rolewise.report.study_figures import cells_figure
from rolewise.statistics.effects import contrasts
from rolewise.statistics.study_sentences import column_unit

LEVELS: dict[str, list[Any]] = {"a": list(range(13)), "b": list(range(12))}
UNIT = column_unit("accuracy", CLASS_METRICS)


def rows() -> list[dict[str, Any]]:
    known = {"part": "p", "student": "s", "arm": "none", "status": "done"}
    return [
        known
        | {
            "cell": f"{a}-{b}",
            "a": a,
            "b": b,
            "seed": seed,
            "accuracy": 0.5 + 0.01 * a + 0.001 * b * b + 0.0003 * seed * a,
        }
        for a, b, seed in itertools.product(*LEVELS.values(), range(2))
    ]


def test_a_map_of_many_squares_has_colours_and_their_scale() -> None:
    drawn = cells_figure(rows(), LEVELS, ["a", "b"], {"a": "a", "b": "b"}, "accuracy", UNIT, "below")
    small = {"a": LEVELS["a"][:3], "b": LEVELS["b"][:3]}
    few = [row for row in rows() if row["a"] < 3 and row["b"] < 3]
    numbered = cells_figure(few, small, ["a", "b"], {"a": "a", "b": "b"}, "accuracy", UNIT, "below")
    assert "50.0" in str(numbered.panels[0]) and "<image" in str(drawn.panels[0])
    assert len(str(drawn.panels[0])) < 60_000, "156 squares are one picture"


def test_a_figure_and_a_table_keep_the_largest_differences_in_order() -> None:
    found = [one for one in contrasts(rows(), LEVELS, "accuracy") if one.difference is not None]
    assert len(found) == 12 + 11 + 12 * 11
    kept = foremost(found, 5)
    sizes = sorted((abs(one.difference.mean) for one in found if one.difference), reverse=True)
    assert sorted((abs(one.difference.mean) for one in kept if one.difference), reverse=True) == sizes[:5]
    assert [found.index(one) for one in kept] == sorted(found.index(one) for one in kept)
    assert foremost(found, 1000) == found
    caption = effects_figure(found, {"a": "a", "b": "b"}, UNIT).caption
    assert f"The {MOST_DRAWN} largest of {len(found)} are drawn." in caption
