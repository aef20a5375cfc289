"""What a run was made from is known by content: images, labels, schedules, weights, the user's own modules."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rolewise.augment import build_schedule as augmentation
from rolewise.data import ImageData, StreamedArray, StreamedFiles, fingerprint
from rolewise.errors import InputError
from rolewise.experiment import input_digests, load, seed_data
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.pipeline import run
from rolewise.experiment.run_folder import open_run
from rolewise.models import build
from rolewise.own_sources import own_sources
from rolewise.study import load_study
from rolewise.study.keys import measure_key, stage_keys
from rolewise.study.study_folder import open_study
from rolewise.train import save_weights

pytestmark = pytest.mark.usefixtures("figures_unrendered")

HERE = Path(__file__).parent
QUICK = HERE / "quick.yaml"


@pytest.fixture(autouse=True)
def another_process() -> None:
    _forget()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's project: data, a network in a package of theirs, a schedule, weights."""
    stream = np.random.default_rng(0)
    arrays = {"images": stream.integers(0, 256, (120, 8, 8), np.uint8), "labels": np.arange(120) % 3}
    np.savez(tmp_path / "mine.npz", **arrays)
    package = tmp_path / "networks_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "blocks.py").write_text("from torch import nn\nimport json\n\nWIDTH = 4\n")
    (package / "net.py").write_text(
        "from torch import nn\n\nfrom .blocks import WIDTH\n\n\n"
        "def make(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, num_classes))\n"
    )
    augmentation("randaugment").save(tmp_path / "mine.json")
    save_weights(build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=[8, 12]), tmp_path / "t.safetensors")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def settings(project: Path, seeds: str = "[0]") -> list[str]:
    return [
        f"seeds={seeds}",
        f"data={{name: npz, root: '{project}', arguments: {{file: mine.npz}}, validation: 20, test: 20}}",
        f"teacher.weights='{project / 't.safetensors'}'",
        f"arms={{teacher: [none], student: [none, '{project / 'mine.json'}'], distill: [true]}}",
        "students[0].model={name: 'networks_of_mine.net:make'}",
        "students[0].images=null",
        "students[0].train.epochs=1",
    ]


def other_pixel(project: Path) -> None:
    with np.load(project / "mine.npz") as held:
        arrays = {name: held[name].copy() for name in held.files}
    arrays["images"][7, 3, 3] ^= 1
    np.savez(project / "mine.npz", **arrays)


def other_label(project: Path) -> None:
    with np.load(project / "mine.npz") as held:
        arrays = {name: held[name].copy() for name in held.files}
    arrays["labels"][:2] = arrays["labels"][1::-1].copy()
    np.savez(project / "mine.npz", **arrays)


def other_weight(project: Path) -> None:
    content = bytearray((project / "t.safetensors").read_bytes())
    content[-1] ^= 1
    (project / "t.safetensors").write_bytes(content)


