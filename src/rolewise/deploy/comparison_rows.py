"""The rows of a comparison of an exported file with floating point: metric, size, operations, time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from rolewise.deploy.file_agreement import Predict, agreement, outputs
from rolewise.deploy.file_formats import OnnxFile, Subject, of_network, of_onnx, of_program, write_onnx
from rolewise.deploy.latency import in_turns
from rolewise.errors import InputError
from rolewise.quant import operations, quantised_layers, restore
from rolewise.threads import torch_threads

#: Of the batches whose time is taken, and with how many threads.
BATCHES, THREADS = (1, 64), 1


@dataclass(frozen=True)
class CardRow:
    """One file in the comparison.

    Args:
        name: its name in the table.
        score: its first metric.
        size: bytes on disk.
        macs: multiplications for one image.
        bit_operations: these, weighted by the bits of both factors.
        milliseconds: of one run, by batch; empty where none were taken.
    """

    name: str
    score: float
    size: int
    macs: int
    bit_operations: int
    milliseconds: dict[int, float]


def bits_of(model: nn.Module) -> str:
    """Returns the bits of a network's quantised layers, such as ``W4 A4``; ``float32`` where it has none."""
    found = sorted({f"W{layer.weight_bits} A{layer.activation_bits}" for _, layer in quantised_layers(model)})
    return ", ".join(found) or "float32"


def comparison_rows(
    subject: Subject,
    form: str,
    out: Path,
    value: float,
    measure: Callable[[Tensor], float],
    inputs: Tensor,
    folder: Path,
) -> tuple[CardRow, ...]:
    """Returns the float network's file and the one that was written, side by side.

    Args:
        subject: the network.
        form: format of the file.
        out: the file.
        value: its first metric.
        measure: returns the first metric of outputs [N, K].
        inputs: images in the form of the file.
        folder: for files of the comparison.
    """
    cost = operations(subject.model, subject.size)
    kinds = {"onnx": "ONNX", "packed": "packed", "torch": "torch program"}
    own = CardRow(
        f"{bits_of(subject.model)}, {kinds[form]}", value, out.stat().st_size, cost.macs, cost.bit_operations, {}
    )
    runs: dict[str, Predict] = {}
    if form == "onnx":
        runs["own"] = of_onnx(out, THREADS)
    elif form == "torch":
        runs["own"] = of_program(out)
    rows = [own]
    if form != "onnx" or list(quantised_layers(subject.model)):
        rows = [*_float_row(subject, measure, inputs, folder, runs), own]
    times = _times(runs, subject)
    names = ["float", "own"][-len(rows) :]
    return tuple(replace(row, milliseconds=times.get(name, {})) for row, name in zip(rows, names, strict=True))


def _float_row(
    subject: Subject, measure: Callable[[Tensor], float], inputs: Tensor, folder: Path, runs: dict[str, Predict]
) -> list[CardRow]:
    """Returns the row of the same weights in float32; none where ONNX is not installed, or cannot hold the network."""
    twin, path = restore(subject.model), folder / "float.onnx"
    try:
        write_onnx(replace(subject, model=twin), path)
    except InputError:
        return []
    value = measure(outputs(of_onnx(path), inputs))
    cost = operations(twin, subject.size)
    if runs:
        runs["float"] = of_onnx(path, THREADS)
    return [CardRow("float32, ONNX", value, path.stat().st_size, cost.macs, cost.bit_operations, {})]


def _times(runs: dict[str, Predict], subject: Subject) -> dict[str, dict[int, float]]:
    times: dict[str, dict[int, float]] = {name: {} for name in runs}
    shape = subject.form.image or subject.size
    with torch_threads(THREADS):
        for batch in BATCHES if runs else ():
            draws = torch.Generator().manual_seed(0)
            images = subject.form.inputs(torch.randint(0, 256, (batch, *shape), generator=draws, dtype=torch.uint8))
            found = in_turns({name: partial(run, images) for name, run in runs.items()})
            for name, milliseconds in found.items():
                times[name][batch] = milliseconds
    return times


def without_grids(subject: Subject, made: OnnxFile, inputs: Tensor, folder: Path) -> float | None:
    """Returns the share of images for which a file without the further grids predicts as the network.

    Args:
        subject: the network.
        made: the making of its file; where that has no further grids, the result is None.
        inputs: images in the form of the file.
        folder: for the file without them.
    """
    if not made.kept or not made.contents.grids:
        return None
    path = folder / "own.onnx"
    write_onnx(subject, path, exact=True)
    return agreement(subject.facts, outputs(of_onnx(path), inputs), outputs(of_network(subject), inputs)).share
