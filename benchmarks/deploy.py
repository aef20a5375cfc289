"""ResNet-18 on 32x32 images in ONNX Runtime: int8 and W4 A8 against float32, in turns in one run; PyTorch for context.

All have their norms folded, the float32 peers too.

python benchmarks/deploy.py [--json FILE] [--threads 1 2] [--profile]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import quiet
import torch
from torch import Tensor, nn

from rolewise.models import build
from rolewise.quant import fold_batch_norm, quantise
from rolewise.quant.onnx_export import save_onnx

SIZE, MEAN, STD = (3, 32, 32), (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
BATCHES = {1: 60, 64: 6}


def networks(images: Tensor) -> dict[str, nn.Module]:
    """Returns ResNet-18 in floating point and at few bits, their norms and ranges set by a few passes of images."""
    plain = build("resnet18", num_classes=10, channels=3, size=SIZE[1:], seed=0).train()
    found = {"float32": plain}
    with torch.no_grad():
        for _ in range(3):
            plain(_normalised(images))
        for name, weights in (("int8", 8), ("W4 A8", 4)):
            found[name] = quantise(plain, {"weights": weights, "activations": 8}).train()
            for _ in range(3):
                found[name](_normalised(images))
    return {name: model.eval() for name, model in found.items()}


def session(path: Path, threads: int, **settings: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    # Several sessions stand side by side: threads that wait for work in a loop would take it from the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in settings.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measured(runs: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each run, round for round; the first two rounds warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        quiet.beat()
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number > 1:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def operators(path: Path) -> dict[str, int]:
    """Returns how many of each operator ONNX Runtime makes of a file."""
    optimised = path.with_suffix(".optimised")
    session(path, 1, optimized_model_filepath=str(optimised))
    return dict(Counter(node.op_type for node in onnx.load(optimised).graph.node).most_common())


def profile(path: Path, images: Tensor, rounds: int = 5) -> dict[str, float]:
    """Returns the share of each operator in the time of a run."""
    own = session(path, 1, enable_profiling=True, profile_file_prefix=str(path.with_suffix("")))
    for _ in range(rounds):
        own.run(None, {"images": images.numpy()})
    spent: Counter[str] = Counter()
    for event in json.loads(Path(own.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    return {name: round(part / spent.total(), 3) for name, part in spent.most_common(5)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--profile", action="store_true", help="print where the time goes as well")
    arguments = parser.parse_args()
    images = torch.rand(64, *SIZE, generator=torch.Generator().manual_seed(0))
    models = networks(images)
    torch_model = fold_batch_norm(models["float32"]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows, files = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            path = Path(folder) / f"{name.replace(' ', '')}.onnx"
            calibration = None if name == "float32" else images
            save_onnx(model, path, size=SIZE, mean=MEAN, std=STD, calibration=calibration)
            files[name] = {"bytes": path.stat().st_size, "operators": operators(path)}
            print(f"{name:<8} {path.stat().st_size:>12,} bytes  {files[name]['operators']}")
            if arguments.profile:
                files[name]["time"] = profile(path, images)
                print(f"         time at batch 64: {files[name]['time']}")
        for threads in arguments.threads:
            quiet.begin(threads)
            sessions = {name: session(Path(folder) / f"{name.replace(' ', '')}.onnx", threads) for name in models}
            for batch, rounds in BATCHES.items():
                part = images[:batch]
                runs: dict[str, Any] = {
                    name: lambda own=own, part=part: own.run(None, {"images": part.numpy()})
                    for name, own in sessions.items()
                }
                runs["PyTorch"] = lambda part=part: _in_torch(torch_model, part)
                seconds = measured(runs, rounds)
                print(f"batch {batch}, {threads} threads")
                for name, times in seconds.items():
                    ratio = statistics.median(
                        plain / mine for mine, plain in zip(times, seconds["float32"], strict=True)
                    )
                    milliseconds = 1000 * statistics.median(times)
                    rows.append(
                        {
                            "name": name,
                            "batch": batch,
                            "threads": threads,
                            "milliseconds": milliseconds,
                            "times_as_fast_as_float32": ratio,
                        }
                    )
                    print(f"  {name:<8} {milliseconds:9.2f} ms   {ratio:.2f} times as fast as float32")
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions |= {"onnxruntime": onnxruntime.__version__}
    quiet.write(arguments.json, {**versions, "files": files, "rows": rows})


@torch.inference_mode()
def _in_torch(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model(_normalised(images).contiguous(memory_format=torch.channels_last))
    return logits


def _normalised(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)


if __name__ == "__main__":
    main()
