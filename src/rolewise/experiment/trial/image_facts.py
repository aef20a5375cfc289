"""The images of an experiment as far as networks depend on them: channels, size, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rolewise.config.network_sections import ModelSection
from rolewise.config.schema import ExperimentConfig, TaskSpec
from rolewise.data import MissingDataError, TextData
from rolewise.data.own_validation import own_validation
from rolewise.data.targets import TargetKind, are_unlabelled, kind_of_targets
from rolewise.experiment.class_maps import ClassMap, class_map
from rolewise.experiment.declared_models import declared
from rolewise.experiment.seed_data import sources
from rolewise.experiment.trial.text_facts import TextFacts, text_facts_of


@dataclass(frozen=True)
class ImageFacts:
    """The images of a data set, as far as networks depend on them.

    Args:
        channels: C.
        size: (H, W) in pixels.
        classes: K.
        counts: numbers of training images and of test images of the set's own, None where it has none.
        validating: number of training images that the set itself sets aside for validation; None where they are drawn.
        kind: kind of its targets: classes, labels that are there or not, or numbers.
        task: the task, as the config holds it.
        labelled: whether the training images have classes.
        mapped: the classes of a network that stand for these, where it knows others.
        texts: facts of the texts, where there are texts in place of images.
        role: the one that sees them, ``teacher`` or ``student``.
    """

    channels: int
    size: tuple[int, int]
    classes: int
    counts: tuple[int, int | None] | None = None
    kind: TargetKind = "classes"
    task: TaskSpec = "classification"
    labelled: bool = True
    mapped: ClassMap | None = None
    validating: int | None = None
    texts: TextFacts | None = None
    role: str = "student"

    def fed(self, model: ModelSection) -> tuple[int, int, int]:
        """Returns the shape (C, H, W) of one input of a network: its own, which need not be that of the images."""
        if self.texts is not None:
            return (self.channels, *self.size)
        own = declared(model)
        return (self.channels if own.mean is None else len(own.mean), *(own.size or self.size))

    @property
    def text(self) -> str:
        """In words."""
        if self.texts is not None:
            return f"up to {self.texts.longest} tokens of {self.texts.of(self.role).vocabulary:,}"
        channels = f"{self.channels} channel{'s' if self.channels != 1 else ''}"
        return f"{channels} and {self.size[0]}x{self.size[1]} pixels"


#: Sets that are always the same: they need not be there for a config to be tried.
_FIXED = {
    "digits": ImageFacts(1, (8, 8), 10, (1797, None)),
    "cifar10": ImageFacts(3, (32, 32), 10, (50_000, 10_000)),
    "cifar100": ImageFacts(3, (32, 32), 100, (50_000, 10_000)),
}
#: Sets whose files are read where they are there.
_USUAL = dict.fromkeys(("mnist", "fashion_mnist"), ImageFacts(1, (28, 28), 10, (60_000, 10_000)))


def facts_once(config: ExperimentConfig, once: Callable[[list[Any], Callable[[], Any]], Any]) -> Any:
    """Returns the facts of a config's images, or the error of their reading; of the same data they are found once.

    Args:
        config: the experiment.
        once: returns what a function gives, and for a known key what it gave before.
    """
    return once(["images", config.data, config.task], partial(image_facts_of, config))


def image_facts_of(config: ExperimentConfig) -> ImageFacts:
    """Returns the facts of a config's images; nothing is downloaded for it.

    Raises:
        MissingDataError: they have to be read, and are not on this machine.
        InputError: they are, and something is wrong with them.
    """
    return replace(_read(config), task=config.task)


def taught_images(config: ExperimentConfig, images: ImageFacts) -> ImageFacts:
    """Returns the facts of the images as the teacher sees them: with the map to its classes, where it has others.

    Raises:
        InputError: the map is wrong; the path of the error is that of the setting.
    """
    return replace(images, mapped=class_map(config, lambda: sources(config)[0].classes), role="teacher")


def _read(config: ExperimentConfig) -> ImageFacts:
    name, arguments = config.data.name, config.data.arguments
    if name in _FIXED:
        facts, side = _FIXED[name], arguments.get("size")
        if name == "cifar100":
            facts = replace(facts, classes=20 if arguments.get("labels") == "coarse" else facts.classes)
            facts = replace(facts, size=(side, side) if isinstance(side, int) else facts.size)
        return facts
    try:
        data = config.data.model_copy(update={"download": False})
        source, test = sources(config.model_copy(update={"data": data}))
    except MissingDataError:
        if name in _USUAL:
            return _USUAL[name]
        raise
    counts = len(source), None if test is None else len(test)
    kind = kind_of_targets(source.labels)
    size, labelled = (source.size[0], source.size[1]), not are_unlabelled(source.labels)
    own = own_validation(source)
    texts = text_facts_of(source) if isinstance(source, TextData) else None
    facts = ImageFacts(source.channels, size, len(source.classes), counts, kind, labelled=labelled, texts=texts)
    return replace(facts, validating=None if own is None else len(own))
