"""Predictions for pictures: by a trained network of a run, or by an exported file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from rolewise.data.label_decoder import stored_size
from rolewise.data.picture_source import decode_files, warn_of_frames
from rolewise.deploy.file_facts import KINDS, BoxRules, FileFacts, form_of, kind_of_task
from rolewise.deploy.given_pictures import given_pictures
from rolewise.deploy.open_file import open_file
from rolewise.deploy.predicted_boxes import SHOWN, FoundBox, boxes_in_picture, detections_in
from rolewise.deploy.stage_choice import chosen_stage
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.evaluation import finished_stage
from rolewise.experiment.stage_network import stage_network
from rolewise.files import AnyPath, as_path
from rolewise.inputs import prepare
from rolewise.tasks import Detection, MultiLabel, build_task
from rolewise.tasks.pixel_logits import resized
from rolewise.threads import torch_threads


@dataclass(frozen=True)
class Predictor:
    """A network that is ready to predict for pictures.

    Args:
        name: the network, in words.
        facts: its classes, the way in which it reads pictures, and the kind of its outputs.
        outputs: uint8 images [B, C, H, W], as they are read, to outputs [B, K] of the facts' form; of a detector, to
            the boxes that it finds, [B, D, 6] (see `rolewise.tasks.Detection.detections`).
        threads: of torch; None for as many as it has.
        least: the score from which boxes are shown in tables, CSV and JSON.
    """

    name: str
    facts: FileFacts
    outputs: Callable[[Tensor], Tensor]
    threads: int | None = None
    least: float = SHOWN

    def label(self, index: int) -> str:
        """Returns the name of a class, a label or a number; its place where it has none."""
        return self.facts.classes[index] if index < len(self.facts.classes) else str(index)


@dataclass(frozen=True)
class Prediction:
    """The prediction for one picture.

    Args:
        path: the file.
        values: K probabilities, K numbers in a regression, or of a mask the share of each of K classes in its pixels;
            none where it cannot be read.
        fault: the reason why it cannot be read; empty where it can.
        mask: of segmentation, the class of each pixel of the network's input, uint8 [H, W].
        boxes: of detection, from the task's ``score`` on, the highest first.
    """

    path: Path
    values: tuple[float, ...] = ()
    fault: str = ""
    mask: Tensor | None = field(default=None, compare=False, repr=False)
    boxes: tuple[FoundBox, ...] = ()


def predictor_of_run(root: AnyPath, *, stage: str = "", arm: str = "", seed: int | None = None) -> Predictor:
    """Returns a predictor by a trained network of a run.

    Pictures become pixels as the run's own did. Where its data were arrays, they are cropped and scaled to their size.

    Args:
        root: the run folder.
        stage: a training's stage, such as ``seed0/small-own+distill``.
        arm: instead of it, an arm, such as ``own+distill``, ``small-own+distill`` or ``teacher-own``.
        seed: of the run's seeds, where no stage is named; the first by default.

    Raises:
        InputError: there is no such training, it is not finished, or its task has outputs without a known meaning.
    """
    root = as_path(root, "root")
    run, found = finished_stage(root, chosen_stage(root, stage=stage, arm=arm, seed=seed))
    config = run.config()
    task = builders.configured_task(config)
    kind = kind_of_task(task)
    if kind is None:
        raise InputError(
            f"the run's task must be {', '.join(KINDS)}, got {task.name}, whose outputs have no known meaning; run its "
            "network in your own code"
        )
    with torch_threads(config.threads):
        device = builders.configured_device(config.device)
        known = stage_network(run, found, device)
    section = build_task(config.task)
    image = (known.rules.channels, *known.rules.shape)
    facts = FileFacts(
        kind,
        known.classes,
        known.rules,
        known.own_rules,
        form_of(kind, image, known.spec.interpolation),
        known.spec.mean,
        known.spec.std,
        section.threshold if isinstance(section, MultiLabel) else 0.5,
        origin=f"{found.name} of {config.name}",
        boxes=BoxRules.of(section),
    )

    @torch.no_grad()
    def outputs(images: Tensor) -> Tensor:
        run_outputs = task.run(known.network, prepare(images.to(device), known.spec))
        if isinstance(section, Detection):
            return section.detections(run_outputs).cpu()
        result = run_outputs.values
        values: Tensor = result["predictions" if kind == "regression" else "logits"]
        if kind == "segmentation":
            return resized(values.float(), known.rules.shape).cpu()
        return (values if values.ndim > 1 else values[:, None]).float().cpu()

    return Predictor(f"{found.name} of {root}", facts, outputs, config.threads)


def predictor_of_file(path: AnyPath) -> Predictor:
    """Returns a predictor by an exported file: an ONNX file in ONNX Runtime, a torch program, or a packed file.

    Args:
        path: a file that `rolewise export` wrote, with the rules by which pictures are read for it.

    Raises:
        InputError: it is missing, damaged or from elsewhere, or what runs it is not installed.
    """
    path = as_path(path)
    predict, facts = open_file(path)
    if isinstance(facts, TextFileFacts):
        raise InputError(f"{path} must be of a network of images, and is of one of texts; use text_predictor_of_file")
    of = f" ({facts.origin})" if facts.origin else ""

    def outputs(images: Tensor) -> Tensor:
        found = predict(facts.form.inputs(images))
        return found if facts.boxes is None else detections_in(facts, found)

    return Predictor(f"{path}{of}", facts, outputs)


def picture_predictions(
    predictor: Predictor, paths: Sequence[AnyPath], *, batch_size: int = 64
) -> Iterator[Prediction]:
    """Yields the prediction for each picture, in order; one that cannot be read ends nothing.

    Args:
        predictor: the network.
        paths: the pictures.
        batch_size: pictures that are run together.

    Raises:
        InputError: memory has no room for a picture, or batch_size is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    several: list[Path] = []
    for start in range(0, len(paths), batch_size):
        part = [as_path(path) for path in paths[start : start + batch_size]]
        source = predictor.facts.rules.streamed(part, torch.zeros(len(part), dtype=torch.int64), ("",), several)
        images, faults = decode_files(source, keep=True)
        assert images is not None
        whole = [index for index in range(len(part)) if index not in faults]
        found: dict[int, Tensor] = {}
        if whole:
            with nullcontext() if predictor.threads is None else torch_threads(predictor.threads):
                found = dict(zip(whole, predictor.outputs(images[torch.tensor(whole)]), strict=True))
        for index, path in enumerate(part):
            if index in faults:
                yield Prediction(path, fault=str(faults[index]).removeprefix(f"{path} "))
            else:
                yield _prediction(predictor.facts, path, found[index], path)
    if several:
        warn_of_frames(several)


