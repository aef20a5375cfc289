"""From a loop of one's own to answers over HTTP: a network as an ONNX file, served by serve.py, asked for a picture."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import rolewise as rw
from rolewise.quant import quantise

digits = load_digits()
images = torch.tensor(digits.images * 255 / 16).round().to(torch.uint8).unsqueeze(1)
labels = torch.tensor(digits.target)
spec = rw.InputSpec(mean=(0.3,), std=(0.4,))


def student() -> nn.Module:
    """Trains a small network at 8 bits on the first 1,000 digits, for a few epochs."""
    plain = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    model = quantise(plain, 8, keep=())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(5):
        for part in torch.randperm(1000).split(50):
            inputs = (images[part].float() / 255 - 0.3) / 0.4
            functional.cross_entropy(model(inputs), labels[part]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path, names = Path(folder) / "student.onnx", [f"the digit {number}" for number in range(10)]
        form = {"input": "uint8_bhwc", "output": "probabilities"}
        made = rw.export_network(
            student(), path, image=(1, 8, 8), spec=spec, classes=names, images=images[:1000], **form
        )
        print(*made.remarks, sep="\n")
        # What the server gets is a picture file, as a camera or a browser sends it.
        picture = Path(folder) / "picture.png"
        Image.fromarray(images[1700, 0].numpy()).save(picture)
        command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(path), "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            try:
                assert server.stdout is not None
                address = server.stdout.readline().strip()
                with urllib.request.urlopen(
                    urllib.request.Request(address, picture.read_bytes()), timeout=30
                ) as answer:
                    found = json.load(answer)["predictions"]
            finally:
                server.terminate()
        print(f"{address} answers: {found[0]['class']}, {found[0]['probability']:.1%}")
        (known,) = rw.predict_pictures(path, [picture])
        assert found[0]["class"] == names[labels[1700]] == names[known.values.index(max(known.values))]
        assert abs(found[0]["probability"] - max(known.values)) < 1e-6


if __name__ == "__main__":
    main()
