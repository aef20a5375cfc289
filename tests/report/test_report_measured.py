"""What the report says beside accuracy: sizes, levels, gradients, costs; and where it says nothing of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.report import bits, measured, page, write_report
from rolewise.report.costs import costs_table
from rolewise.report.drawing import Drawing
from rolewise.report.gradients_figure import gradients_figure
from rolewise.report.page import _gradients
from rolewise.report.run_data import RunData, read_run
from rolewise.seals import write_product
from rolewise.statistics import compare

QUICK = Path(__file__).parent.parent / "experiment" / "quick.yaml"
NETWORK = "model: {name: small_cnn, arguments: {widths: [6, 8, 10]}}, images: 100"
TRAIN = "train: {epochs: 3, batch_size: 50, optimizer: {name: adam, learning_rate: 0.01}"
LOW = "quantise: {weights: 2, activations: 4, keep: []}"
STUDENTS = (
    f"students=[{{name: plain, {NETWORK}, {TRAIN}}}}},"
    f"{{name: low, {NETWORK}, {TRAIN}, distill_gradient: limited}}, {LOW}}}]"
)
ARMS = ["arms.student=[none, own]", "arms.distill=[true]"]
PARTS = ("Accuracy against bits and size", "star: the teacher", "Weights and inputs about their levels")


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "low"
    run(load(QUICK, [STUDENTS, *ARMS, "seeds=[3]", "name=low", "teacher.train.epochs=2"]), folder)
    return folder


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the figures were asked to draw."""
    kept: dict[str, Any] = {}
    empty = Drawing([], "", "data:,", "numbers.csv")
    for name in ("arms_figure", "lineage_figure", "schedules_figure", "curves_figure"):
        monkeypatch.setattr(page, name, lambda *given: empty)
    for module, name in ((measured, "size_figure"), (measured, "histograms_figure"), (page, "gradients_figure")):
        monkeypatch.setattr(module, name, lambda given, *_, name=name: kept.setdefault(name, given) and empty)
    return kept


def test_a_run_with_few_bits_has_every_section(low: Path) -> None:
    text = (low / "report.html").read_text()
    for part in (*PARTS, "Labels against methods", "all 4 layers at few bits", "100 validation images"):
        assert part in text, part


def test_a_run_in_floating_point_gains_no_section_of_bits(low: Path, tmp_path: Path, drawn: dict[str, Any]) -> None:
    shutil.copytree(low, tmp_path / "r")
    results = json.loads((low / "results.json").read_text())
    results["arms"] = [arm for arm in results["arms"] if arm["student"] == "plain"]
    write_product(tmp_path / "r" / "results.json", json.dumps(results).encode())
    for path in (tmp_path / "r").rglob("low-*"):
        shutil.rmtree(path)
    text = write_report(tmp_path / "r").read_text()
    assert not any(part in text for part in PARTS) and "Labels against methods" in text
    for path in (tmp_path / "r").rglob("record.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text(
            "".join(json.dumps({**line, "gradients": None}) + "\n" for line in lines if "epoch" not in line)
        )
        # As of a stage that is not finished: what it leaves has no digest yet.
        (path.parent / "done.json").unlink()
    assert "Labels against methods" not in write_report(tmp_path / "r").read_text()


def under_two_teachers(data: RunData) -> dict[str, Any]:
    """The results as if there were a second teacher, ``other``, listed first."""
    assert data.results is not None
    results = data.results
    for name in ("none+distill", "own+distill"):
        for arm in [arm for arm in results["arms"] if arm["name"] == name]:
            for teacher in ("other", "own"):
                new = {**arm, "name": f"{name}@{teacher}", "control": f"{arm['control']}@{teacher}"}
                results["arms"].append({**new, "teacher_augmentation": teacher})
            results["arms"].remove(arm)
    results["teachers"].insert(0, {**results["teachers"][0], "augmentation": "other", "bytes": 1})
    return results