def appended(name: str, text: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        with (project / name).open("a") as file:
            file.write(text)

    return change


CHANGES = {
    "pixels of the training images": other_pixel,
    "labels of the training images": other_label,
    "t.safetensors": other_weight,
    "mine.json": appended("mine.json", " "),
    "module networks_of_mine.net": appended("networks_of_mine/net.py", "# other\n"),
    "module networks_of_mine.blocks": appended("networks_of_mine/blocks.py", "WIDTH = 5\n"),
    "module networks_of_mine": appended("networks_of_mine/__init__.py", "# other\n"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_between_start_and_resume_is_refused_and_named(project: Path, what: str) -> None:
    config = load(QUICK, settings(project))
    folder = open_run(project / "r", config)
    for stage in ("seed0/small-none+distill", "seed0/small-mine+distill"):
        folder.stage(stage).mkdir(parents=True)
        (folder.stage(stage) / "record.jsonl").write_text("{}\n")  # some work was done
    _forget()
    assert open_run(project / "r", config) == folder
    _forget()
    CHANGES[what](project)
    with pytest.raises(InputError) as caught:
        open_run(project / "r", config)
    lines = [line for line in str(caught.value).splitlines() if " then, " in line]
    assert len(lines) == 1 and what in lines[0] and re.search(r": [0-9a-f]{12} then, [0-9a-f]{12} now", lines[0])
    assert "--fresh" in str(caught.value)
    open_run(project / "r", config, fresh=True)


def _forget() -> None:
    """Forgets what a process reads once, as another process has not read it."""
    seed_data._LOADED.clear()
    input_digests._DATA.clear()
    input_digests._STREAMED.clear()
    input_digests._sources.cache_clear()


def test_a_finished_run_is_neither_gone_on_with_nor_evaluated_on_other_images(project: Path) -> None:
    config = load(QUICK, settings(project))
    results = run(config, project / "r")
    _forget()
    assert run(config, project / "r") == results
    _forget()
    other_pixel(project)
    with pytest.raises(InputError, match="pixels of the training images"):
        run(config, project / "r")
    with pytest.raises(InputError, match="pixels of the training images"):
        evaluate_stage(project / "r", "seed0/small-none+distill")


def test_what_cannot_be_read_binds_no_folder(project: Path) -> None:
    config = load(QUICK, settings(project))
    for name in ("t.safetensors", "mine.json", "networks_of_mine/net.py", "mine.npz"):
        _forget()
        (project / name).rename(project / "aside")
        with pytest.raises(InputError):
            open_run(project / "r", config)
        assert not (project / "r").exists()
        (project / "aside").rename(project / name)


def test_a_study_on_other_images_is_refused_and_its_keys_are_others(project: Path) -> None:
    config = load(QUICK, settings(project))
    keys = stage_keys(config)
    _forget()
    assert stage_keys(config) == keys
    for what in ("pixels of the training images", "module networks_of_mine.blocks", "t.safetensors", "mine.json"):
        _forget()
        kept = project.with_name("kept")
        shutil.copytree(project, kept)
        CHANGES[what](project)
        moved = {name for name, key in stage_keys(config).items() if key != keys[name]}
        shutil.copytree(kept, project, dirs_exist_ok=True)
        shutil.rmtree(kept)
        if what.startswith("pixels"):
            assert moved == set(keys)
        elif what.startswith("module"):
            assert moved == {name for name in keys if "small" in name}
        elif what == "mine.json":
            assert not moved  # white space: of a schedule its content counts
        else:
            assert moved == set(keys)  # the teacher, and all that it teaches


def test_streamed_pixels_are_read_whole_once_while_their_files_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", stream.integers(0, 256, (120, 1, 8, 8), np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(120) % 3)
    data = f"data={{name: npy, root: '{tmp_path}', validation: 20, test: 20, memory_budget_mb: 0.001}}"
    fewer = ["teacher.images=60", "students[0].images=60"]
    config = load(QUICK, ["seeds=[0]", data, "arms={teacher: [none], student: [none]}", *fewer])
    folder = open_run(tmp_path / "r", config)
    (folder.stage("seed0/teacher-none")).mkdir(parents=True)
    (folder.stage("seed0/teacher-none") / "record.jsonl").write_text("{}\n")
    read: list[object] = []
    module = sys.modules["rolewise.data.fingerprint"]
    whole = module._pixels
    monkeypatch.setattr(module, "_pixels", lambda source: read.append(source) or whole(source))
    _forget()
    open_run(tmp_path / "r", config)
    assert not read
    _forget()
    os.utime(tmp_path / "images.npy")
    open_run(tmp_path / "r", config)
    assert len(read) == 1
    _forget()
    with (tmp_path / "images.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(tmp_path / "images.npy")
    with pytest.raises(InputError, match="pixels of the training images"):
        open_run(tmp_path / "r", config)


def test_a_study_s_folder_is_bound_to_what_its_cells_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = load_study(HERE / "study.yaml", ["seeds=[0]"])
    folder = open_study(tmp_path / "s", asked)
    (folder.store("0" * 32)).mkdir(parents=True)
    (folder.store("0" * 32) / "record.jsonl").write_text("{}\n")
    open_study(tmp_path / "s", asked)
    before = input_digests.data_inputs(asked.cells[0].config)
    assert len(before) == 2
    marks = {key: {name: "0" * 64 for name in before} for key in input_digests._DATA}
    monkeypatch.setattr(input_digests, "_DATA", marks)
    with pytest.raises(InputError, match=r"data digits, pixels of the training images: \w{12} then, 000000000000 now"):
        open_study(tmp_path / "s", asked)
    open_study(tmp_path / "s", asked, extend=True)


def test_a_measurement_of_one_s_own_is_known_by_its_source(project: Path) -> None:
    from rolewise.config.measure_entries import MeasureEntry

    (project / "measures_of_mine.py").write_text("def one(model, batches):\n    return {'x': 1.0}\n")
    keys = set()
    for text in ("", "# other\n"):
        appended("measures_of_mine.py", text)(project)
        _forget()
        keys.add(measure_key("0", [MeasureEntry("measures_of_mine:one")]))
    assert len(keys) == 2


def test_own_sources_are_followed_and_nothing_is_imported(project: Path) -> None:
    (project / "networks_of_mine/__init__.py").write_text("raise RuntimeError('imported')\n")
    (project / "alone.py").write_text("import torch\nfrom networks_of_mine import net\nfrom no.such import thing\n")
    found = own_sources("alone:make")
    assert set(found) == {"alone", "networks_of_mine", "networks_of_mine.net", "networks_of_mine.blocks"}
    assert set(own_sources("torch.nn:Linear")) == {"torch.nn"}
    with pytest.raises(InputError, match="no module 'no_such_module'"):
        own_sources("no_such_module:make")


def test_sources_of_images_have_the_same_fingerprint_however_they_are_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 1, 4, 4), np.uint8)
    labels, classes = torch.arange(30) % 3, ("a", "b", "c")
    np.save(tmp_path / "x.npy", pixels)
    whole = fingerprint(ImageData(torch.from_numpy(pixels), labels, classes))
    mapped = fingerprint(StreamedArray(np.load(tmp_path / "x.npy", mmap_mode="r"), labels, classes))
    assert whole == mapped
    swapped = ImageData(torch.from_numpy(pixels[::-1].copy()), labels, classes)
    assert fingerprint(swapped)["pixels"] != whole["pixels"] and fingerprint(swapped)["labels"] == whole["labels"]
    renamed = ImageData(torch.from_numpy(pixels), labels, ("a", "b", "d"))
    assert fingerprint(renamed)["labels"] != whole["labels"]
    paths = [tmp_path / f"{index}.bin" for index in range(3)]
    for index, path in enumerate(paths):
        path.write_bytes(bytes([index]) * 16)
    files = StreamedFiles(paths, torch.arange(3), classes, lambda path: np.zeros((1, 4, 4), np.uint8), 1, (4, 4))
    before = fingerprint(files)
    assert fingerprint(files) == before
    paths[1].write_bytes(b"\x07" * 16)
    os.utime(paths[1], ns=(1, 1))
    assert fingerprint(files)["pixels"] != before["pixels"]
