"""Students at few bits: trained beside their float twins, reported, exported, and the files run."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from rolewise import cli
from rolewise.deploy.export import default_stage, export_stage
from rolewise.deploy.latency import in_turns
from rolewise.deploy.model_card import _escaped
from rolewise.errors import InputError, Interrupted
from rolewise.experiment import load, run
from rolewise.experiment.run_folder import RunFolder, open_run
from rolewise.experiment.seed_data import SealedTest
from rolewise.experiment.stage_work import run_stage
from rolewise.experiment.stages import find_stage
from rolewise.statistics.float_comparison import compare_to_float

pytestmark = pytest.mark.usefixtures("figures_unrendered", "timed_briefly")

QUICK = Path(__file__).parent / "quick.yaml"
NETWORK = "model: {name: small_cnn, arguments: {widths: [8, 12]}}, init: teacher, images: 100"
TRAIN = "train: {epochs: 4, batch_size: 50, optimizer: {name: adam, learning_rate: 0.01}}"
STUDENTS = (
    f"students=[{{name: float, {NETWORK}, {TRAIN}}},"
    f"{{name: low, {NETWORK}, {TRAIN}, quantise: {{weights: 2, activations: 4}}}}]"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "bits"
    run(load(QUICK, [STUDENTS, "arms.student=[none, own]", "seeds=[0, 1]", "search.members=2", "name=bits"]), folder)
    return folder


def test_results_name_bits_size_and_twin(finished: Path) -> None:
    arms = json.loads((finished / "results.json").read_text())["arms"]
    low = [arm for arm in arms if arm["student"] == "low"]
    assert {(arm["weight_bits"], arm["activation_bits"], arm["twin"]) for arm in low} == {(2, 4, "float")}
    plain = next(arm for arm in arms if arm["student"] == "float")
    assert (plain["weight_bits"], plain["twin"]) == (32, None)
    assert low[0]["bytes"] < plain["bytes"] and low[0]["bit_operations"] < plain["bit_operations"]
    assert low[0]["macs"] == plain["macs"]


def test_twins_are_compared_arm_by_arm(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    rows = {(row.student, row.arm): row for row in compare_to_float(results)}
    values = {(arm["student"], arm["name"]): list(arm["metrics"]["accuracy"].values()) for arm in results["arms"]}
    for arm in ("none", "own+distill"):
        found = rows["low", arm].difference
        pairs = zip(values["low", arm], values["float", arm], strict=True)
        assert found is not None and found.mean == pytest.approx(sum(a - b for a, b in pairs) / 2)
        assert rows["float", arm].difference is None
    page = (finished / "report.html").read_text()
    assert "Accuracy against bits and size" in page
    assert "in the order of their outputs: 10</summary><p>0, 1, 2, 3, 4, 5, 6, 7, 8, 9</p>" in page
    for arm in results["arms"]:
        arm["weight_bits"] = arm["activation_bits"] = 32
    assert compare_to_float(results) == []


@pytest.mark.parametrize("form", ["onnx", "packed", "torch"])
def test_an_exported_file_predicts_as_the_network(finished: Path, tmp_path: Path, form: str) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    made = export_stage(finished, "seed0/low-own+distill", form, tmp_path / "low.file")
    assert (made.part, made.images) == ("test", 300) and made.agreement >= 0.995
    arms = json.loads((finished / "results.json").read_text())["arms"]
    arm = next(arm for arm in arms if arm["student"] == "low" and arm["name"] == "own+distill")
    assert made.score == pytest.approx(arm["metrics"]["accuracy"]["0"], abs=0.011)
    card = made.card.read_text()
    assert "W2 A4" in card and form in card and "low.file" in card
    plain, low = made.rows
    # The float twin holds the weights as they were trained, before any rounding.
    assert plain.name == "float32, ONNX" and low.name.startswith("W2 A4")
    assert plain.macs == low.macs == arm["macs"]
    assert plain.bit_operations == 1024 * plain.macs and low.bit_operations == arm["bit_operations"]
    assert low.size == (tmp_path / "low.file").stat().st_size and low.score == made.score
    timed = {1, 64} if form != "packed" else set()
    assert all(set(row.milliseconds) == timed and all(row.milliseconds.values()) for row in made.rows)
    for row in made.rows:
        assert f"| {row.name} | {row.score:.2%} | {row.size:,} | {row.macs:,} | {row.bit_operations:,} |" in card
    assert ("no time of its own" if form == "packed" else "1 thread") in card
    assert ("training images" in card) == (form == "onnx")
    names = [str(digit) for digit in range(10)]
    assert f"| classes, in the order of the outputs | 10: {', '.join(names)} |" in card
    assert kept_classes(tmp_path / "low.file", form) == names


def kept_classes(path: Path, form: str) -> list[str]:
    """Reads the names of the classes off a file as its own library does."""
    if form == "onnx":
        import onnxruntime

        kept = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    elif form == "torch":
        kept = {"classes": ""}
        torch.export.load(io.BytesIO(path.read_bytes()), extra_files=kept)
    else:
        with safe_open(path, "pt") as file:
            kept = json.loads(file.metadata()["rolewise-packed"])["metadata"]
    return json.loads(kept["classes"])


def test_names_of_classes_break_no_table_of_a_card() -> None:
    assert _escaped("a|b") == "a\\|b" and _escaped("two\nlines") == "two lines" and _escaped("a\\b") == "a\\\\b"


def test_the_stage_that_is_exported_by_default(finished: Path, tmp_path: Path) -> None:
    assert default_stage(finished) == "seed0/low-own+distill"
    cases = {
        "arms.distill=[false]": "seed0/low-own",
        "arms.student=[none]": "seed0/low-none+distill",
        f"students=[{{name: first, {NETWORK}, {TRAIN}}}, {{name: second, {NETWORK}, {TRAIN}}}]": (
            "seed0/second-own+distill"
        ),
    }
    for index, (setting, stage) in enumerate(cases.items()):
        config = load(QUICK, [STUDENTS, "arms.student=[none, own]", "seeds=[0, 1]", setting])
        folder = open_run(tmp_path / str(index), config).root
        assert default_stage(folder) == stage


@pytest.mark.slow
def test_the_command_says_what_it_chose(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path / "low.onnx"
    monkeypatch.setattr("sys.argv", ["rolewise", "export", str(finished), "--out", str(out)])
    cli.main()
    text = capsys.readouterr().out
    assert "Stage: seed0/low-own+distill (name another to export that)" in text
    assert "float32, ONNX" in text and "W2 A4, ONNX" in text and "ms, batch 64" in text
    assert "of 300 test images" in text and str(out) in text


def test_runs_are_timed_in_turns() -> None:
    order: list[str] = []
    found = in_turns({name: lambda name=name: order.append(name) for name in "ab"}, seconds=0, least=3)
    assert order == ["a", "b"] * 4 and set(found) == {"a", "b"}
    order.clear()
    in_turns({name: lambda name=name: order.append(name) for name in "ab"}, seconds=1000, most=5)
    assert order == ["a", "b"] * 6


def test_what_a_format_cannot_carry_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none; use format onnx or torch"):
        export_stage(finished, "seed0/float-own", "packed", tmp_path / "x")
    with pytest.raises(InputError, match='did you mean "onnx"'):
        export_stage(finished, "seed0/float-own", "onxn", tmp_path / "x")
    with pytest.raises(InputError, match="which is a search"):
        export_stage(finished, "seed0/low-search", "onnx", tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_training_at_few_bits_leaves_histograms_and_no_other_does(finished: Path) -> None:
    stages = finished / "stages"
    found = {str(path.parent.relative_to(stages)) for path in stages.rglob("histograms.json")}
    arms = ("none", "own", "none+distill", "own+distill")
    assert found == {f"seed{seed}/low-{arm}" for seed in (0, 1) for arm in arms}
    content = json.loads((stages / "seed1/low-own+distill/histograms.json").read_text())
    layers = content.pop("layers")
    expected = {"student": "low", "augmentation": "own", "distilled": True, "teacher": "seed1/teacher-own"}
    assert content == {**expected, "images": 100}
    weights, inputs = layers[0]["weights"], layers[0]["inputs"]
    assert len(layers) == 1 and (weights["bits"], inputs["bits"]) == (2, 4)
    assert sum(weights["counts"]) == 8 * 12 * 9 and len(inputs["levels"]) == 16
    # 100 images, 8 channels of 8 x 8 values before the second convolution.
    assert sum(inputs["counts"]) % (100 * 8) == 0


def test_histograms_are_the_same_after_an_interruption_and_never_of_test_images(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "r")
    folder = RunFolder(tmp_path / "r")
    stage = find_stage(folder.config(), "seed0/low-own+distill")
    own = folder.stage(stage.name)
    names = ("histograms.json", "record.jsonl", "weights.safetensors", "done.json")
    kept = {name: (own / name).read_bytes() for name in names}
    shutil.rmtree(own)
    monkeypatch.setattr(SealedTest, "open", lambda *given: pytest.fail("the test set was opened"))
    with pytest.raises(Interrupted):
        run_stage(folder, stage, lambda text: None, lambda: True)
    assert not (own / "histograms.json").exists()
    run_stage(folder, stage, lambda text: None, lambda: False)
    assert {name: (own / name).read_bytes() for name in names} == kept
    assert any("gradients" in json.loads(line) for line in kept["record.jsonl"].decode().splitlines())
