"""Small texts, a tokenizer of some words, and the configuration of a small encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from rolewise.data import TextData
from rolewise.data.token_table import TokenizerFacts, TokenTable

WORDS = ("good", "bad", "film", "plot", "a", "the", "very", "was", "not", "##ly", "end", "dull")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FACTS = TokenizerFacts("toys", 40, 0, 4, (0, 2, 3, 4), True)


def table_of(rows: Sequence[Sequence[int]], facts: TokenizerFacts = FACTS, **more: object) -> TokenTable:
    """Gives a table of tokens; each row gets its first and last special token."""
    full = [[2, *row, 3] for row in rows]
    starts = torch.tensor([0, *(sum(map(len, full[: at + 1])) for at in range(len(full)))])
    return TokenTable(torch.tensor([token for row in full for token in row], dtype=torch.int32), starts, facts, **more)


def texts_of(count: int, *, longest: int = 9, classes: int = 2, other: bool = False, seed: int = 0) -> TextData:
    """Gives texts whose class is that of the token that occurs most: even or odd numbers from 10 on."""
    stream = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    rows = []
    for label in labels.tolist():
        length = int(torch.randint(2, longest - 1, (), generator=stream))
        noise = torch.randint(10, 40, (length,), generator=stream)
        own = torch.rand(length, generator=stream) < 0.8
        rows.append(torch.where(own, noise - (noise - label) % classes, noise).clamp_min(10).tolist())
    student = table_of(rows)
    facts = TokenizerFacts("others", 60, 0, 4, (0, 2, 3), False)
    teacher = table_of([[token + 10 for token in row for _ in (0, 1)] for row in rows], facts) if other else student
    return TextData({"student": student, "teacher": teacher}, labels, tuple("abcdef"[:classes]))


def encoder_folder(folder: Path, *, layers: int = 3, width: int = 8, heads: int = 2) -> Path:
    """Writes a tokenizer and the configuration of a BERT, as transformers reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: at for at, word in enumerate((*SPECIAL, *WORDS))}
    special = [
        {"id": at, "content": word, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for at, word in enumerate(SPECIAL)
    ]
    first = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    first.append({"SpecialToken": {"id": "[SEP]", "type_id": 0}})
    second = [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    tokens = {name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    tokenizer = {
        **{"version": "1.0", "truncation": None, "padding": None, "added_tokens": special},
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            **{"type": "TemplateProcessing", "single": first, "pair": [*first, *second], "special_tokens": tokens}
        },
        "decoder": None,
        "model": {
            **{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"},
            **{"max_input_chars_per_word": 100, "vocab": vocabulary},
        },
    }
    marks = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    config = {
        **{"model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": width, "num_hidden_layers": layers},
        **{"num_attention_heads": heads, "intermediate_size": 2 * width, "max_position_embeddings": 32},
        **{"pad_token_id": 0, "type_vocab_size": 2},
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32, **marks}
    settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    for name, value in (("tokenizer", tokenizer), ("tokenizer_config", settings), ("config", config)):
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder
