"""A look at data: what is read is counted and listed, and what is wrong is told with key, line and remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rolewise.config import ConfigError
from rolewise.experiment.data_look import look_at_data


def picture(path: Path, level: int, mode: str = "RGB", size: tuple[int, int] = (8, 6), **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 10, 90)).convert(mode).save(path, **more)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder of 2 x 6 training and 2 x 2 test pictures, with one of every trouble."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(6):
            picture(tmp_path / "photos/train" / name / f"{number}.png", 100 * label + 5 * number)
        for number in range(2):
            picture(tmp_path / "photos/test" / name / f"{number}.png", 100 * label + 50 + 5 * number, size=(20, 4))
    train = tmp_path / "photos/train"
    # The same pixels in another format, and a copy of a training image in the test part.
    picture(train / "cat/again.bmp", 5)
    shutil.copy(train / "dog/3.png", tmp_path / "photos/test/cat/copy.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(train / "dog/turned.png", 222, exif=exif)
    frames = [Image.new("L", (8, 6), level) for level in (7, 77)]
    frames[0].save(train / "dog/moving.gif", save_all=True, append_images=frames[1:])
    (train / "cat/cut.png").write_bytes((train / "cat/0.png").read_bytes()[:50])
    path = tmp_path / "photos.yaml"
    path.write_text(
        "# Data alone.\ndata:\n  name: image_folder\n"
        f"  root: {tmp_path / 'photos'}\n  validation: 4\n  arguments: {{size: 4, resize: squash, faulty: skip}}\n"
    )
    return path


def test_everything_is_counted(config: Path) -> None:
    found = look_at_data(config)
    assert found["read"] == [15, 5] and found["shape"] == [3, 4, 4]
    assert found["parts"] == {"train": 11, "validation": 4, "test": 5}
    by_class = {row.pop("name"): row for row in found["classes"]}
    assert by_class["cat"]["test"] == 3 and by_class["dog"]["test"] == 2
    assert by_class["cat"]["train"] + by_class["cat"]["validation"] == 7
    assert by_class["dog"]["train"] + by_class["dog"]["validation"] == 8
    assert found["files"]["height"] == {"min": 4, "median": 6, "max": 6}
    assert found["files"]["width"] == {"min": 8, "median": 8, "max": 20}
    assert found["files"]["turned"] == 1 and found["files"]["several_pictures"] == 1
    assert found["files"]["formats"] == {"PNG": 19, "GIF": 1, "BMP": 1}
    assert [sorted(group) for group in found["same"]["training"]] == [["train/cat/1.png", "train/cat/again.bmp"]]
    assert found["same"]["both"] == [["train/dog/3.png", "test/cat/copy.png"]] and found["same"]["test"] == []
    (fault,) = found["faulty"]
    assert fault["file"] == "train/cat/cut.png" and fault["reason"].startswith("cannot be read as an image")
    assert found["skipped"] and not any("stand" in text for text in found["warnings"])


def test_the_command_fits_80_columns_and_json_has_it_all(config: Path, rolewise) -> None:
    code, text, _ = rolewise("data", "look", str(config))
    lines = text.splitlines()
    # Where the temporary folder has a long name, its line is as long.
    assert code == 0 and all(len(line) <= 80 for line in lines if str(config.parent) not in line), text
    assert any(line.split() == ["class", "train", "validation", "test"] for line in lines)
    assert any(line.split() == ["all", "images", "11", "4", "5"] for line in lines)
    for part in (
        "15 training images and 5 test images, 2 classes",
        "Faulty files: 1, left out",
        "Same pixels in training and test images: 1 picture",
        "Formats: PNG 19, ",
    ):
        assert part in text, text
    code, text, _ = rolewise("data", "look", str(config), "--json")
    assert code == 0 and json.loads(text) == look_at_data(config)


def test_faulty_files_end_it_where_they_would_end_a_run(config: Path, rolewise) -> None:
    code, text, error = rolewise("data", "look", str(config), "--set", "data.arguments.faulty=error")
    assert code == 2 and "Faulty files: 1\n" in text
    assert "1 file cannot be read, and a run would end there; remove or replace it, or set data.arguments" in error


@pytest.mark.parametrize(
    ("setting", "line", "path", "part"),
    [
        ("name: image_foldr", 3, "data.name", 'did you mean "image_folder"?'),
        ("validation: -3", 5, "data.validation", "must be a number of examples from 2 up"),
        ("validation: 400", 5, "data.validation", "must leave some of the 15 examples to train on, got 400"),
        ("arguments: {sise: 4}", 6, "data.arguments.sise", 'did you mean "size"?'),
        ("arguments: {folder: gone}", 6, "data", "gone is missing; set data.root"),
        ("limit: 999", 6, "data.limit", "must be at most the"),
    ],
)
def test_faults_have_their_place(config: Path, setting: str, line: int, path: str, part: str) -> None:
    key, text = setting.partition(":")[0], config.read_text().splitlines()
    text = [f"  {setting}" if one.strip().startswith(f"{key}:") else one for one in text]
    if key == "limit":
        text.insert(5, f"  {setting}")
    config.write_text("\n".join(text))
    with pytest.raises(ConfigError) as caught:
        look_at_data(config)
    (fault,) = caught.value.faults
    assert fault.path == path and part in fault.message, caught.value
    assert fault.place.line == (line if path != "data" else 2)


def test_arrays_labels_and_numbers_are_counted_too(tmp_path: Path, rolewise) -> None:
    images = np.arange(10, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    images[7] = images[2]
    for kind, labels in (("labels", np.eye(10, 3, dtype=np.int64)), ("numbers", np.linspace(0, 1, 10))):
        np.savez(tmp_path / f"{kind}.npz", images=images, labels=labels)
        path = tmp_path / f"{kind}.yaml"
        arguments = f"{{file: {kind}.npz, targets: {kind}}}"
        path.write_text(f"data: {{name: npz, root: {tmp_path}, validation: 2, test: 3, arguments: {arguments}}}")
        found = look_at_data(path)
        assert found["parts"] == {"train": 5, "validation": 2, "test": 3} and found["targets"] == kind
        assert found["same"]["training"] == [["images[2]", "images[7]"]] and found["faulty"] == []
        assert "files" not in found
        code, text, _ = rolewise("data", "look", str(path))
        assert code == 0 and ("target: " in text if kind == "numbers" else "label " in text), text


def test_a_study_and_a_missing_file_are_refused(tmp_path: Path, rolewise) -> None:
    (tmp_path / "study.yaml").write_text("base: a.yaml\ngrid: {}\n")
    code, _, error = rolewise("data", "look", str(tmp_path / "study.yaml"))
    assert code == 2 and "is a study (it has a grid); look at its base" in error
    code, _, error = rolewise("data", "look", str(tmp_path / "none.yaml"))
    assert code == 2 and "none.yaml" in error
