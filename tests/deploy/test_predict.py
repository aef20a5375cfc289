"""Predictions for pictures by a run's network: the same reading as in training, names, faults, choice of a training."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from photo_toys import CLASSES, photograph
from PIL import Image

from rolewise import cli
from rolewise.deploy import (
    content_prediction,
    picture_predictions,
    predict_pictures,
    prediction_as_json,
    predictor_of_run,
)
from rolewise.deploy.given_pictures import given_pictures
from rolewise.deploy.stage_choice import chosen_stage
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.evaluation import finished_training
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import open_run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stages import trained_network
from rolewise.inputs import prepare

STAGE = "seed3/low-none+distill"


def in_training(root: Path, stage: str, folder: Path) -> dict[str, torch.Tensor]:
    """Returns the probabilities of the run's images as its training reads them, by the name of their file."""
    run, found = finished_training(root, stage)
    data = seed_data_of(run.config(), found.seed, torch.device("cpu"), run.root)
    files = sorted(folder.glob("*/*.png"), key=lambda path: (path.parent.name, path.name))
    spec = data.spec(section_of(run.config(), found.role).model)
    images = data.source.batch(torch.arange(len(data.source)))
    with torch.no_grad():
        values = trained_network(run, data, found)(prepare(images, spec)).softmax(1)
    return dict(zip(map(str, files), values, strict=True))


def test_a_run_predicts_as_it_trained(photo_run: Path) -> None:
    photos = photo_run.parent / "photos"
    known = in_training(photo_run, STAGE, photos)
    found = {str(one.path): one.values for one in predict_pictures(photo_run, [photos], stage=STAGE)}
    assert found.keys() == known.keys() and len(found) == 30
    for name, values in known.items():
        assert found[name] == pytest.approx(values.tolist(), abs=1e-6)


def test_the_run_folder_alone_is_enough(photo_run: Path, tmp_path: Path, no_data: None) -> None:
    shutil.copytree(photo_run, tmp_path / "moved")
    photo = photo_run.parent / "photos" / CLASSES[0] / "0.png"
    assert predict_pictures(tmp_path / "moved", [photo]) == predict_pictures(photo_run, [photo])
    # Its weights and statistics are checked as they are read.
    kept = tmp_path / "moved/statistics/seed3.json"
    kept.write_text(kept.read_text().replace('"mean"', '"moan"'))
    with pytest.raises(InputError, match="is damaged, or was edited"):
        predict_pictures(tmp_path / "moved", [photo])


def test_pictures_of_every_kind_are_read_by_the_rules_of_the_run(photo_run: Path, tmp_path: Path) -> None:
    upright = photograph(1, 99, (20, 24))
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "same.webp", lossless=True)
    upright.save(tmp_path / "animated.gif", save_all=True, append_images=[photograph(2, 0, (20, 24))])
    with Image.open(tmp_path / "animated.gif") as frames:
        frames.convert("RGB").save(tmp_path / "first.png")
    upright.quantize(64).save(tmp_path / "palette.png")
    upright.quantize(64).convert("RGB").save(tmp_path / "palette_rgb.png")
    upright.convert("CMYK").save(tmp_path / "cmyk.tif")
    clear = upright.convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.uint8([[0], [255]]), (10, 24))))
    clear.save(tmp_path / "clear.png")
    ground = Image.new("RGBA", clear.size, (9, 9, 9, 255))
    Image.alpha_composite(ground, clear).convert("RGB").save(tmp_path / "flat.png")
    levels = np.asarray(upright.convert("L"))
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    Image.fromarray(levels).save(tmp_path / "eight.png")
    with pytest.warns(UserWarning, match="the first one is read"):
        found = {one.path.name: one.values for one in predict_pictures(photo_run, [tmp_path])}
    assert len(found) == 12
    for same in (
        ("upright.png", "turned.png", "same.webp", "cmyk.tif"),
        ("palette.png", "palette_rgb.png"),
        ("animated.gif", "first.png"),
        ("clear.png", "flat.png"),
        ("sixteen.png", "eight.png"),
    ):
        assert len({found[name] for name in same}) == 1, same
    assert found["clear.png"] != found["upright.png"]


def test_names_stand_for_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "deep/c.webp", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in given_pictures([str(tmp_path / "b.jpg"), str(tmp_path)])]
    assert names == ["b.jpg", "a.png", "c.webp"]
    assert [path.name for path in given_pictures([str(tmp_path / "*.png"), str(tmp_path / "de*")])] == [
        "a.png",
        "c.webp",
    ]
    (tmp_path / "empty").mkdir()
    for name, part in (("x.png", "no such file"), ("*.bmp", "matches no file"), ("empty", "must hold pictures")):
        with pytest.raises(InputError, match=part):
            given_pictures([str(tmp_path / name)])


