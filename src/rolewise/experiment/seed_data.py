"""The data of one seed: its images, their division into parts, and the networks built for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rolewise.config.network_sections import ModelSection
from rolewise.config.schema import ExperimentConfig
from rolewise.data import Division, SealedTest, Source, TextData, divide, read_with, split, stratified_subset
from rolewise.data.held_images import NOTHING_MB
from rolewise.errors import InputError
from rolewise.experiment.class_maps import class_map
from rolewise.experiment.declared_models import declared
from rolewise.experiment.pixel_statistics import statistics_of
from rolewise.inputs import InputSpec
from rolewise.models import construct
from rolewise.models.class_selection import select_classes
from rolewise.seeds import derive_seed


@dataclass(frozen=True)
class SeedData:
    """The data of one seed: its images, their parts and their statistics.

    Args:
        source: the images that may be trained or searched on.
        train: indices [N] into ``source`` that may be trained on during a search.
        validation: indices [V] that score the members of a search; trained on by nobody while one runs.
        test: sealed.
        folder: the run folder, where the images' statistics are kept; None to keep them in memory alone.
    """

    config: ExperimentConfig
    seed: int
    device: torch.device
    source: Source
    train: Tensor
    validation: Tensor
    test: SealedTest
    folder: Path | None = None

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel of the training images, in [0, 1]."""
        return self._statistics()[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel of the training images, likewise; at least .001."""
        return self._statistics()[1]

    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        kept = None if self.folder is None else self.folder / "statistics" / f"seed{self.seed}.json"
        return statistics_of(self.source, self.train, kept)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.source.classes)

    def final_indices(self, images: int | None, *, unseen: bool) -> Tensor:
        """Returns the indices that a role trains on.

        Args:
            images: number of labelled images, stratified; None for all.
            unseen: leave the validation images out in any case.
        """
        if images is not None:
            return self.some(images, self.train, "images")
        if self.config.retrain_on_validation and not unseen:
            return torch.cat([self.train, self.validation])
        return self.train

    def some(self, images: int | None, indices: Tensor, stream: str) -> Tensor:
        """Returns a stratified part of ``indices``, the same for every role with the same number."""
        if images is None or images == len(indices):
            return indices
        if images > len(indices):
            raise InputError(f"images must be at most the {len(indices)} examples that may be trained on, got {images}")
        return stratified_subset(indices, self.source.labels, images, derive_seed(self.seed, stream))

    def seen_by(self, role: str, source: Source | None = None) -> Source:
        """Returns the images, or the texts as the tokenizer of a role gives them.

        Args:
            role: ``teacher``, or a student's name.
            source: the test images or texts; None for those that may be trained on.
        """
        source = self.source if source is None else source
        return source.for_role(role) if isinstance(source, TextData) else source

    def spec(self, model: ModelSection) -> InputSpec | None:
        """Returns a network's input: its own declaration, else the training images' statistics; None for texts."""
        if isinstance(self.source, TextData):
            return None
        return self.pixel_spec(model)

    def pixel_spec(self, model: ModelSection) -> InputSpec:
        """Returns the input of a network of images (see `spec`).

        Raises:
            InputError: the data are texts.
        """
        if isinstance(self.source, TextData):
            raise InputError("this is for images, and the data are texts; see docs/text.md for what works on them")
        own = declared(model)
        return InputSpec(own.mean or self.mean, own.std or self.std, own.size, own.interpolation or "bilinear")

    def fed(self, model: ModelSection) -> tuple[int, int, int]:
        """Returns the shape (C, H, W) of one input of a network: its own, which need not be that of the images."""
        if isinstance(self.source, TextData):
            return (self.source.channels, *self.source.size)
        spec = self.pixel_spec(model)
        return (spec.channels, *(spec.size or self.source.size))

    def network(self, model: ModelSection, *names: str | int) -> nn.Module:
        """Builds a network whose initial weights belong to the stream that ``names`` calls; the role comes first."""
        channels, height, width = self.fed(model)
        seen = self.seen_by(str(names[0]))
        # Of a teacher that knows other classes, those that stand for the data's.
        mapped = class_map(self.config, self.source.classes) if names[:1] == ("teacher",) else None
        network = construct(
            model.name,
            model.arguments,
            num_classes=mapped.classes if mapped is not None else self.num_classes,
            channels=channels,
            size=(height, width),
            seed=derive_seed(self.seed, "weights", *names),
            vocabulary=seen.facts.vocabulary if isinstance(seen, TextData) else None,
        )
        return network if mapped is None else select_classes(network, mapped.indices)


def seed_data_of(config: ExperimentConfig, seed: int, device: torch.device, folder: Path | None = None) -> SeedData:
    """Reads the data and divides it: the test set is the same for all seeds, the rest is drawn anew for each.

    Args:
        config: the experiment.
        seed: one of its seeds.
        device: device of networks and images.
        folder: the run folder, where there is one.
    """
    divided = _division(config)
    source, usable = divided.source, divided.usable
    sealed = SealedTest(divided.test_source, divided.test)
    if divided.validation is not None:
        return SeedData(config, seed, device, source, usable, divided.validation, sealed, folder)
    wanted = config.data.validation if divided.validating is None else divided.validating
    parts = split(source.labels[usable], validation=wanted, test=0, seed=derive_seed(seed, "split"))
    indices = usable[parts.train]
    return SeedData(config, seed, device, source, indices, usable[parts.validation], sealed, folder)


def sources(config: ExperimentConfig) -> tuple[Source, Source | None]:
    """Returns an experiment's images as they were read: for training, and the test images where the set has its own."""
    section = config.data
    key = _key_of(config)
    if key in _LOADED and (raw := _LOADED[key].raw) is not None:
        return raw
    if key in _LOADED and section.limit is None:
        known = _LOADED[key]
        if known.test_source is known.source:
            return known.source, None
        if section.test is None:
            return known.source, known.test_source
    read = read_with(
        section.name,
        section.arguments,
        root=section.root,
        download=section.download,
        # Files of which some are used stay files until it is known which.
        memory_budget_mb=section.memory_budget_mb if section.limit is None else NOTHING_MB,
        decoders=config.decoders,
    )
    _LOADED.clear()
    # What the config leaves out is let go of, and not held by every process to the end.
    _LOADED[key] = divide(
        read.train,
        read.test,
        name=read.name,
        test=section.test,
        limit=section.limit,
        split_seed=section.split_seed,
        validation=section.validation,
        budget_mb=None if section.limit is None else section.memory_budget_mb,
    )
    return read.train, read.test


_LOADED: dict[str, Division] = {}


def _key_of(config: ExperimentConfig) -> str:
    return f"{config.data.model_dump_json()} {config.decoders}"


def _division(config: ExperimentConfig) -> Division:
    key = _key_of(config)
    if key not in _LOADED:
        sources(config)
    return _LOADED[key]
