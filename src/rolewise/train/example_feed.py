"""Feeds of examples as people have them: tensors, a data set, a DataLoader of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rolewise.batch import Batch
from rolewise.distill.batch_arguments import taken_apart
from rolewise.errors import InputError
from rolewise.seeds import derive_seed, generator
from rolewise.train.feed import number_of_batches

_ACCEPTED = (
    "a DataLoader, a data set, a pair of tensors (images, labels), images alone, or rolewise.data.ImageData(...)"
)


class TensorFeed:
    """Batches of tensors, in an order that depends on the epoch alone.

    Args:
        inputs: [N, ...].
        targets: [N, ...] of the inputs, or None.
        batch_size: B; the last batch of an epoch may be smaller.
        seed: of the order, in which a last batch of a single example is left out, as batch norm needs two; None for the
            order of the tensors, all of them.
        device: of the batches.
    """

    #: What an example is called: of what kind it is is not known.
    example = "example"

    def __init__(
        self, inputs: Tensor, targets: Tensor | None, batch_size: int, *, seed: int | None, device: torch.device
    ) -> None:
        self.inputs, self.targets, self.batch_size = inputs, targets, batch_size
        self.seed, self.device, self.counts = seed, device, dict[str, int]()
        self.examples = len(inputs)

    @property
    def steps(self) -> int:
        """The number of batches of one epoch (see `rolewise.train.feed.number_of_batches`)."""
        if self.seed is None:
            return -(-self.examples // self.batch_size)
        return number_of_batches(self.examples, self.batch_size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch, from number ``start`` on."""
        order = torch.arange(self.examples)
        if self.seed is not None:
            order = torch.randperm(self.examples, generator=generator(self.seed, "epoch", epoch))
        for rows in torch.split(order, self.batch_size)[start : self.steps]:
            targets = None if self.targets is None else self.targets[rows]
            yield Batch(self.inputs[rows], targets, rows).to(self.device)


class LoaderFeed:
    """Batches of a DataLoader, whose order and random transforms depend on the epoch alone.

    That holds for all that draws from torch's streams, in the loader's workers too. Transforms that draw from those of
    numpy or of Python's ``random`` draw what they will, and a training that is resumed sees other images.

    Args:
        loader: with a length. Its batches are (images, labels), images alone, a mapping, or `rolewise.batch.Batch`.
        seed: of the epochs.
        device: of the batches.
        names: the keys of inputs and labels in batches that are mappings (see `rolewise.Distiller`).
    """

    #: What an example is called: of what kind it is is not known.
    example = "example"

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        seed: int,
        device: torch.device,
        names: tuple[str | None, str | None] = (None, None),
    ) -> None:
        self.loader, self.seed, self.device, self.names = loader, seed, device, names
        self.counts: dict[str, int] = {}
        try:
            self.steps = len(loader)
        except TypeError as error:
            raise InputError(
                "train must have a length, got a DataLoader of a data set without one; give a data set with __len__"
            ) from error
        if not self.steps:
            raise InputError("train must have at least one batch, got a DataLoader of none; make its batches smaller")
        self.examples = self.steps * (loader.batch_size or 1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch, from number ``start`` on; those before are read and left out."""
        seed = derive_seed(self.seed, "epoch", epoch)
        for owner in (self.loader, self.loader.sampler):
            if isinstance(own := getattr(owner, "generator", None), torch.Generator):
                own.manual_seed(seed)
        inner, iterator = torch.Generator().manual_seed(seed).get_state(), None
        for index in range(self.steps):
            # Loader and transforms draw from the stream that everybody shares: they are lent another while they read.
            outer = torch.default_generator.get_state()
            torch.default_generator.set_state(inner)
            try:
                iterator = iter(self.loader) if iterator is None else iterator
                item = next(iterator, None)
            finally:
                inner = torch.default_generator.get_state()
                torch.default_generator.set_state(outer)
            if item is None:
                return
            if index >= start:
                yield batch_of_item(item, self.names).to(self.device)


def batch_of_item(item: Any, names: tuple[str | None, str | None] = (None, None)) -> Batch:
    """Returns a batch of what a loader gives.

    Args:
        item: (images, labels), images alone, a mapping, or a batch.
        names: the keys of inputs and labels in a mapping.

    Raises:
        InputError: it is a tuple of another length.
    """
    if isinstance(item, Batch):
        return item
    if isinstance(item, Mapping):
        return Batch(*taken_apart(item, *names))
    if isinstance(item, (tuple, list)):
        if len(item) not in (1, 2):
            raise InputError(
                f"a loader must give (images, labels), images, a mapping or a rolewise.Batch, got {len(item)} values; "
                "give it a collate_fn that returns a mapping"
            )
        return Batch(*item)
    return Batch(item)


def feed_of(
    data: Any,
    name: str,
    *,
    batch_size: int,
    seed: int | None,
    device: torch.device,
    names: tuple[str | None, str | None] = (None, None),
) -> TensorFeed | LoaderFeed:
    """Returns the feed of what was given as data.

    Args:
        data: a DataLoader, a data set, a pair of tensors, or a tensor.
        name: of the argument, for errors.
        batch_size: B, where the data are not in batches yet.
        seed: of the order and of random transforms; None for the order as it is.
        device: of the batches.
        names: the keys of inputs and labels in batches that are mappings.

    Raises:
        InputError: it is none of these, or tensors do not go together.
    """
    if isinstance(data, DataLoader):
        return LoaderFeed(data, seed=seed or 0, device=device, names=names)
    if isinstance(data, Tensor):
        data = (data, None)
    if isinstance(data, (tuple, list)) and len(data) == 2 and isinstance(data[0], Tensor):
        inputs, targets = data
        if targets is not None and (not isinstance(targets, Tensor) or len(targets) != len(inputs)):
            got = f"{len(targets)}" if isinstance(targets, Tensor) else type(targets).__name__
            raise InputError(f"{name} must have a label for each of the {len(inputs)} images, a tensor, got {got}")
        if not len(inputs):
            raise InputError(f"{name} must hold at least one image, got none")
        return TensorFeed(inputs, targets, batch_size, seed=seed, device=device)
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        if isinstance(data, (tuple, list, str, Mapping)):
            raise InputError(f"{name} must be {_ACCEPTED}, got a {type(data).__name__} of {len(data)}")
        loader: DataLoader[Any] = DataLoader(data, batch_size, shuffle=seed is not None)
        return LoaderFeed(loader, seed=seed or 0, device=device, names=names)
    raise InputError(f"{name} must be {_ACCEPTED}, got {type(data).__name__}")
