"""Logits and labels that the tests of the instruments share."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor


def answers(seed: int, count: int = 300, classes: int = 5, sharpness: float = 2.0) -> tuple[Tensor, Tensor]:
    """Gives float64 logits that know something, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(count), labels] += 1.0
    return sharpness * logits, labels


@st.composite
def any_answers(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draws logits of any size, from one image up, with ties, constant rows and classes without an image."""
    count, classes = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    values = st.sampled_from([-40.0, -1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 3.0, 700.0])
    rows = st.lists(values, min_size=classes, max_size=classes)
    logits = draw(st.lists(rows, min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
