"""Texts as far as networks depend on them: their tokenizers and lengths, and a few that networks are tried on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.data import TextData
from rolewise.data.token_table import TokenizerFacts

#: Tokens of the texts of a trial: of different lengths, so that there is padding.
_LENGTHS = (6, 4)


@dataclass(frozen=True)
class TextFacts:
    """The texts of a data set.

    Args:
        student: facts of the students' tokenizer.
        teacher: facts of the teacher's tokenizer.
        shared: whether both are one.
        longest: most tokens of a text, for the role that has more.
    """

    student: TokenizerFacts
    teacher: TokenizerFacts
    shared: bool
    longest: int

    def of(self, role: str) -> TokenizerFacts:
        """Returns the facts of a role's tokenizer."""
        return self.teacher if role == "teacher" else self.student

    def example(self, role: str, place: torch.device, longest: int | None = None) -> dict[str, Tensor]:
        """Returns two texts of a role, the second with padding.

        Args:
            role: ``teacher``, or a student's name.
            place: device of the tensors.
            longest: T, the tokens of the first; None for a few.
        """
        facts, count = self.of(role), longest or min(_LENGTHS[0], self.longest)
        short = min(_LENGTHS[1], max(1, count - 1))
        ids = torch.arange(2 * count).view(2, count) * 7 % facts.vocabulary
        mask = torch.ones_like(ids)
        ids[1, short:], mask[1, short:] = facts.padding, 0
        found = {"input_ids": ids, "attention_mask": mask}
        if facts.types:
            found["token_type_ids"] = torch.zeros_like(ids)
        return {name: tensor.to(place) for name, tensor in found.items()}


def text_facts_of(source: TextData) -> TextFacts:
    """Returns the facts of a source of texts."""
    tables = source.tables
    longest = max(table.fixed or int(table.lengths.max()) for table in tables.values())
    return TextFacts(tables["student"].facts, tables["teacher"].facts, source.is_shared, longest)
