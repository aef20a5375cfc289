"""Facts that an exported file keeps about itself: names, pictures, normalisation, form, and the network's digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from rolewise.data.picture_source import PictureRules
from rolewise.data.reading_rules import rules_as_text, rules_of_text
from rolewise.deploy.answer_kinds import ANSWERS
from rolewise.errors import InputError
from rolewise.quant.file_form import FileForm, FileInput, FileOutput
from rolewise.tasks import Detection, Task

Kind = Literal["classification", "multi_label", "regression", "segmentation", "detection"]
#: Tasks whose networks are exported and predict.
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class BoxRules:
    """The way from a detector's outputs to the boxes that it finds, which is no part of a file.

    Args:
        score: the least probability of a box.
        overlap: the IoU above which a box gives way to one of its class with a higher score.
        most: boxes of an image that are kept, by their score.
    """

    score: float
    overlap: float
    most: int

    @classmethod
    def of(cls, task: Any) -> BoxRules | None:
        """Returns the rules of a task; None of one that finds no boxes."""
        return cls(task.score, task.overlap, task.most) if isinstance(task, Detection) else None

    @property
    def metadata(self) -> dict[str, str]:
        """The rules as text by name."""
        return {f"boxes_{name}": json.dumps(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class FileFacts:
    """Facts about a network that whoever runs its file needs.

    Args:
        kind: the network's task.
        classes: names of classes, labels or numbers, in the order of the outputs; empty where they have none.
        rules: the way from picture files to the images.
        own_rules: whether the network's data were read so; False where they were arrays.
        form: the form of the file.
        mean: of each channel of the network's input.
        std: standard deviation of each channel.
        threshold: the probability from which a label counts as found.
        digest: SHA-256 of the trained weights; empty where it is unknown.
        origin: the network's training, such as ``seed0/small-own+distill of digits``.
        agreement: share of images for which the file predicts as its network, of masks the share of their pixels, of
            boxes the share that both find; None where it was not measured.
        agreement_images: these images and what ran the file, such as ``60 test images, ONNX Runtime 1.31``.
        boxes: of a detector, the way from its outputs to the boxes that it finds.
    """

    kind: Kind
    classes: tuple[str, ...]
    rules: PictureRules
    own_rules: bool
    form: FileForm
    mean: tuple[float, ...]
    std: tuple[float, ...]
    threshold: float = 0.5
    digest: str = ""
    origin: str = ""
    agreement: float | None = None
    agreement_images: str = ""
    boxes: BoxRules | None = None
    unit = "image"

    @property
    def metadata(self) -> dict[str, str]:
        """Text by name, as a file keeps it; values other than words are JSON."""
        channels = 1 if self.rules.grayscale else 3
        image = self.form.image or (channels, *self.rules.shape)
        named = {"classes": json.dumps(self.classes)} if self.classes else {}
        return {
            **named,
            "task": self.kind,
            "input": self.form.input,
            "output": self.form.output,
            "activation": self.form.activation,
            "image": json.dumps(image),
            "interpolation": self.form.interpolation,
            **rules_as_text(self.rules),
            "picture_rules": "of the data" if self.own_rules else "assumed",
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
            **({"threshold": json.dumps(self.threshold)} if self.kind == "multi_label" else {}),
            **(self.boxes.metadata if self.boxes is not None else {}),
            **({"digest": self.digest} if self.digest else {}),
            **({"origin": self.origin} if self.origin else {}),
            **({} if self.agreement is None else {"agreement": json.dumps(self.agreement)}),
            **({"agreement_images": self.agreement_images} if self.agreement_images else {}),
        }


def kind_of_task(task: Task) -> Kind | None:
    """Returns the kind of a task that is Rolewise's own; None for one that is not.

    Args:
        task: with any metrics.
    """
    return next((kind for kind in KINDS if kind == task.name), None)


def form_of(
    kind: Kind, image: tuple[int, int, int], interpolation: str, given: str = "float32", output: str = "logits"
) -> FileForm:
    """Returns the form of a file of a task.

    Args:
        kind: the task.
        image: (C, H, W) of images as they are read.
        interpolation: of resizing them to the network's size.
        given: kind of images that the file takes, one of `rolewise.quant.file_form.INPUTS`.
        output: one of `rolewise.quant.file_form.OUTPUTS`.

    Raises:
        InputError: a setting is none of these.
    """
    ends = cast(FileInput, given), cast(FileOutput, output)
    return FileForm(*ends, ANSWERS[kind].activation, image, interpolation, boxes=kind == "detection")


def facts_of(metadata: Mapping[str, str], what: str) -> FileFacts:
    """Returns the facts that a file keeps.

    Args:
        metadata: text by name.
        what: the file, for errors.

    Raises:
        InputError: they are missing or damaged.
    """
    try:
        kind = metadata["task"]
        if kind not in KINDS:
            raise InputError(f"the task {kind!r} is none of {', '.join(KINDS)}")
        image: Any = tuple(int(side) for side in json.loads(metadata["image"]))
        if len(image) != 3:
            raise InputError(f"an image must have three sides, got {list(image)}")
        form = form_of(kind, image, metadata["interpolation"], metadata["input"], metadata["output"])
        return FileFacts(
            kind,
            tuple(map(str, json.loads(metadata.get("classes", "[]")))),
            rules_of_text(metadata),
            metadata["picture_rules"] == "of the data",
            form,
            tuple(map(float, json.loads(metadata["mean"]))),
            tuple(map(float, json.loads(metadata["std"]))),
            float(metadata.get("threshold", "0.5")),
            metadata.get("digest", ""),
            metadata.get("origin", ""),
            float(metadata["agreement"]) if "agreement" in metadata else None,
            metadata.get("agreement_images", ""),
            _box_rules(metadata) if kind == "detection" else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        reason = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{what} must hold what is needed to read pictures for it, and {reason}; write it by: rolewise export"
        ) from error


def _box_rules(metadata: Mapping[str, str]) -> BoxRules:
    values = {name: json.loads(metadata[f"boxes_{name}"]) for name in ("score", "overlap", "most")}
    task = Detection(**values)  # which refuses what is out of range
    return BoxRules(task.score, task.overlap, task.most)
