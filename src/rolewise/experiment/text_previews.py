"""Previews of texts: the tokens of a few under a schedule, at the beginning, the middle and the end of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rolewise.augment import Schedule
from rolewise.data import TextData
from rolewise.data.tokenisation import shown_tokens
from rolewise.train.text_feed import augmented_texts

#: Characters of a line of the picture; what is longer ends in an ellipsis.
_LONGEST = 100
_FONT_SIZE, _LINE, _MARGIN = 14, 20, 10
_INK, _FAINT, _HIDDEN = (20, 20, 20), (125, 125, 125), (255, 205, 120)


def texts_seen(
    source: TextData,
    rows: Tensor,
    schedule: Schedule | None,
    fraction: float = 0.0,
    stream: torch.Generator | None = None,
) -> list[str]:
    """Returns texts as a role sees them at one moment of training, special tokens among them.

    Args:
        source: the texts, as the role's tokenizer gives them.
        rows: int64 [n].
        schedule: the augmentation; None for none.
        fraction: of training that is over, in [0, 1].
        stream: of the draws; needed with a schedule.
    """
    texts = source.batch(rows)
    if schedule is not None and stream is not None:
        plan = schedule.at(fraction).draw(len(rows), (source.channels, *source.size), stream)
        texts = augmented_texts(source, texts, plan, None)[0]
    ids, there = texts["input_ids"], texts["attention_mask"].bool()
    return [shown_tokens(source.facts.name, row[some].tolist()) for row, some in zip(ids, there, strict=True)]


def drawn_texts(rows: Mapping[str, Sequence[str]], hidden: str) -> Any:
    """Returns a picture of texts, each with a line for each moment.

    Args:
        rows: moment -> the texts, in one order.
        hidden: the token that hides another, which is marked; empty where there is none.
    """
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    # A path as text: Pillow 10.0 takes no other.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"), _FONT_SIZE)
    letter = font.getlength("m")
    label = max(map(len, rows)) + 2
    count = len(next(iter(rows.values())))
    height = 2 * _MARGIN + (count * (len(rows) + 1) - 1) * _LINE
    page = Image.new("RGB", (round(letter * (label + _LONGEST)) + 2 * _MARGIN, height), "white")
    draw = ImageDraw.Draw(page)
    y = _MARGIN
    for number in range(count):
        for moment, texts in rows.items():
            draw.text((_MARGIN, y), moment, _FAINT, font)
            at = _MARGIN + letter * label
            for token in _shortened(texts[number]).split(" "):
                wide = letter * len(token)
                if token == hidden:
                    draw.rectangle((at, y, at + wide, y + _LINE - 2), _HIDDEN)
                draw.text((at, y), token, _FAINT if token.startswith("[") and token != hidden else _INK, font)
                at += wide + letter
            y += _LINE
        y += _LINE
    return page


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def text_arrays(
    source_of: Callable[[str], Any],
    rows: Tensor,
    searched: Mapping[str, Schedule],
    fractions: Sequence[float],
    stream_of: Callable[[str, float], torch.Generator],
) -> dict[str, list[str]]:
    """Returns texts by ``clean`` and ``<role>/<fraction>``, as the page of a run has images.

    Args:
        source_of: the texts as a role's tokenizer gives them.
        rows: int64 [n].
        searched: the schedule of each role that has one of its own.
        fractions: of training.
        stream_of: the draws of a role at a fraction.
    """
    found = {"clean": texts_seen(source_of("student"), rows, None)}
    for role, schedule in searched.items():
        for fraction in fractions:
            texts = texts_seen(source_of(role), rows, schedule, fraction, stream_of(role, fraction))
            found[f"{role}/{fraction:g}"] = texts
    return found