def test_the_arms_that_are_drawn_against_size(low: Path, drawn: dict[str, Any]) -> None:
    data = read_run(low)
    results = under_two_teachers(data)
    bits.size_figure(data, compare(results))
    points = drawn["size_figure"]
    arms = [f"{name}@own" for name in ("none+distill", "own+distill")]
    kinds = [("float", False), ("W2A4", True)]
    expected = [(arm, *kind) for kind in kinds for arm in arms]
    found = [(point.arm, point.label, point.low) for point in points]
    assert sorted(found[:-1]) == sorted(expected) and found[-1] == ("teacher", "teacher", False)
    by_name = {(arm["student"], arm["name"]): arm for arm in results["arms"]}
    for point in points[:-1]:
        arm = by_name["low" if point.low else "plain", point.arm]
        assert (point.bytes, point.bit_operations) == (arm["bytes"], arm["bit_operations"])
        assert point.score.mean == arm["metrics"]["accuracy"]["3"]
        # The low-bit one trains in another way, so that it has no twin and stands by itself.
        assert point.network == ("low" if point.low else "plain")
    teacher = results["teachers"][1]
    # Weights and the statistics of the norms.
    assert points[-1].bytes == 4 * (teacher["parameters"] + 2 * (8 + 12)) and points[-1].bit_operations > 0


def test_without_its_own_schedule_or_a_teacher_s_cost_the_control_is_drawn_alone(
    low: Path, drawn: dict[str, Any]
) -> None:
    data = read_run(low)
    assert data.results is not None
    rows = [row for row in compare(data.results) if row.augmentation == "none"]
    bits.size_figure(data, rows)
    assert {point.arm for point in drawn["size_figure"]} == {"none+distill", "teacher"}
    for one in data.results["teachers"]:
        del one["bytes"]
    drawn.clear()
    bits.size_figure(data, rows)
    assert {point.arm for point in drawn["size_figure"]} == {"none+distill"}


def layer(name: str) -> dict[str, Any]:
    part = {"bits": 2, "unit": "value", "low": -1.0, "high": 1.0, "counts": [1, 0, 3], "levels": [-1.0, 0.0, 1.0]}
    return {"layer": name, "weights": {**part, "cut": None, "used": 2}, "inputs": None}


def test_one_training_of_each_student_and_some_of_many_layers_are_drawn(drawn: dict[str, Any]) -> None:
    data = RunData(Path(), "many", "", None, None, {})
    for seed in (10, 2):
        for arm, augmentation, teacher in (
            ("none+distill@own", "none", "own"),
            ("own+distill@a", "own", "a"),
            ("own+distill@own", "own", "own"),
            ("own", "own", None),
        ):
            data.histograms[f"seed{seed}/low-{arm}"] = {
                "student": "low",
                "augmentation": augmentation,
                "distilled": teacher is not None,
                "teacher": teacher and f"seed{seed}/teacher-{teacher}",
                "images": 7,
                "layers": [layer(f"{arm} {number}") for number in range(20)],
            }
    (found,) = bits.histograms(data)
    assert (found["training"], found["layers"], found["drawn"]) == ("seed2/low-own+distill@own", 20, 8)
    names = [layer["layer"].split()[1] for layer in drawn["histograms_figure"]]
    assert names == ["0", "3", "5", "8", "11", "14", "16", "19"]
    data.histograms["seed2/low-own"]["layers"] = []
    del data.histograms["seed10/low-own"]["student"]
    with pytest.raises(InputError, match="damaged"):
        bits.histograms(data)


