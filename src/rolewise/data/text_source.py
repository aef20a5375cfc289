"""A source of texts: tokenised once, for each role by its own tokenizer, and given as batches of tensors with masks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rolewise.data.targets import check_targets
from rolewise.data.token_table import UNTAGGED, TokenizerFacts, TokenTable, joined_tables
from rolewise.errors import InputError

#: Whose inputs a source of texts can give.
TEXT_ROLES = ("student", "teacher")


@dataclass(frozen=True, eq=False)
class TextData:
    """Texts in memory, as the tokens of one or two tokenizers.

    Args:
        tables: the tokens by role, ``student`` and ``teacher``; one object where both have one tokenizer.
        labels: int64 [N] in [0, K); uint8 [N, K] of 0 and 1; float32 [N, K]; or int16 [N, T] with the tag of each of
            the student's tokens, `UNTAGGED` where it has none.
        classes: K names: of classes, labels, numbers or tags.
        role: the one that `batch` gives the tokens of.
        cut: number of texts that were longer than the limit and lost their ends.
        validating: int64, rows that validate where a file of their own was given; None where they are drawn.
        by_length: whether the batches of a training hold texts of similar lengths (see `by_length`).

    Raises:
        InputError: the parts do not fit together.
    """

    tables: Mapping[str, TokenTable]
    labels: Tensor
    classes: tuple[str, ...]
    role: str = "student"
    cut: int = 0
    validating: Tensor | None = None
    by_length: bool = False

    def __post_init__(self) -> None:
        if set(self.tables) != set(TEXT_ROLES) or self.role not in TEXT_ROLES:
            raise InputError(f"tables must be of {' and '.join(TEXT_ROLES)}, got {', '.join(self.tables) or 'none'}")
        if len({len(table) for table in self.tables.values()}) > 1:
            raise InputError("tables must be of the same texts for both roles, got different numbers of them")
        check_targets(self.labels, len(self), len(self.classes))

    @property
    def table(self) -> TokenTable:
        """The tokens of the role."""
        return self.tables[self.role]

    @property
    def facts(self) -> TokenizerFacts:
        """The tokenizer of the role."""
        return self.table.facts

    @property
    def is_shared(self) -> bool:
        """Whether both roles have the same tokens."""
        return self.tables["student"] is self.tables["teacher"]

    @property
    def channels(self) -> int:
        """1: a text has none; so that all sources have one form."""
        return 1

    @property
    def size(self) -> tuple[int, int]:
        """(1, T), T the tokens of the longest text, or those that every batch is padded to."""
        return 1, self.table.fixed or int(self.table.lengths.max())

    def __len__(self) -> int:
        return len(self.tables["student"])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Returns texts as `TokenTable.batch` does, of int64 indices [B]."""
        return self.table.batch(indices)

    def targets(self, indices: Tensor, length: int) -> Tensor:
        """Returns the labels of texts; of tags those of the first ``length`` tokens, [B, length]."""
        found = self.labels[indices]
        if found.dtype != torch.int16:
            return found
        missing = length - found.shape[1]
        return torch.nn.functional.pad(found, (0, missing), value=UNTAGGED) if missing > 0 else found[:, :length]

    def for_role(self, role: str) -> TextData:
        """Returns the same texts as a role sees them: the teacher, or any student."""
        known = "teacher" if role == "teacher" else "student"
        return self if known == self.role else replace(self, role=known)

    def subset(self, indices: Tensor) -> TextData:
        """Returns a source of some texts alone, which holds no others."""
        student = self.tables["student"].subset(indices)
        teacher = student if self.is_shared else self.tables["teacher"].subset(indices)
        return replace(
            self, tables={"student": student, "teacher": teacher}, labels=self.labels[indices], validating=None
        )

    def digest(self) -> str:
        """Returns a SHA-256 of the tokens of both roles, with their tokenizers' sizes and padding."""
        mark = hashlib.sha256()
        for role in TEXT_ROLES:
            table = self.tables[role]
            facts = table.facts
            mark.update(f"{facts.vocabulary} {facts.padding} {facts.mask} {facts.special} {table.fixed}".encode())
            for part in (table.ids, table.starts, table.seconds):
                if part is not None:
                    mark.update(part.contiguous().numpy().data)
        return mark.hexdigest()

    def marks(self, indices: Tensor) -> Iterator[bytes]:
        """Yields a digest of the tokens of each text, by which copies are found."""
        table = self.table
        for row in indices.tolist():
            tokens = table.ids[int(table.starts[row]) : int(table.starts[row + 1])]
            second = b"" if table.seconds is None else str(int(table.seconds[row])).encode()
            yield hashlib.blake2b(tokens.numpy().tobytes() + second, digest_size=16).digest()


def joined_texts(first: TextData, second: TextData) -> TextData:
    """Returns the texts of two sources as one, of which the second's validate.

    Args:
        first: texts to train on.
        second: texts of the same classes and tokenizers.
    """
    student = joined_tables(first.tables["student"], second.tables["student"])
    teacher = student if first.is_shared else joined_tables(first.tables["teacher"], second.tables["teacher"])
    rows, labels = torch.arange(len(first), len(first) + len(second)), [first.labels, second.labels]
    if first.labels.dtype == torch.int16:
        width = max(part.shape[1] for part in labels)
        labels = [torch.nn.functional.pad(part, (0, width - part.shape[1]), value=UNTAGGED) for part in labels]
    return replace(
        first,
        tables={"student": student, "teacher": teacher},
        labels=torch.cat(labels),
        cut=first.cut + second.cut,
        validating=rows,
    )


def is_text(source: Any) -> bool:
    """Returns whether a source is one of texts."""
    return isinstance(source, TextData)
