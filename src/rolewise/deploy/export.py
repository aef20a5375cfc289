"""Out of the laboratory: a trained network as a file for elsewhere, checked by running it, with a model card."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from rolewise.data import Source
from rolewise.deploy import file_formats
from rolewise.deploy.file_formats import OnnxFile, Predict, Subject
from rolewise.deploy.latency import in_turns
from rolewise.deploy.model_card import (
    BATCHES,
    THREADS,
    CardRow,
    Exported,
    bits_of,
    card,
    remark_on_grids,
    remark_on_time,
)
from rolewise.errors import InputError, near
from rolewise.experiment import builders
from rolewise.experiment.evaluation import finished_training
from rolewise.experiment.run_folder import RunFolder, existing_run
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stages import section_of, trained_network
from rolewise.files import AnyPath, as_path, write_text
from rolewise.inputs import InputSpec, prepare
from rolewise.quant import operations, quantised_layers, restore
from rolewise.threads import torch_threads

FORMATS = ("onnx", "packed", "torch")
#: Training images that ends of grids are taken from, at most.
_CALIBRATION = 512


def default_stage(root: AnyPath) -> str:
    """Returns the training to export where none is named.

    Of the first seed and of the last student with few bits, or of the last one where none has few: under its own
    augmentation, or the first arm's where there is no such arm; distilled where that exists.

    Args:
        root: the run folder.
    """
    config = existing_run(as_path(root, "root")).config()
    few = [student.name for student in config.students if student.quantise is not None]
    role = (few or [student.name for student in config.students])[-1]
    arms = [stage for stage in stages_of(config) if stage.kind == "arm" and stage.role == role]
    own = [stage for stage in arms if stage.augmentation == "own"]
    same = own or [stage for stage in arms if stage.augmentation == arms[0].augmentation]
    return ([stage for stage in same if stage.distilled] or same)[0].name


def export_stage(root: AnyPath, name: str, form: str, out: AnyPath) -> Exported:
    """Exports one trained network of a run and runs the file on the run's own images.

    Args:
        root: the run folder.
        name: the training's stage.
        form: ``onnx``, ``packed`` or ``torch``.
        out: the file; the model card is written beside it, its name with .md behind it.

    Raises:
        InputError: the stage, the format or the network does not go.
    """
    if form not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {form!r}{near(form, FORMATS)}")
    run, stage = finished_training(root, name)
    threads = run.config().threads
    with torch_threads(threads):
        return _exported(run, stage, form, as_path(out, "out"), threads)


def _exported(run: RunFolder, stage: Stage, form: str, out: Path, threads: int) -> Exported:
    task = builders.configured_task(run.config()).name
    if task != "classification":
        raise InputError(
            f"an export must be of a run of classification, got {task}: a file is compared by its classes; load the "
            f"weights of {stage.name} and write the network with torch.export"
        )
    data = seed_data_of(run.config(), stage.seed, torch.device("cpu"))
    subject = _subject(run, data, stage)
    made = None
    if form == "onnx":
        # Before anything is written: a file that cannot be tried is not exported.
        file_formats.runtime()
        made = file_formats.write_onnx(subject, out)
        predict = file_formats.of_onnx(out, threads)
    elif form == "packed":
        file_formats.write_packed(subject, out)
        predict = file_formats.of_packed(subject, out)
    else:
        file_formats.write_program(subject, out)
        predict = file_formats.of_program(out)
    source, indices, part = _images(run, data, stage)
    images, labels = _pixels(source, indices, subject.spec), source.labels[indices].cpu()
    theirs = file_formats.classes(predict, images)
    ours = file_formats.classes(file_formats.of_network(subject), images)
    agreement, accuracy = (float((theirs == other).float().mean()) for other in (ours, labels))
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(subject, form, out, accuracy, images, labels, Path(folder))
        remarks = [remark_on_time(form)]
        if made is not None and list(quantised_layers(subject.model)):
            remarks.append(remark_on_grids(made, part, _without(subject, made, images, Path(folder))))
    result = Exported(
        out, out.with_name(out.name + ".md"), form, agreement, accuracy, len(indices), part, rows, tuple(remarks)
    )
    write_text(result.card, card(run, stage, subject, result))
    return result


def _subject(run: RunFolder, data: SeedData, stage: Stage) -> Subject:
    section = section_of(run.config(), stage.role)
    spec = data.spec(section.model)
    # Spread over all of them, as they may be sorted by class. Labels are not looked at: a student that was trained on
    # few labelled images may see them too.
    chosen = data.train[:: -(-len(data.train) // _CALIBRATION)]
    return Subject(
        trained_network(run, data, stage).cpu(),
        partial(data.network, section.model, stage.role),
        spec,
        data.fed(section.model),
        _pixels(data.source, chosen, spec),
        data.source.classes,
    )


def _pixels(source: Source, indices: Tensor, spec: InputSpec) -> Tensor:
    """Returns images as a file takes them: float32 in [0, 1], of the network's channels and size."""
    plain = InputSpec((0.0,) * spec.channels, (1.0,) * spec.channels, spec.size)
    return torch.cat([prepare(source.batch(part), plain).cpu() for part in torch.split(indices, 256)])


