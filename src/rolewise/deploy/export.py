"""Out of the laboratory: a trained network as a file for elsewhere, checked by running it, with a model card."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from rolewise.data import Source
from rolewise.deploy.compared_images import compared_images
from rolewise.deploy.comparison_rows import comparison_rows, without_grids
from rolewise.deploy.export_remarks import (
    remark_on_agreement,
    remark_on_floats,
    remark_on_grids,
    remark_on_time,
    runtime_of,
)
from rolewise.deploy.file_agreement import Predict, agreement, outputs, score
from rolewise.deploy.file_facts import KINDS, BoxRules, FileFacts, form_of, kind_of_task
from rolewise.deploy.file_formats import (
    OnnxFile,
    Subject,
    file_network,
    of_network,
    of_onnx,
    of_packed,
    of_program,
    write_onnx,
    write_packed,
    write_program,
)
from rolewise.deploy.kept_agreement import keep_agreement
from rolewise.deploy.model_card import Exported, card
from rolewise.deploy.stage_choice import default_stage
from rolewise.deploy.text_export import export_texts, is_of_texts
from rolewise.errors import InputError, near
from rolewise.experiment import builders
from rolewise.experiment.evaluation import finished_training
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stage_network import rules_of_data
from rolewise.experiment.stages import WEIGHTS, trained_network
from rolewise.files import AnyPath, as_path, sha256, write_text
from rolewise.onnx_packages import check_onnx_packages
from rolewise.quant import quantised_layers
from rolewise.tasks import MultiLabel, build_task
from rolewise.threads import torch_threads

__all__ = ["FORMATS", "default_stage", "export_stage", "written"]

FORMATS = ("onnx", "packed", "torch")
#: Training images that ends of grids are taken from, at most.
_CALIBRATION = 512


def export_stage(
    root: AnyPath, name: str, form: str, out: AnyPath, *, given: str = "float32", output: str = "logits"
) -> Exported:
    """Exports one trained network of a run and runs the file on the run's own images or texts.

    Args:
        root: the run folder.
        name: the training's stage.
        form: ``onnx``, ``packed`` or ``torch``.
        out: the file; the model card is written beside it, its name with .md behind it.
        given: kind of images that the file takes: ``float32`` in [0, 1], ``uint8``, both [B, C, H, W], or
            ``uint8_bhwc``, [B, H, W, C]. Files of texts take tokens.
        output: ``logits`` or ``probabilities``.

    Raises:
        InputError: the stage, the format, the form or the network does not go.
    """
    if form not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {form!r}{near(form, FORMATS)}")
    if form == "onnx":
        check_onnx_packages()
    run, stage = finished_training(root, name)
    path, threads = as_path(out, "out"), run.config().threads
    if is_of_texts(run):
        with torch_threads(threads):
            return export_texts(run, stage, form, path, given, output)
    if form == "packed" and (given, output) != ("float32", "logits"):
        raise InputError("format packed stores weights alone and takes no input or output; leave them out")
    with torch_threads(threads):
        return _exported(run, stage, form, path, threads, given, output)


def _exported(run: RunFolder, stage: Stage, form: str, out: Path, threads: int, given: str, output: str) -> Exported:
    task = builders.configured_task(run.config())
    kind = kind_of_task(task)
    if kind is None:
        raise InputError(
            f"an export must be of a run of {', '.join(KINDS)}, got {task.name}, whose outputs have no known meaning; "
            f"load the weights of {stage.name} and write the network with torch.export"
        )
    data = seed_data_of(run.config(), stage.seed, torch.device("cpu"))
    subject = _subject(run, data, stage, given, output)
    made, predict = written(subject, form, out, threads)
    source, indices, part = _images(run, data, stage)
    indices = compared_images(subject.facts, indices)
    images, targets = _read(source, indices), source.labels[indices].cpu()
    inputs = subject.form.inputs(images)
    found = outputs(predict, inputs)
    same = agreement(subject.facts, found, outputs(of_network(subject), inputs))
    keep_agreement(out, form, same, part, runtime_of(form), subject.facts.unit)
    value = score(task, subject.facts, found, targets)
    with tempfile.TemporaryDirectory() as folder:
        rows = comparison_rows(
            subject, form, out, value, lambda other: score(task, subject.facts, other, targets), inputs, Path(folder)
        )
        remarks = [remark_on_agreement(subject.facts, form, same, part), remark_on_time(form)]
        remarks += remark_on_floats(subject.model)
        if made is not None and list(quantised_layers(subject.model)):
            alone = without_grids(subject, made, inputs, Path(folder))
            remarks.append(remark_on_grids(subject.facts, made, part, alone))
    result = Exported(
        out,
        out.with_name(out.name + ".md"),
        form,
        same.share,
        task.metrics[0],
        value,
        len(indices),
        part,
        rows,
        tuple(remarks),
    )
    write_text(result.card, card(run, stage, subject, result))
    return result


def written(subject: Subject, form: str, out: Path, threads: int) -> tuple[OnnxFile | None, Predict]:
    """Writes a file; returns the making of an ONNX file, and the file as a function.

    Args:
        subject: the network.
        form: one of `FORMATS`.
        out: the file.
        threads: of ONNX Runtime; 0 for its own choice.
    """
    if form == "onnx":
        made = write_onnx(subject, out)
        return made, of_onnx(out, threads)
    if form == "packed":
        write_packed(subject, out)
        return None, of_packed(subject, out)
    write_program(subject, out)
    return None, of_program(out)


def _subject(run: RunFolder, data: SeedData, stage: Stage, given: str, output: str) -> Subject:
    config = run.config()
    section = section_of(config, stage.role)
    spec = data.pixel_spec(section.model)
    kind = kind_of_task(builders.configured_task(config))
    assert kind is not None
    rules, own = rules_of_data(config, data.source.channels, data.source.size)
    task = build_task(config.task)
    facts = FileFacts(
        kind,
        data.source.classes,
        rules,
        own,
        form_of(kind, (data.source.channels, *data.source.size), spec.interpolation, given, output),
        spec.mean,
        spec.std,
        task.threshold if isinstance(task, MultiLabel) else 0.5,
        sha256(run.needed(stage.name, WEIGHTS)),
        f"{stage.name} of {config.name}",
        boxes=BoxRules.of(task),
    )
    # Spread over all of them, as they may be sorted by class. Labels are not looked at: a student that was trained on
    # few labelled images may see them too.
    chosen = data.train[:: -(-len(data.train) // _CALIBRATION)]
    return Subject(
        file_network(trained_network(run, data, stage).cpu(), kind, data.source.size),
        lambda: file_network(data.network(section.model, stage.role), kind, data.source.size),
        spec,
        data.fed(section.model),
        _read(data.source, compared_images(facts, chosen)),
        facts,
        {"name": section.model.name, "arguments": section.model.arguments},
    )


def _read(source: Source, indices: Tensor) -> Tensor:
    """Returns images as they are read, uint8 [N, C, H, W]."""
    return torch.cat([source.batch(part).cpu() for part in torch.split(indices, 256)])


def _images(run: RunFolder, data: SeedData, stage: Stage) -> tuple[Source, Tensor, str]:
    if (run.root / "results.json").is_file():
        opened = data.test.open(f"an export of {stage.name} from a finished run")
        return opened.source, opened.indices, "test"
    return data.source, data.validation, "validation"