def test_a_damaged_file_of_histograms_is_named(low: Path, tmp_path: Path, drawn: dict[str, Any]) -> None:
    shutil.copytree(low, tmp_path / "r")
    path = next((tmp_path / "r").rglob("low-own+distill/histograms.json"))
    for content in ("[]", "{", '{"layers": 3}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"histograms\.json"):
            write_report(tmp_path / "r")


def test_figures_stand_odd_values() -> None:
    one = layer("a")
    one["inputs"] = {
        **one["weights"],
        "bits": 8,
        "levels": [float(k) for k in range(256)],
        "cut": 0.1,
        "counts": [5, 0, 0],
    }
    assert len(measured.histograms_figure([one, layer("b")], "", "levels").panels) == 3
    terms = {"labels": 1.0, "kd": None, "fitnets": 0.0}
    entries = [
        {"epoch": 1, "progress": 0.5, "gradients": {"terms": terms, "distillation": None, "left": None}},
        {"epoch": 2, "progress": 1.0, "gradients": {"terms": {"labels": 2.0}}},
    ]
    assert len(gradients_figure({"a": entries, "b": entries[1:]}).panels) == 3


def test_gradients_are_those_of_the_student_s_own_schedule(low: Path, drawn: dict[str, Any]) -> None:
    data = read_run(low)
    results = under_two_teachers(data)
    for student in ("plain", "low"):
        for teacher in ("own", "other"):
            data.records[f"seed3/{student}-own+distill@{teacher}"] = [
                {**entry, "teacher": teacher} for entry in data.records[f"seed3/{student}-own+distill"]
            ]
    _gradients(data, compare(results))
    assert list(drawn["gradients_figure"]) == ["plain", "low"]
    for student, record in drawn["gradients_figure"].items():
        assert [entry["teacher"] for entry in record] == ["own"] * 3
        assert all(("left" in entry["gradients"]) == (student == "low") for entry in record)
    assert _gradients(data, []) is None


def test_what_searches_cost_is_what_the_folder_says(low: Path) -> None:
    data = read_run(low)
    assert data.results is not None and data.timing is not None
    rows = {row["what"]: row for row in costs_table(data)}
    searches = ["search: teacher", "search: low", "search: plain"]
    assert list(rows) == [*searches, "training: 1 teacher", "training: 4 arms", "all"]
    costs = data.results["costs"]
    own = rows["search: low"]
    assert (own["members"], own["intervals"], own["images"]) == ("3", "2", "900") and costs["seed3/low-search"] == 900
    assert own["share"] == f"{900 / sum(costs.values()):.1%}"
    assert own["seconds"] == f"{data.timing['stages']['seed3/low-search']:,.1f}"
    assert rows["all"]["images"] == f"{sum(costs.values()):,}" and rows["all"]["share"] == "100.0%"
    searches = sum(number for name, number in costs.items() if name.endswith("-search"))
    teachers = (
        sum(number for name, number in costs.items() if name.startswith("seed3/teacher-"))
        - costs["seed3/teacher-search"]
    )
    assert rows["training: 1 teacher"]["images"] == f"{teachers:,}"
    assert rows["training: 4 arms"]["images"] == f"{sum(costs.values()) - searches - teachers:,}"


def test_costs_are_for_one_seed_and_untimed_where_no_times_are() -> None:
    costs = {"seed0/teacher-search": 30, "seed1/teacher-search": 30, "seed0/teacher-own": 10, "seed1/teacher-own": 10}
    costs |= {"seed0/s-screen-search": 0, "seed1/s-screen-search": 0, "seed0/s-own": 60, "seed1/s-own": 60}
    data = RunData(Path(), "two", "", {"costs": costs}, None, {})
    data.lineages["seed0/teacher-search"] = {"members": 4, "intervals": 6}
    assert [tuple(row.values()) for row in costs_table(data)] == [
        ("search: teacher", "4", "6", "30", "30.0%", ""),
        ("search: s-screen", "", "", "0", "0.0%", ""),
        ("training: 1 teacher", "", "", "10", "10.0%", ""),
        ("training: 1 arm", "", "", "60", "60.0%", ""),
        ("all", "", "", "100", "100.0%", ""),
    ]
    assert costs_table(RunData(Path(), "none", "", None, None, {})) == []
