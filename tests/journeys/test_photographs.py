"""From a folder of photographs and a teacher's .pt file to an int8 student that is served: the page's own commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from rolewise import cli
from rolewise.data.data_checks import CopiesWarning
from rolewise.data.image_decoder import decode_image
from rolewise.deploy import predict_pictures
from rolewise.models import build

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "photos.md").read_text(encoding="utf-8")
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def block(language: str) -> str:
    """Returns the page's first block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.S | re.M)
    assert found
    return found[1]


def synthetic(folder: Path) -> None:
    """Draws photographs of two kinds: stripes across and along, of any colour, of unequal size and orientation."""
    draws = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for number in range(1, 61):
            height, width = draws.integers(40, 70, 2)
            pixels = draws.normal(120, 25, (height, width, 3)) + draws.normal(0, 30, 3)
            stripes = 45 * np.sin(np.arange(max(height, width)) * draws.uniform(0.5, 0.8))
            pixels += stripes[:height, None, None] if kind == "cat" else stripes[None, :width, None]
            picture, exif = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), Image.Exif()
            if number % 5 == 0:
                # Held on its side: the camera stores it turned and says so.
                picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
            picture.save(folder / kind / f"{number:03}.jpg", quality=90, exif=exif)


def real(folder: Path, source: Path) -> None:
    """Copies photographs of two classes that are easily told apart: tenches and church buildings."""
    for kind, name in (("cat", "n01440764"), ("dog", "n03028079")):
        (folder / kind).mkdir(parents=True)
        for number, path in enumerate(sorted((source / name).iterdir())[:60], 1):
            shutil.copy(path, folder / kind / f"{number:03}.jpg")


def train_teacher(folder: Path, out: Path) -> None:
    """Trains a teacher in plain PyTorch, as its owner would have, and leaves a checkpoint of a wrapped network."""
    files = sorted(folder.glob("*/*.jpg"))
    labels = torch.tensor([int(path.parent.name == "dog") for path in files])
    images = torch.stack([torch.from_numpy(decode_image(path, (32, 32), 3)) for path in files])
    images = (images.float() / 255 - MEAN) / STD
    teacher = build("resnet20", num_classes=2, channels=3, size=(32, 32), seed=1)
    optimizer = torch.optim.Adam(teacher.parameters(), 2e-3)
    draws = torch.Generator().manual_seed(0)
    for _ in range(4):
        for part in torch.randperm(len(files), generator=draws).split(24):
            nn.functional.cross_entropy(teacher(images[part]), labels[part]).backward()
            optimizer.step()
            optimizer.zero_grad()
    state = {f"module.{name}": tensor for name, tensor in teacher.state_dict().items()}
    torch.save({"epoch": 4, "state_dict": state}, out)


def command(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a command line of rolewise in this process; returns what it prints."""
    monkeypatch.setattr("sys.argv", shlex.split(line))
    cli.main()
    return capsys.readouterr().out


def ask(file: str, pictures: list[Path]) -> list[dict[str, Any]]:
    """Starts the server of the page on a free port, asks it for each picture, and stops it."""
    serving = subprocess.Popen(
        [sys.executable, "-W", "error", "serve.py", file, "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with serving as server:
        try:
            assert server.stdout is not None
            address, found = server.stdout.readline().strip(), []
            for picture in pictures:
                request = urllib.request.Request(address, picture.read_bytes())
                with urllib.request.urlopen(request, timeout=240) as answer:
                    found.append(json.load(answer)["predictions"])
        finally:
            server.terminate()
    return found


@pytest.mark.slow
def test_photographs_and_a_teacher_s_file_become_a_served_student(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    photographs = tmp_path / "photographs"
    if os.environ.get("ROLEWISE_DATA"):
        real(photographs, request.getfixturevalue("restored")("imagenette", "imagenette160") / "imagenette160")
    else:
        synthetic(photographs)
    train_teacher(photographs, tmp_path / "teacher.pt")
    config = block("yaml")
    assert len(config.splitlines()) <= 15 and "epochs: 60" in config
    # The page's own config, but for patience.
    (tmp_path / "photos.yaml").write_text(config.replace("epochs: 60", "epochs: 4"))
    shutil.copy(ROOT / "examples" / "serve.py", tmp_path)
    lines = block("bash").splitlines()
    assert len(lines) == 6
    validate, run, export, predict, serve, curl = lines

    text = command(validate, monkeypatch, capsys)
    assert "teacher.weights" in text and "loaded" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CopiesWarning)
        text = command(run, monkeypatch, capsys)
    results = json.loads(Path("run/results.json").read_text())
    assert {arm["name"] for arm in results["arms"]} == {"standard", "standard+distill"}
    assert all((arm["weight_bits"], arm["activation_bits"]) == (8, 8) for arm in results["arms"])
    assert "run/report.html" in text

    text = command(export, monkeypatch, capsys)
    assert "Stage: seed0/small-standard+distill" in text
    (share,) = re.findall(r"In a default session of ONNX Runtime .* as the trained network for (\S+)% of 24 test", text)
    card = Path("student.onnx.md").read_text()
    assert float(share) >= 90 and f"{share}% of 24 test images" in card
    assert "Warning: 2 layers stay in floating point" in text and "2: cat, dog" in card
    session = onnxruntime.InferenceSession("student.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == ["cat", "dog"] and facts["origin"].endswith("of photos")
    assert has_int8_weights(tmp_path / "student.onnx")

    text = command(predict, monkeypatch, capsys)
    assert text.count("photographs/cat/") == 60 and max(map(len, text.splitlines())) <= 80
    pictures = sorted(photographs.glob("*/*.jpg"))[::7]
    found = predict_pictures("student.onnx", pictures)
    assert serve == "python serve.py student.onnx 8000 &"
    (asked,) = re.findall(r"^curl --data-binary @(\S+) http://127\.0\.0\.1:8000$", curl)
    answers = ask("student.onnx", [tmp_path / asked, *pictures])
    assert {entry["class"] for entry in answers.pop(0)} == {"cat", "dog"}
    for prediction, answer in zip(found, answers, strict=True):
        served = {entry["class"]: entry["probability"] for entry in answer}
        assert prediction.values == pytest.approx((served["cat"], served["dog"]), abs=1e-5)
    # The run itself, read without its photographs' neighbours, says the same but for the file's rounding.
    by_run = predict_pictures("run", pictures)
    apart = [abs(one.values[0] - other.values[0]) for one, other in zip(found, by_run, strict=True)]
    assert max(apart) < 0.2 and float(np.mean(apart)) < 0.02


def has_int8_weights(path: Path) -> bool:
    """Returns whether a file holds integers that are multiplied: weights behind a DequantizeLinear."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(path).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    whole = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    read = [kinds.get(node.input[0]) for node in graph.node if node.op_type == "DequantizeLinear"]
    return sum(kind in whole for kind in read) >= 5