def _images(run: RunFolder, data: SeedData, stage: Stage) -> tuple[Source, Tensor, str]:
    if (run.root / "results.json").is_file():
        opened = data.test.open(f"an export of {stage.name} from a finished run")
        return opened.source, opened.indices, "test"
    return data.source, data.validation, "validation"


def _rows(
    subject: Subject, form: str, out: Path, accuracy: float, images: Tensor, labels: Tensor, folder: Path
) -> tuple[CardRow, ...]:
    """Returns the float network's file and the one that was written, side by side."""
    cost = operations(subject.model, subject.size)
    kinds = {"onnx": "ONNX", "packed": "packed", "torch": "torch program"}
    own = CardRow(
        f"{bits_of(subject.model)}, {kinds[form]}", accuracy, out.stat().st_size, cost.macs, cost.bit_operations, {}
    )
    runs: dict[str, Predict] = {}
    if form == "onnx":
        runs["own"] = file_formats.of_onnx(out, THREADS)
    elif form == "torch":
        runs["own"] = file_formats.of_program(out)
    rows = [own]
    if form != "onnx" or list(quantised_layers(subject.model)):
        rows = [*_float_row(subject, images, labels, folder, runs), own]
    times = _times(runs, subject.size)
    names = ["float", "own"][-len(rows) :]
    return tuple(replace(row, milliseconds=times.get(name, {})) for row, name in zip(rows, names, strict=True))


def _float_row(
    subject: Subject, images: Tensor, labels: Tensor, folder: Path, runs: dict[str, Predict]
) -> list[CardRow]:
    """Returns the row of the same weights in float32; none where ONNX is not installed, or cannot hold the network."""
    twin, path = restore(subject.model), folder / "float.onnx"
    try:
        file_formats.write_onnx(replace(subject, model=twin), path)
    except InputError:
        return []
    accuracy = float((file_formats.classes(file_formats.of_onnx(path), images) == labels).float().mean())
    cost = operations(twin, subject.size)
    if runs:
        runs["float"] = file_formats.of_onnx(path, THREADS)
    return [CardRow("float32, ONNX", accuracy, path.stat().st_size, cost.macs, cost.bit_operations, {})]


def _times(runs: dict[str, Predict], size: tuple[int, int, int]) -> dict[str, dict[int, float]]:
    times: dict[str, dict[int, float]] = {name: {} for name in runs}
    with torch_threads(THREADS):
        for batch in BATCHES if runs else ():
            images = torch.rand(batch, *size, generator=torch.Generator().manual_seed(0))
            found = in_turns({name: partial(run, images) for name, run in runs.items()})
            for name, milliseconds in found.items():
                times[name][batch] = milliseconds
    return times


def _without(subject: Subject, made: OnnxFile, images: Tensor, folder: Path) -> float | None:
    """Returns for how many images a file without the further grids predicts as the network."""
    if not made.kept or not made.contents.grids:
        return None
    path = folder / "own.onnx"
    file_formats.write_onnx(subject, path, exact=True)
    return file_formats.agreement(file_formats.of_onnx(path), file_formats.of_network(subject), images)