def test_a_training_is_named_by_stage_arm_or_seed(photo_run: Path, tmp_path: Path) -> None:
    seeds = load(photo_run.parent / "photos.yaml", ["seeds=[0, 3]"])
    two = open_run(tmp_path / "two", seeds).root
    assert chosen_stage(two) == "seed0/low-none+distill"
    assert chosen_stage(two, seed=3) == "seed3/low-none+distill"
    assert chosen_stage(two, arm="none", seed=3) == "seed3/low-none"
    assert chosen_stage(two, arm="low-none") == "seed0/low-none"
    assert chosen_stage(two, arm="teacher-none") == "seed0/teacher-none"
    for part, settings in {
        "arm must be a training of the run, got 'own'; known: low-none, low-none.distill, teacher-none": {"arm": "own"},
        "seed must be one of the run's seeds 0, 3, got 1": {"seed": 1},
        'stage must be a training.*did you mean "seed0/low-none"': {"stage": "seed0/low-nine"},
        "stage names one training already": {"stage": STAGE, "seed": 3},
    }.items():
        with pytest.raises(InputError, match=part):
            chosen_stage(two, **settings)
    teacher = predictor_of_run(photo_run, arm="teacher-none", seed=3)
    assert teacher.name.startswith("seed3/teacher-none of ") and teacher.facts.classes == tuple(sorted(CLASSES))


def test_the_command_names_faulty_pictures_and_predicts_for_the_others(
    photo_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a very long name of a folder of pictures"
    folder.mkdir()
    photograph(0, 50).save(folder / "good.png")
    (folder / "bad.png").write_bytes(b"no picture")

    def call(*arguments: str) -> tuple[str, str, object]:
        monkeypatch.setattr("sys.argv", ["rolewise", "predict", str(photo_run), folder.name, *arguments])
        code: object = 0
        try:
            cli.main()
        except SystemExit as error:
            code = error.code
        return (*capsys.readouterr(), code)

    out, err, code = call("--top", "3", "--csv", "out.csv")
    assert code == 1 and "1 picture of 2 cannot be read:" in err and "bad.png cannot be read as an image" in err
    assert "Network: seed3/low-none+distill of " in out and "name another" in out
    lines = out.splitlines()[1:]
    assert lines.pop() == "CSV: out.csv"
    assert len(lines) == 5 and max(map(len, lines)) <= 80 and lines[1].endswith("cannot be read")
    assert lines[2].startswith("...") and "good.png" in lines[2] and lines[2].rstrip().endswith("%")
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text())))
    columns = ["image", "class", "probability", "class_2", "probability_2", "class_3", "probability_3", "fault"]
    assert rows[0] == columns and len(rows) == 3 and rows[1][0] == f"{folder.name}/bad.png" and rows[1][7]
    assert {rows[2][1], rows[2][3], rows[2][5]} == {"brick, red", "grass", "'=sky"} and rows[2][7] == ""
    assert sum(float(rows[2][place]) for place in (2, 4, 6)) == pytest.approx(1)
    out, err, code = call("--csv", "-")
    assert list(csv.reader(io.StringIO(out)))[2][1:3] == rows[2][1:3] and "Network:" in err and code == 1
    content = json.loads(call("--json", "--top", "2")[0])
    assert content["task"] == "classification" and content["classes"] == sorted(CLASSES)
    bad, good = content["pictures"]
    assert "fault" in bad and len(good["predictions"]) == 2
    assert good["predictions"][0]["probability"] == pytest.approx(float(rows[2][2]))
    out, err, code = call("--csv", "-", "--json")
    assert code == 2 and "give one of them" in err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are UTF-8")
@pytest.mark.parametrize("arguments", [("--json",), ("--csv", "-")])
def test_a_name_that_is_no_utf8_leaves_a_table_that_is(
    photo_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    photograph(0, 50).save(tmp_path / os.fsdecode(b"\xe9.png"))
    printed = io.BytesIO()
    # As Python opens it in the locales C and POSIX.
    stream = io.TextIOWrapper(printed, "utf-8", "surrogateescape")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.argv", ["rolewise", "predict", str(photo_run), str(tmp_path), *arguments])
    cli.main()
    stream.flush()
    text = printed.getvalue().decode()
    assert "\\udce9.png" in text
    if "--json" in arguments:
        assert json.loads(text)["pictures"][0]["image"] == str(tmp_path / os.fsdecode(b"\xe9.png"))


def test_bytes_of_a_picture_are_predicted_as_its_file(photo_run: Path) -> None:
    predictor = predictor_of_run(photo_run)
    path = sorted((photo_run.parent / "photos").glob("*/*.png"))[0]
    (known,) = picture_predictions(predictor, [path])
    found = content_prediction(predictor, path.read_bytes())
    assert found.values == pytest.approx(known.values, abs=1e-6) and not found.fault
    shown = prediction_as_json(predictor, found, top=2)["predictions"]
    assert len(shown) == 2 and shown[0]["probability"] == max(found.values)
    assert {one["class"] for one in prediction_as_json(predictor, found, top=9)["predictions"]} == set(CLASSES)
    broken = content_prediction(predictor, path.read_bytes()[:50])
    assert broken.fault.startswith("cannot be read as an image") and not broken.values
    assert prediction_as_json(predictor, broken) == {"fault": broken.fault}
    fault = content_prediction(predictor, b"").fault
    assert "cannot be read as an image (its content is of no picture format" in fault and "BytesIO" not in fault
