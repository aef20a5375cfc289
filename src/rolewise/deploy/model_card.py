"""The model card beside an exported file: what it is, what it costs, and how it compares with floating point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from rolewise.deploy.file_formats import FAITHFUL, OnnxFile, Subject
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stages import section_of
from rolewise.files import read_json
from rolewise.quant import quantised_layers, size_in_bytes

#: Of the batches whose time is taken, and with how many threads.
BATCHES, THREADS = (1, 64), 1


@dataclass(frozen=True)
class CardRow:
    """One file in the comparison.

    Args:
        name: its name in the table.
        accuracy: in [0, 1].
        size: bytes on disk.
        macs: multiplications for one image.
        bit_operations: these, weighted by the bits of both factors.
        milliseconds: of one run, by batch; empty where none were taken.
    """

    name: str
    accuracy: float
    size: int
    macs: int
    bit_operations: int
    milliseconds: dict[int, float]


@dataclass(frozen=True)
class Exported:
    """A file that was written and tried.

    Args:
        path: the file.
        card: its model card.
        form: its format.
        agreement: share of images for which the file and the network predict the same class.
        accuracy: of the file on these images, in [0, 1].
        images: the number of images.
        part: the part of the images: ``test``, or ``validation`` where the run is not finished and its test set still
            sealed.
        rows: floating point, where it could be made, and the file.
        remarks: sentences beside the figures.
    """

    path: Path
    card: Path
    form: str
    agreement: float
    accuracy: float
    images: int
    part: str
    rows: tuple[CardRow, ...]
    remarks: tuple[str, ...]


def table(rows: tuple[CardRow, ...]) -> list[list[str]]:
    """Returns the comparison as cells, the headings first."""
    head = ["file", "accuracy", "bytes", "MACs", "bit operations", *(f"ms, batch {batch}" for batch in BATCHES)]
    return [head, *map(_cells, rows)]


def plain_table(rows: tuple[CardRow, ...]) -> str:
    """Returns the comparison as lines of text, the columns beneath one another."""
    cells = table(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(text.rjust(width) if index else text.ljust(width) for index, (text, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]
    return "\n".join(lines)


def _cells(row: CardRow) -> list[str]:
    times = [f"{row.milliseconds[batch]:.3g}" if batch in row.milliseconds else "-" for batch in BATCHES]
    return [row.name, f"{row.accuracy:.2%}", f"{row.size:,}", f"{row.macs:,}", f"{row.bit_operations:,}", *times]


def bits_of(model: nn.Module) -> str:
    """Returns the bits of a network's quantised layers, such as ``W4 A4``; ``float32`` where it has none."""
    found = sorted({f"W{layer.weight_bits} A{layer.activation_bits}" for _, layer in quantised_layers(model)})
    return ", ".join(found) or "float32"


def remark_on_grids(made: OnnxFile, part: str, without: float | None) -> str:
    """Returns the further grids of an ONNX file and their cost, or the reason for their absence.

    Args:
        made: the making of the file.
        part: the images of the comparison.
        without: agreement on these of a file with the network's own grids alone.
    """
    if made.fidelity is None:
        return "No further grids: the weights or the input of some layer are in floating point."
    share = f"{made.fidelity:.2%} of {made.images:,} training images"
    if not made.kept:
        return (
            f"Partly in floating point: with the further 8-bit grids that integers need, the file would predict as the "
            f"network for {share}, less than {FAITHFUL:.1%}. It may be slower than float32."
        )
    text = (
        f"For speed, what lies between layers at few bits is in integers: biases in int32, and {made.contents.grids} "
        "further 8-bit grids, on sums and on what is added up, which the network was not trained with, between the "
        f"ends that training images gave. The file predicts as the network for {share}"
    )
    return text + (
        f"; without the further grids, for {without:.2%} of the {part} images." if without is not None else "."
    )


def remark_on_time(form: str) -> str:
    """Returns the way in which the times were taken, or the reason for their absence."""
    if form == "packed":
        return (
            "A packed file has no time of its own: it stores weights, and the reader chooses what computes with them."
        )
    peer = "; PyTorch runs the torch program, ONNX Runtime the other" if form == "torch" else " in ONNX Runtime"
    return f"Times: median of runs in turns, {THREADS} thread of this machine's CPU{peer}."


def card(run: RunFolder, stage: Stage, subject: Subject, made: Exported) -> str:
    """Returns the card's text.

    Args:
        run: the network's run.
        stage: its training.
        subject: the network and its input.
        made: the file.
    """
    spec, size, model = subject.spec, subject.size, subject.model
    config, section = run.config(), section_of(run.config(), stage.role)
    few, names = len(list(quantised_layers(model))), list(map(_escaped, subject.classes))
    itself = "to be normalised as below" if made.form == "packed" else "normalised by the file itself"
    facts = {
        "network": f"{section.model.name} {section.model.arguments or ''}".strip(),
        "layers at few bits": f"{few} ({bits_of(model)})" if few else "none",
        "trained as": f"{stage.name} of the experiment {config.name}",
        "augmentation": stage.augmentation,
        "distilled": f"from {stage.teacher}" if stage.distilled else "no",
        "data": f"{config.data.name}",
        "classes, in the order of the outputs": f"{len(names):,}: {', '.join(names)}",
        "input": f"float32 [B, C, H, W] in [0, 1], {itself}; C, H, W = {', '.join(map(str, size))}",
        "mean, standard deviation": f"{_numbers(spec.mean)}; {_numbers(spec.std)}",
        "file": f"{made.path.name}, {made.form}, {made.path.stat().st_size:,} bytes",
        "weights at their bits": f"{size_in_bytes(model):,} bytes",
        f"accuracy of the file ({made.part} images)": f"{made.accuracy:.2%} of {made.images:,}",
        "predictions equal to the trained network's": f"{made.agreement:.2%}",
        "versions": ", ".join(f"{key} {value}" for key, value in _versions(run).items()),
    }
    known = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    lines = table(made.rows)
    lines.insert(1, ["---"] * len(lines[0]))
    compared = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"# {made.path.stem}\n\n| | |\n|---|---|\n{known}\n\n## Beside floating point\n\n{compared}\n\n"
        + "\n".join(f"- {remark}" for remark in made.remarks)
        + "\n\nOne training of one seed: see the run's report for means, intervals and controls.\n"
    )


def _escaped(name: str) -> str:
    """Returns a name as a cell of Markdown: a bar would end the cell, a line break the row."""
    return " ".join(name.replace("\\", "\\\\").replace("|", "\\|").split())


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _versions(run: RunFolder) -> dict[str, str]:
    path = run.root / "environment.json"
    known = read_json(path, "the run's environment") if path.is_file() else {}
    packages = known.get("packages", {})
    return {key: str(packages[key]) for key in ("rolewise", "torch") if key in packages}
