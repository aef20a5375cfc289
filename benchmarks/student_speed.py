"""Small students against their teachers: photographs in ONNX Runtime, text encoders in PyTorch; processor time.

Photographs: EfficientNet-Lite2 in float32 against the student of configs/imagenette.yaml in 8-bit integers, as files
of ONNX Runtime with norms folded, a photograph at a time, on the sides that the config gives to each, and the teacher
on its own side too. Texts: the encoder of configs/sst2.yaml whole against the student's two layers, 32 texts of 32
tokens. Time does not depend on the weights, so that these are drawn and not trained. A part whose packages are not
installed is left out and named. All on one thread.

python benchmarks/student_speed.py [--json FILE] [--quick]
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import quiet
import torch
import yaml
from torch import nn

from rolewise.models import build
from rolewise.quant import quantise

CONFIG = yaml.safe_load((Path(__file__).resolve().parent.parent / "configs" / "imagenette.yaml").read_text("utf-8"))
NETWORK = CONFIG["students"][0]["model"]
#: Sides of the teacher's and the student's images, and the teacher's own.
TEACHER, STUDENT, OWN = CONFIG["teacher"]["model"]["size"][0], NETWORK["size"][0], 260
SPEC = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}


def photographs(teacher: nn.Module, folder: Path) -> dict[str, Callable[[], Any]]:
    """Returns a run of each network on a photograph: the teacher at two sizes, the student in floats and in int8."""
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(64, 3, STUDENT, STUDENT, generator=draws)
    plain = build(NETWORK["name"], num_classes=10, channels=3, size=(STUDENT, STUDENT), seed=0)
    bits = quantise(plain, {"weights": 8, "activations": 8}).train()
    with torch.no_grad():
        for _ in range(3):
            bits((images - 0.5) / 0.5)
    files = {
        f"teacher, {TEACHER} pixels": (teacher, TEACHER, None),
        f"teacher, {OWN} pixels": (teacher, OWN, None),
        "student, float32": (plain.eval(), STUDENT, None),
        "student, int8": (bits.eval(), STUDENT, images),
    }
    return {name: _session(folder / f"{at}.onnx", *one) for at, (name, one) in enumerate(files.items())}


def _session(path: Path, network: nn.Module, side: int, calibration: Any) -> Callable[[], Any]:
    import onnxruntime

    from rolewise.quant.onnx_export import save_onnx

    save_onnx(network.eval(), path, size=(3, side, side), **SPEC, calibration=calibration)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)).numpy()
    return lambda: session.run(None, {"images": image})


def texts(batch: int = 32, length: int = 32) -> dict[str, Callable[[], Any]]:
    """Returns a run of the teacher's encoder and of one with two of its layers, without their embeddings' tables."""
    from transformers import BertConfig, BertModel

    sides = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "vocab_size": 30522}
    words = torch.randint(0, 30522, (batch, length), generator=torch.Generator().manual_seed(0))
    found: dict[str, Callable[[], Any]] = {}
    for name, layers in (("teacher, 6 layers", 6), ("student, 2 layers", 2)):
        network = BertModel(BertConfig(**sides, num_hidden_layers=layers), add_pooling_layer=False).eval()
        found[name] = lambda network=network: _without_gradient(network, words)
    return found


@torch.inference_mode()
def _without_gradient(network: nn.Module, words: torch.Tensor) -> Any:
    return network(words)


def measured(runs: dict[str, Callable[[], Any]], student: str, rounds: int) -> list[dict[str, Any]]:
    """Prints and returns each run's milliseconds of processor time, and its ratio to the student's, in turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        quiet.beat()
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number > 1:
                times[name].append(1000 * (time.process_time() - start))
    rows = []
    for name, own in times.items():
        row = {"name": name, "milliseconds": statistics.median(own), "of_student": quiet.ratio(own, times[student])}
        ratio = row["of_student"]
        times_of = f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}) times the student"
        print(f"  {name:<22} {row['milliseconds']:9.3f} ms   {times_of}")
        rows.append(row)
    return rows


def main() -> None:
    arguments = quiet.command_line(__doc__).parse_args()
    rounds = 5 if arguments.quick else 60
    quiet.begin(1)
    found: dict[str, Any] = {}
    missing = [name for name in ("onnxruntime", "efficientnet_lite_pytorch") if not importlib.util.find_spec(name)]
    if missing:
        print(f"photographs: left out, {' and '.join(missing)} not installed")
    else:
        teacher = build("efficientnet_lite:lite2", num_classes=1000, channels=3)
        with tempfile.TemporaryDirectory() as folder:
            print("photographs, one at a time")
            runs = photographs(teacher, Path(folder))
            found["photographs"] = measured(runs, "student, int8", rounds)
    if importlib.util.find_spec("transformers"):
        print("texts, 32 of 32 tokens")
        found["texts"] = measured(texts(), "student, 2 layers", max(5, rounds // 3))
    else:
        print("texts: left out, transformers not installed")
    quiet.write(arguments.json, found, claim=not arguments.quick)


if __name__ == "__main__":
    main()
