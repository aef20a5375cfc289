"""A user's own loops, in an empty folder with nothing but the installed package: each trains, and all of them alike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import rolewise

ROOT = Path(__file__).resolve().parents[2]
(FIVE_LINES,) = re.findall(r"^Five lines .*?^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
#: Examples of libraries' own loops, run where the library is installed.
LIBRARIES = {
    "with_lightning.py": ("pytorch_lightning",),
    "with_trainer.py": ("transformers", "accelerate"),
    "with_accelerate.py": ("accelerate",),
}

LOOPS = '''
import json
import runpy
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import rolewise as rw

torch.set_num_threads(1)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
labels = torch.tensor(digits.target)
few, held_out = slice(0, 200), slice(1000, None)
loader = DataLoader(TensorDataset(images[few], labels[few]), 50)
EPOCHS = 6


def network(width, seed):
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 10))
    return nn.Sequential(body, head)


def accuracy(model):
    with torch.no_grad():
        return (model.eval()(images[held_out]).argmax(1) == labels[held_out]).float().mean().item()


def trained_teacher():
    model = network(16, 0)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(6):
        for part in torch.arange(1000).split(50):
            functional.cross_entropy(model(images[part]), labels[part]).backward()
            optimizer.step(), optimizer.zero_grad()
    return model


teacher = trained_teacher()
README = open("five_lines.py").read()


def plain():
    student = network(6, 1)
    optimizer = torch.optim.Adam(student.parameters(), 0.01)
    for _ in range(EPOCHS):
        exec(README, {"teacher": teacher, "student": student, "loader": loader, "optimizer": optimizer})
    return student


class Module(nn.Module):
    def __init__(self, student):
        super().__init__()
        self.distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)

    def training_step(self, batch, index):
        return self.distiller(*batch).total

    def configure_optimizers(self):
        return torch.optim.Adam(self.distiller.trainable_parameters(), 0.01)

    def on_train_batch_end(self):
        self.distiller.after_step()


def lightning_style():
    module = Module(network(6, 1)).train()
    optimizer = module.configure_optimizers()
    for _ in range(EPOCHS):
        for index, batch in enumerate(loader):
            loss = module.training_step(batch, index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            module.on_train_batch_end()
    return module.distiller.student


def trainer_style():
    model = rw.Distiller(teacher, network(6, 1), methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)

    def compute_loss(model, inputs, return_outputs=False):
        terms = model(inputs)
        return (terms.total, {"logits": terms.student_logits}) if return_outputs else terms.total

    optimizer = torch.optim.Adam(model.trainable_parameters(), 0.01)
    for _ in range(EPOCHS):
        for pixels, classes in loader:
            model.train()
            compute_loss(model, {"pixel_values": pixels, "labels": classes}).backward()
            optimizer.step()
            model.zero_grad()
        model.eval()
        with torch.no_grad():
            _, outputs = compute_loss(model, {"pixel_values": images[few], "labels": labels[few]}, return_outputs=True)
        assert outputs["logits"].shape == (200, 10)
    return model.student


def wrapped_in_accumulation(precision, size=25):
    """The loop of accelerate, and of autocast with a scaler: two batches make a step."""
    distiller = rw.Distiller(teacher, network(6, 1), methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)
    optimizer = torch.optim.Adam(distiller.trainable_parameters(), 0.01)
    scaler = torch.amp.GradScaler("cpu", enabled=precision == torch.float16)
    halves = DataLoader(TensorDataset(images[few], labels[few]), size)
    for _ in range(EPOCHS):
        for number, batch in enumerate(halves, 1):
            with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
                loss = distiller(*batch).total
            assert loss.dtype == torch.float32
            scaler.scale(loss * size / 50).backward()
            if number % (50 // size) == 0:
                scaler.unscale_(optimizer)
                scale = scaler.get_scale()
                scaler.step(optimizer)
                scaler.update()
                distiller.after_step(taken=scaler.get_scale() >= scale)
                optimizer.zero_grad()
    return distiller.student


def one_call():
    # An optimiser of torch's own defaults, which rolewise's Adam has too.
    rw.distill(teacher, student := network(6, 1), loader, epochs=EPOCHS, methods=rw.kd(temperature=4, weight=0.9),
               label_weight=0.1, schedule="constant",
               optimizer=rw.train.OptimizerSettings(name="adam", learning_rate=0.01, weight_decay=0.0))
    return student


loops = {
    "plain": plain,
    "lightning_style": lightning_style,
    "trainer_style": trainer_style,
    "one_call": one_call,
    "accumulation": lambda: wrapped_in_accumulation(torch.float32),
    "autocast": lambda: wrapped_in_accumulation(torch.bfloat16),
    "scaler": lambda: wrapped_in_accumulation(torch.float16),
}
found = {"file": rw.__file__, "teacher": accuracy(teacher)}
weights = {}
for name, loop in loops.items():
    student = loop()
    weights[name] = torch.cat([value.flatten() for value in student.state_dict().values()])
    found[name] = {
        "accuracy": accuracy(student),
        "equal": torch.equal(weights[name], weights["plain"]),
        "apart": (weights[name] - weights["plain"]).abs().max().item(),
    }
for example in sys.argv[1:]:
    runpy.run_path(example, run_name="__main__")
print(json.dumps(found))
'''


@pytest.mark.slow
def test_own_loops_train_alike_beside_the_installed_package(tmp_path: Path) -> None:
    installed, folder = tmp_path / "site", tmp_path / "mine"
    package = Path(rolewise.__file__).parent
    shutil.copytree(package, installed / "rolewise", ignore=shutil.ignore_patterns("__pycache__"))
    folder.mkdir()
    (folder / "loops.py").write_text(LOOPS)
    (folder / "five_lines.py").write_text(FIVE_LINES)
    examples = [name for name, packages in LIBRARIES.items() if all(map(find_spec, packages))]
    for name in examples:
        shutil.copy(ROOT / "examples" / name, folder)
    before = sorted(path.name for path in folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error::UserWarning:rolewise", "loops.py", *examples],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *shown, last = done.stdout.splitlines()
    found = json.loads(last)
    assert Path(found.pop("file")).is_relative_to(installed) and found.pop("teacher") > 0.85
    # What does the same work in the same order gives the same bytes; halves of batches and fewer bits come near.
    for name in ("plain", "lightning_style", "trainer_style"):
        assert found[name]["equal"], name
    assert found["one_call"]["apart"] < 1e-4 and found["accumulation"]["apart"] < 1e-3
    assert found["autocast"]["apart"] > 0 and min(result["accuracy"] for result in found.values()) > 0.6
    assert sum("distilled" in line for line in shown) == len(examples)
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing is written where nobody asked for it"