def _prediction(facts: FileFacts, path: Path, outputs: Tensor, content: Path | BinaryIO) -> Prediction:
    """Returns the prediction for a picture, by a predictor's outputs for it; its content gives its size."""
    if facts.kind == "detection":
        stored = stored_size(content, facts.rules.orientation)
        return Prediction(path, boxes=boxes_in_picture(outputs, stored, facts.rules))
    if facts.kind == "segmentation":
        mask = outputs.argmax(0)
        shares = torch.bincount(mask.flatten(), minlength=len(outputs)).double() / mask.numel()
        return Prediction(path, tuple(shares.tolist()), mask=mask.to(torch.uint8))
    return Prediction(path, tuple(facts.form.probabilities(outputs.float()[None])[0].tolist()))


def content_prediction(predictor: Predictor, content: bytes) -> Prediction:
    """Returns the prediction for a picture that is no file but bytes, as a server receives it.

    Args:
        predictor: the network.
        content: the content of a picture file of any kind that is read.

    Returns:
        The prediction, with an empty path; with a fault where the bytes are no picture.
    """
    place = Path()
    try:
        pixels = predictor.facts.rules.decoder()(io.BytesIO(content))
    except InputError as error:
        return Prediction(place, fault=str(error).removeprefix("the picture "))
    with nullcontext() if predictor.threads is None else torch_threads(predictor.threads):
        outputs = predictor.outputs(torch.from_numpy(pixels)[None])[0]
    return _prediction(predictor.facts, place, outputs, io.BytesIO(content))


def predict_pictures(
    place: AnyPath, images: Sequence[AnyPath], *, stage: str = "", arm: str = "", seed: int | None = None
) -> list[Prediction]:
    """Returns predictions for pictures.

    Args:
        place: a run folder, or an exported file.
        images: picture files, folders or patterns.
        stage: a training of the run, as of `predictor_of_run`.
        arm: as there.
        seed: as there.

    Raises:
        InputError: a name stands for no picture, or there is no such network.
    """
    place = as_path(place)
    paths = given_pictures([str(as_path(image)) for image in images])
    if place.is_dir():
        return list(picture_predictions(predictor_of_run(place, stage=stage, arm=arm, seed=seed), paths))
    if stage or arm or seed is not None:
        raise InputError(f"stage, arm and seed are of a run folder, got the file {place}; leave them out")
    return list(picture_predictions(predictor_of_file(place), paths))
