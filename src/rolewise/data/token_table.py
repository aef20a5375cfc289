"""Texts as numbers of tokens, all in one row, and batches of them with their masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rolewise.errors import InputError

#: Stands for the tag of a token that has none: padding, special tokens, and the later pieces of a word.
UNTAGGED = -100


@dataclass(frozen=True)
class TokenizerFacts:
    """A tokenizer, as far as batches and networks depend on it.

    Args:
        name: the folder, package or repository that it is from.
        vocabulary: number of its tokens V.
        padding: number of the token that fills up a text.
        mask: number of the token that hides another; None where it has none.
        special: numbers of the tokens that no augmentation touches: those that begin, end and part texts.
        types: whether its networks take ``token_type_ids``, 0 in the first text of a pair and 1 in the second.
    """

    name: str
    vocabulary: int
    padding: int
    mask: int | None
    special: tuple[int, ...]
    types: bool


@dataclass(frozen=True)
class TokenTable:
    """N texts of one tokenizer: their tokens one after another, 4 bytes for each token and 8 for each text.

    Args:
        ids: int32 [sum of lengths].
        starts: int64 [N + 1], where each text begins, and the end.
        facts: of the tokenizer.
        seconds: int32 [N], the number of tokens before the second text of a pair; None for single texts.
        fixed: length T that every batch is padded to; None for that of the longest text of the batch.

    Raises:
        InputError: the parts do not fit together.
    """

    ids: Tensor
    starts: Tensor
    facts: TokenizerFacts
    seconds: Tensor | None = None
    fixed: int | None = None

    def __post_init__(self) -> None:
        lengths = self.starts.diff()
        if self.starts.ndim != 1 or len(self.starts) < 2 or int(self.starts[-1]) != len(self.ids):
            raise InputError(f"texts must be at least one, and end where the {len(self.ids)} tokens end")
        if int(lengths.min()) < 1 or (self.fixed is not None and int(lengths.max()) > self.fixed):
            rule = f"from 1 to {self.fixed}" if self.fixed is not None else "at least 1"
            raise InputError(f"texts must have {rule} tokens, got {int(lengths.min())} to {int(lengths.max())}")
        if len(self.ids) and not 0 <= int(self.ids.min()) <= int(self.ids.max()) < self.facts.vocabulary:
            raise InputError(f"tokens must be from 0 to {self.facts.vocabulary - 1}, those of the tokenizer")

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each text, int64 [N], special ones among them."""
        return self.starts.diff()

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """Returns texts as a network takes them.

        Args:
            rows: int64 [B].

        Returns:
            ``input_ids`` and ``attention_mask``, 1 for tokens and 0 for padding, which stands on the right; and
            ``token_type_ids`` where the tokenizer's networks take them. int64 [B, T] each.
        """
        first = self.starts[rows]
        lengths = self.starts[rows + 1] - first
        longest = self.fixed if self.fixed is not None else int(lengths.max()) if len(rows) else 1
        places = torch.arange(longest)
        there = places < lengths[:, None]
        found = self.ids[(first[:, None] + places).clamp_max(len(self.ids) - 1)].long()
        batch = {"input_ids": torch.where(there, found, self.facts.padding), "attention_mask": there.long()}
        if self.facts.types:
            later = torch.zeros_like(there) if self.seconds is None else places >= self.seconds[rows, None]
            batch["token_type_ids"] = (later & there).long()
        return batch

    def subset(self, rows: Tensor) -> TokenTable:
        """Returns a table of some texts alone, which holds no others.

        Args:
            rows: int64 [M].
        """
        lengths = self.starts[rows + 1] - self.starts[rows]
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        inside = torch.arange(int(starts[-1])) - starts[:-1].repeat_interleave(lengths)
        ids = self.ids[self.starts[rows].repeat_interleave(lengths) + inside]
        seconds = None if self.seconds is None else self.seconds[rows]
        return replace(self, ids=ids, starts=starts, seconds=seconds)


def joined_tables(first: TokenTable, second: TokenTable) -> TokenTable:
    """Returns the texts of two tables of one tokenizer as one table.

    Args:
        first: its texts keep their rows.
        second: its texts follow.
    """
    starts = torch.cat([first.starts, first.starts[-1] + second.starts[1:]])
    seconds = None
    if first.seconds is not None and second.seconds is not None:
        seconds = torch.cat([first.seconds, second.seconds])
    return replace(first, ids=torch.cat([first.ids, second.ids]), starts=starts, seconds=seconds)
