"""The texts of a training: their tokens augmented for each role, and given to the teacher under one of the views."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rolewise.augment import Plan, Schedule, apply_to_tokens
from rolewise.augment.token_augmentation import TokenRules
from rolewise.batch import Batch
from rolewise.config.training_sections import TrainSettings
from rolewise.data import TextData, shuffled
from rolewise.data.token_table import UNTAGGED
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.seeds import generator
from rolewise.train.batch_order import arranged, check_classes, epoch_length
from rolewise.train.feed import number_of_batches
from rolewise.train.given import check_seen
from rolewise.train.position_plans import EpochPlans, plans_of_epoch

#: Batches within which texts are sorted by their length.
_SORTED = 32


class TextFeed:
    """The batches of texts and targets that a student, and its teacher, are trained on.

    Draws belong to positions of the epoch (see `PositionPlans`), the teacher's own to streams beside the student's: an
    epoch may begin at any batch, and a view does not change what the student sees. A batch is trimmed to its longest
    text after augmentation, for each role by itself.

    Args:
        distiller: student and teacher.
        source: the texts, as the student sees them.
        indices: int64 [N], the texts to train on.
        settings: of the training.
        augmentation: of the student's tokens, over training.
        teacher_augmentation: of the teacher's tokens under ``own``.
        view: the teacher's texts: ``shared`` (the student's), ``clean`` (unaugmented) or ``own``. With a tokenizer of
            its own the teacher has no part in what the student's augmentation does.
        seed: of all draws.
        device: of the batches.

    Raises:
        InputError: the teacher is to see the student's tokens, and has another tokenizer.
    """

    #: V, where epoch e shows each text as view e modulo V does; None where each epoch is drawn anew.
    views: int | None = None
    #: What an example is called.
    example = "text"
    #: Texts are not mixed; so that all feeds have one form.
    mixing: None = None

    def __init__(
        self,
        distiller: Distiller,
        source: TextData,
        indices: Tensor,
        settings: TrainSettings,
        *,
        augmentation: Schedule,
        teacher_augmentation: Schedule | None = None,
        view: str = "shared",
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        if view == "shared" and not source.is_shared and distiller.methods:
            raise InputError(
                'view must be "clean" or "own" where teacher and student have tokenizers of their own, got "shared"; '
                "set distill.view"
            )
        check_seen(augmentation, teacher_augmentation, view)
        check_classes(settings.batches, source.labels)
        if source.by_length and (kind := settings.batches) != "shuffled":
            raise InputError(f'batches must be "shuffled" where texts are sorted by their length, got "{kind}"')
        self.distiller, self.source, self.indices, self.settings = distiller, source, indices, settings
        self.augmentation, self.teacher_augmentation, self.view = augmentation, teacher_augmentation, view
        self.seed, self.device = seed, torch.device(device)
        self.counts: dict[str, int] = {}

    @property
    def steps(self) -> int:
        """The number of batches of one epoch (see `number_of_batches`)."""
        return number_of_batches(self._length, self.settings.batch_size)

    @property
    def examples(self) -> int:
        """The number of texts that one epoch trains on."""
        return min(self._length, self.steps * self.settings.batch_size)

    @property
    def _length(self) -> int:
        return epoch_length(len(self.indices), self.settings.batch_size, self.settings.batches)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch from number ``start`` on.

        Args:
            epoch: from 0.
            start: the number of batches that are left out.
        """
        order, kind = shuffled(self.indices, generator(self.seed, "epoch", epoch, "order")), self.settings.batches
        if kind != "shuffled":
            stream = generator(self.seed, "epoch", epoch, "partners")
            order = arranged(order, kind, self.settings.batch_size, self.source.labels, stream)
        order = order[: self.examples]
        if self.source.by_length:
            stream = generator(self.seed, "epoch", epoch, "batches")
            order = by_length(order, self.source.table.lengths, self.settings.batch_size, stream)
        plans = plans_of_epoch(self, epoch, order)
        for number, rows in enumerate(torch.split(order, self.settings.batch_size)):
            if number >= start:
                yield self._batch(rows, plans, number * self.settings.batch_size)

    def _batch(self, rows: Tensor, plans: EpochPlans, place: int) -> Batch:
        student, teacher = plans
        texts = self.source.batch(rows)
        targets = self.source.targets(rows, texts["input_ids"].shape[1])
        tags = targets if targets.dtype == torch.int16 else None
        seen, moved = augmented_texts(self.source, texts, student.between(place, place + len(rows)), tags)
        views: dict[str, dict[str, Tensor]] = {}
        if self.view != "shared" and self.distiller.methods:
            other = self.source.for_role("teacher")
            clean = texts if self.source.is_shared else other.batch(rows)
            plan = None if teacher is None else teacher.between(place, place + len(rows))
            views["teacher"] = clean if plan is None else augmented_texts(other, clean, plan, None)[0]
        targets = targets if moved is None else moved
        return Batch(seen, targets, rows, views).to(self.device)


def by_length(order: Tensor, lengths: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
    """Returns an order whose batches hold texts of similar lengths: within every 32 batches the texts are sorted.

    Batches then stand in a random order, but for a last smaller one, which stays the last.

    Args:
        order: int64 [M], a random order of rows.
        lengths: int64 [N], the number of tokens of each row.
        batch_size: B.
        generator: of the batches' order.
    """
    windows = [part[lengths[part].argsort(stable=True)] for part in torch.split(order, _SORTED * batch_size)]
    found = torch.cat(windows)
    full = len(order) // batch_size
    parts = found[: full * batch_size].view(full, batch_size)[torch.randperm(full, generator=generator)]
    return torch.cat([parts.flatten(), found[full * batch_size :]])


def augmented_texts(
    source: TextData, texts: dict[str, Tensor], plan: Plan, tags: Tensor | None
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Returns texts under a plan, with their tags; batches that are padded to a fixed length have it again.

    Args:
        source: the data that they belong to.
        texts: a batch of B texts.
        plan: for B texts.
        tags: whole numbers [B, T] that move with the tokens; None for none.
    """
    if not plan.ops.shape[1]:
        return texts, tags
    facts, before = source.facts, texts["input_ids"].shape[1]
    rules = TokenRules(facts.padding, facts.mask, facts.special)
    seen, moved = apply_to_tokens(texts, plan, rules, tags, untagged=UNTAGGED)
    missing = before - seen["input_ids"].shape[1]
    if source.table.fixed is None or not missing:
        return seen, moved
    fill = {"input_ids": facts.padding}
    seen = {name: torch.nn.functional.pad(one, (0, missing), value=fill.get(name, 0)) for name, one in seen.items()}
    return seen, None if moved is None else torch.nn.functional.pad(moved, (0, missing), value=UNTAGGED)
