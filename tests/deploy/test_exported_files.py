"""Exported files and the predictions that they give: facts inside, form, warnings, and what is from elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from photo_toys import CLASSES

from rolewise.data.reading_rules import picture_rules, plain_rules, reads_pictures
from rolewise.deploy import predict_pictures, predictor_of_file
from rolewise.deploy.export import export_stage
from rolewise.deploy.file_agreement import agreement
from rolewise.deploy.file_facts import FileFacts, facts_of, form_of
from rolewise.deploy.model_card import plain_table
from rolewise.deploy.open_file import open_file
from rolewise.errors import InputError
from rolewise.files import sha256

STAGE = "seed3/low-none+distill"


def facts(kind: str = "classification", **changes: object) -> FileFacts:
    rules = picture_rules("image_folder", {"size": [4, 5], "resize": "pad", "background": [1, 2, 3]})
    form = form_of(kind, (3, 4, 5), "bicubic", "uint8_bhwc", "logits")
    values = {"digest": "ab", "origin": "seed0/small of x", "threshold": 0.25, **changes}
    values |= {"agreement": 0.75, "agreement_images": "4 test images, ONNX Runtime 1.31"}
    return FileFacts(kind, ("a", "b"), rules, True, form, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), **values)


def test_facts_come_back_from_a_file_s_metadata() -> None:
    for kind in ("classification", "multi_label", "regression"):
        known = facts(kind)
        found = facts_of(known.metadata, "file x")
        expected = known if kind == "multi_label" else facts(kind, threshold=0.5)
        assert found == expected
    assert known.metadata["picture_size"] == "[4, 5]" and known.metadata["image"] == "[3, 4, 5]"
    for change, part in (
        ({"task": "poetry"}, "'poetry' is none of classification"),
        ({"picture_resize": '"stretch"'}, "rules of pictures are damaged"),
        ({"picture_size": "[4]"}, "rules of pictures are damaged"),
        ({"mean": "["}, "write it by: rolewise export"),
        ({"input": "int7"}, "input must be one of"),
    ):
        with pytest.raises(InputError, match=part):
            facts_of({**known.metadata, **change}, "file x")
    with pytest.raises(InputError, match=r"file x must hold .* it has no task"):
        facts_of({}, "file x")


def test_a_smaller_crop_stays_with_its_file() -> None:
    rules = picture_rules("image_folder", {"size": [4, 5], "crop_ratio": 0.875})
    known = replace(facts(), rules=rules)
    assert known.metadata["picture_crop_ratio"] == "0.875" and facts_of(known.metadata, "file x").rules == rules
    # Files of whole crops say nothing of it, and those of earlier releases could not.
    assert "picture_crop_ratio" not in facts().metadata
    for wrong in ("0", "2", '"half"', "true"):
        with pytest.raises(InputError, match="rules of pictures are damaged"):
            facts_of({**known.metadata, "picture_crop_ratio": wrong}, "file x")
    with pytest.raises(InputError, match="rules of pictures are damaged"):
        facts_of({**known.metadata, "picture_resize": '"pad"'}, "file x")


def test_the_page_lists_all_that_a_file_keeps() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "photos.md").read_text(encoding="utf-8")
    table = page[page.index("| key | value |") :]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("|")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == {*facts("multi_label").metadata, "picture_crop_ratio", "picture_resampling"}


def test_rules_are_those_of_the_data_or_a_folder_s() -> None:
    assert reads_pictures("image_folder") and reads_pictures("image_list") and reads_pictures("image_table")
    assert not reads_pictures("digits") and not reads_pictures("cifar10") and not reads_pictures("own:data")
    rules = plain_rules(1, (8, 9))
    assert (rules.shape, rules.channels, rules.resize, rules.orientation) == ((8, 9), 1, "crop", "exif")


def test_an_agreement_counts_what_a_task_predicts() -> None:
    known = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 4.0], [5.0, 6.0]])
    other = known + torch.tensor([[0.0, 0.5], [0.0, 0.0], [1.5, 0.0], [0.0, 0.0]])
    same = agreement(facts(), other, known)
    assert same.share == 0.75 and same.images == 4
    probabilities = [values.double().softmax(1) for values in (other, known)]
    assert same.largest == pytest.approx(float((probabilities[0] - probabilities[1]).abs().max()))
    # At the threshold of .25 a logit of -1 is no label, and one of -1.2 neither.
    labels = torch.tensor([[-1.0, 1.0], [-1.2, 1.0], [-0.5, 1.0]])
    moved = torch.tensor([[-1.2, 1.0], [-1.0, 2.0], [-0.6, -0.9]])
    assert agreement(facts("multi_label"), moved, labels).share == pytest.approx(1 / 3)
    numbers = torch.tensor([[0.0], [10.0]])
    assert agreement(facts("regression"), numbers + torch.tensor([[0.049], [0.06]]), numbers).share == 0.5


def test_a_file_from_elsewhere_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="must be a run folder or an exported file"):
        open_file(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no file of a network")
    with pytest.raises(InputError, match="must be a file that rolewise export wrote; ONNX Runtime, which would run it"):
        open_file(tmp_path / "text.onnx")
    (tmp_path / "a.pt2").write_bytes(b"PK and nothing behind")
    with pytest.raises(InputError, match="is damaged"):
        open_file(tmp_path / "a.pt2")
    value = onnx.helper.make_tensor_value_info
    entry, result = (value(name, onnx.TensorProto.FLOAT, ["b", 2]) for name in ("images", "logits"))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["images"], ["logits"])], "g", [entry], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match="must hold what is needed to read pictures for it, and it has no task"):
        open_file(tmp_path / "other.onnx")
    with pytest.raises(InputError, match="stage, arm and seed are of a run folder"):
        predict_pictures(tmp_path / "other.onnx", [tmp_path / "text.onnx"], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "given", "output"),
    [("onnx", "uint8_bhwc", "probabilities"), ("torch", "uint8", "logits"), ("packed", "float32", "logits")],
)
def test_an_exported_file_predicts_for_pictures_as_its_run(
    photo_run: Path, tmp_path: Path, form: str, given: str, output: str
) -> None:
    pytest.importorskip("onnxscript")
    path, photos = tmp_path / "low.file", photo_run.parent / "photos"
    made = export_stage(photo_run, STAGE, form, path, given=given, output=output)
    predictor = predictor_of_file(path)
    found, known = predict_pictures(path, [photos]), predict_pictures(photo_run, [photos], stage=STAGE)
    assert [one.path for one in found] == [one.path for one in known] and len(found) == 30
    tolerance = 0.02 if form == "onnx" else 1e-5
    for one, other in zip(found, known, strict=True):
        assert one.values == pytest.approx(other.values, abs=tolerance)
    kept = predictor.facts
    assert kept.classes == CLASSES and kept.own_rules and kept.rules.background == [9, 9, 9]
    assert (kept.form.input, kept.form.output, kept.form.image) == (given, output, (3, 20, 24))
    assert kept.origin == f"{STAGE} of photos"
    assert kept.digest == sha256(photo_run / "stages" / STAGE / "weights.safetensors")
    assert kept.agreement == made.agreement and kept.agreement_images.startswith("6 validation images, ")
    assert max(map(len, plain_table(made.rows, made.metric).splitlines())) <= 80
    assert kept.mean == pytest.approx(json.loads((photo_run / "statistics/seed3.json").read_text())["mean"])
    remarks, card = "\n".join(made.remarks), made.card.read_text()
    assert "Warning: 2 layers stay in floating point" in remarks and ": stages.0.0, fc." in remarks
    place = {"onnx": "In a default session of ONNX Runtime", "torch": "In PyTorch", "packed": "Read into PyTorch"}
    assert made.remarks[0].startswith(place[form]) and f"{made.agreement:.2%} of 6 validation images" in made.remarks[0]
    assert kept.digest in card and "| layers in floating point | stages.0.0, fc |" in card
    way = "crop to 20 x 24 (height x width), bicubic with antialiasing by Pillow, turned by EXIF"
    assert f"{way}, on background [9, 9, 9], RGB" in card
    shape = "[B, H, W, C]" if given == "uint8_bhwc" else "[B, C, H, W]"
    assert shape in card and made.metric.key == "accuracy"


def test_a_packed_file_takes_no_form(photo_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="packed stores weights alone"):
        export_stage(photo_run, STAGE, "packed", tmp_path / "x", given="uint8")
    with pytest.raises(InputError, match="input must be one of float32, uint8, uint8_bhwc, got 'int8'"):
        export_stage(photo_run, STAGE, "torch", tmp_path / "x", given="int8")
    assert not list(tmp_path.iterdir())
