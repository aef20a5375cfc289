"""Share of images for which an ONNX file, in ONNX Runtime, predicts as the few-bit network that it was made from.

Every quantiser at 2, 4 and 8 bits, trained for some epochs on 1,000 digits; the other 797 are predicted. Three figures
for each file: in the runtime's default session; with its graph optimisations off; and, for the file with further 8-bit
grids, in the default session again. Predictions do not depend on how busy the machine is.

python benchmarks/onnx_agreement.py [--json FILE] [--epochs 12]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.data import read
from rolewise.models import build
from rolewise.quant import QUANTISERS, quantise
from rolewise.quant.onnx_export import save_onnx

NETWORKS: dict[str, dict[str, Any]] = {"resnet8": {}, "small_cnn": {"widths": [16, 32]}}
BITS, TRAINED_ON, BATCH = (2, 4, 8), 1000, 50


def digits() -> tuple[Tensor, Tensor, float, float]:
    """Returns all digits in [0, 1], their labels, in a drawn order, and mean and deviation of the training part."""
    source = read("digits").train
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    images = source.batch(order).float() / 255
    known = images[:TRAINED_ON]
    return images, source.labels[order], float(known.mean()), float(known.std())


def trained(name: str, quantiser: str, bits: int, images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """Returns a network at few bits but for its first and last layer, trained on normalised images."""
    plain = build(name, num_classes=10, channels=1, size=(8, 8), seed=0, **NETWORKS[name])
    model = quantise(plain, bits, quantiser=quantiser).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(images) // BATCH))
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for part in torch.randperm(len(images), generator=generator).split(BATCH):
            functional.cross_entropy(model(images[part]), labels[part]).backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    return model.eval()


def predicted(path: Path, images: Tensor, *, optimised: bool = True) -> Tensor:
    """Returns the classes that a file predicts, all images in one run."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0]).argmax(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images, labels, mean, std = digits()
    known, new = images[:TRAINED_ON], images[TRAINED_ON:]
    form: dict[str, Any] = {"size": (1, 8, 8), "mean": (mean,), "std": (std,)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for name in NETWORKS:
            for quantiser in QUANTISERS:
                for bits in BITS:
                    normalised = (known - mean) / std
                    model = trained(name, quantiser, bits, normalised, labels[:TRAINED_ON], arguments.epochs)
                    with torch.no_grad():
                        own = model((new - mean) / std).argmax(1)
                    save_onnx(model, path, **form)
                    found = {"default": predicted(path, new), "unoptimised": predicted(path, new, optimised=False)}
                    save_onnx(model, path, calibration=known[::2], **form)
                    found["further_grids"] = predicted(path, new)
                    shares = {kind: float((classes == own).double().mean()) for kind, classes in found.items()}
                    accuracy = float((own == labels[TRAINED_ON:]).double().mean())
                    rows.append({"network": name, "quantiser": quantiser, "bits": bits, "accuracy": accuracy, **shares})
                    text = "  ".join(f"{kind} {share:.4f}" for kind, share in shares.items())
                    print(f"{name:<10} {quantiser:<7} {bits}  accuracy {accuracy:.4f}  {text}", flush=True)
    if arguments.json:
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        versions |= {"onnxruntime": onnxruntime.__version__}
        content = {**versions, "epochs": arguments.epochs, "images": len(new), "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
