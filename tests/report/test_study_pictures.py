"""The pictures of a study's page: where there is nothing to draw, and what is drawn of what."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rolewise.report.drawing import Drawing
from rolewise.report.study_looks import _plane, mix_name, mixed_rows, plane_figure, reliability_figure
from rolewise.report.study_tradeoffs import attack_figure, tradeoff_figure
from rolewise.report.style import figure

LEVELS: dict[str, list[Any]] = {"teacher": ["vanilla", "mixup"], "mixing": ["clean", "all", "half"]}
LABELS = {"teacher": "teacher", "mixing": "mixing"}


def rows(**more: float | None) -> list[dict[str, Any]]:
    return [
        {
            "cell": f"{teacher}-{mixing}",
            "teacher": teacher,
            "mixing": mixing,
            "seed": seed,
            "accuracy": 0.8 + seed / 100,
        }
        | more
        for teacher in LEVELS["teacher"]
        for mixing in LEVELS["mixing"]
        for seed in range(3)
    ]


def panels(drawn: Drawing | None) -> int:
    assert drawn is not None and all(panel.startswith("<svg") for panel in drawn.panels)
    assert drawn.caption == "below" and drawn.numbers.startswith("data:text/csv") and drawn.file.endswith(".csv")
    return len(drawn.panels)


def test_there_is_no_picture_of_what_was_not_measured() -> None:
    assert tradeoff_figure(rows(), LEVELS, LABELS, [], "below") is None
    assert attack_figure({"a": rows(loss=1.0)}, "below") is None
    assert attack_figure({"a": rows(pgd_8_raw_accuracy=0.5)}, "below") is None
    assert attack_figure({"a": rows(pgd_8_accuracy=None)}, "below") is None and attack_figure({}, "below") is None
    assert reliability_figure({}, [], "below") is None and plane_figure({}, [], [], "below") is None
    assert mixed_rows({}, []) == [] and mixed_rows({}, [{"role": "", "labels": []}]) == []


def test_one_panel_for_each_thing_that_was_measured(monkeypatch: Any) -> None:
    drawn: list[tuple[Any, Any]] = []
    plot = Axes.plot

    def noted(self: Axes, *given: Any, **look: Any) -> Any:
        drawn.append((given, look))
        return plot(self, *given, **look)

    monkeypatch.setattr(Axes, "plot", noted)
    both = rows(ece_at_temperature=0.1, linearity_gap_at_temperature=0.3)
    # Two panels, and one for what the marks mean.
    assert panels(tradeoff_figure(both, LEVELS, LABELS, rows(ece_at_temperature=0.2)[:3], "below")) == 3
    # Six cells in two panels, and one cell beside them in one: means over seeds, in percent.
    assert len(drawn) == 13 and {round(given[0], 6) for given, _ in drawn} == {81.0}
    assert sorted({round(given[1], 6) for given, _ in drawn}) == [0.1, 0.2, 0.3]
    looks = {(look["mec"], look["marker"]) for _, look in drawn if "marker" in look}
    # Three colours for the mixing, two marks for the teacher, and what is without distillation.
    assert len(looks) == 7
    drawn.clear()
    attacked = rows(pgd_4_accuracy=0.5, pgd_16_accuracy=0.2, fgsm_4_accuracy=0.6, fgsm_16_accuracy=0.3)
    assert panels(attack_figure({"control": attacked[:3]}, "below")) == 2
    fgsm, pgd = ((list(given[0]), [round(value, 6) for value in given[1]]) for given, _ in drawn)
    assert fgsm == ([0.0, 4.0, 16.0], [81.0, 60.0, 30.0]) and pgd == ([0.0, 4.0, 16.0], [81.0, 50.0, 20.0])


def test_reliability_planes_and_mixed_images_are_drawn() -> None:
    arrays: dict[str, Any] = {}
    for how in ("raw", "fitted"):
        arrays |= {f"reliability/0/{how}/edges": np.linspace(0, 1, 3), f"reliability/0/{how}/counts": np.array([0, 9])}
        arrays |= {f"reliability/0/{how}/{part}": np.array([np.nan, 0.8]) for part in ("confidence", "accuracy")}
    assert panels(reliability_figure(arrays, ["control"], "below")) == 1
    points = np.arange(12.0).reshape(6, 2)
    arrays |= {"plane/0/clean": points, "plane/0/labels": np.arange(6) % 3, "plane/0/mixed": points[:2]}
    arrays |= {"plane/0/pairs": np.array([[0, 1], [1, 2]]), "plane/0/corners": points[:3]}
    plane = {"classes": [0, 1, 2], "names": ["a", "b", "c"]}
    assert panels(plane_figure(arrays, [plane], ["control"], "below")) == 1
    labels = [[["a", 1.0]], [["a", 0.7], ["b", 0.3]]]
    mixed = [
        {"role": "", "mix": {}, "labels": labels},
        {"role": "teacher", "mix": {"method": "mixup"}, "labels": labels},
    ]
    for channels in (1, 3):
        pictures = {f"mixed/{row}": np.zeros((2, channels, 8, 8), np.uint8) for row in range(2)}
        found = mixed_rows(pictures, mixed)
        assert [row["name"] for row in found] == ["clean", "teacher: mixup"]
        assert [cell["text"] for cell in found[1]["cells"]] == ["a", "70% a, 30% b"]
    mix = {"method": "cutmix", "share": {"start": 1.0, "end": 0.25, "shape": "linear"}, "share_kind": "legacy"}
    assert mix_name(mix) == "cutmix, share 1 to 0.25, share kind legacy"


def test_a_plane_of_many_images_shows_some_of_each_class_and_of_each_pair() -> None:
    labels = np.arange(3000) % 3
    # Mixed points lie pair of classes by pair; here each pair has its own place.
    points = {"clean": np.stack([labels, labels], 1), "labels": labels, "mixed": np.repeat(np.eye(3)[:, :2], 1000, 0)}
    with figure(2, 2) as (_, (axis,)):
        _plane(axis, points, (0, 1, 2))
        drawn = [np.stack(line.get_data(), 1) for line in axis.lines]
    assert [len(some) for some in drawn[:3]] == [60] * 3 and 170 <= len(drawn[3]) <= 180
    assert all((np.abs(drawn[3] - place).sum(1) == 0).sum() >= 55 for place in np.eye(3)[:, :2])
