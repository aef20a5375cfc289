"""Tokenising texts once, by a tokenizer of transformers, into a table of tokens."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rolewise.data.token_table import UNTAGGED, TokenizerFacts, TokenTable
from rolewise.errors import InputError
from rolewise.reach import hub_address, hub_options, why_not
from rolewise.text_packages import text_folder, transformers_library

#: Texts that are tokenised at once.
_PIECE = 4096
#: Capitals, accents, digits, marks and other scripts, by which tokenizers of the same tokens differ.
_TRIAL = "The naïve Café's price isn't 12,345.6 €: 东京\tÜBER-alles @rolewise #1!"


@functools.lru_cache(maxsize=8)
def tokenizer_of(name: str) -> Any:
    """Returns a tokenizer of transformers.

    Args:
        name: a folder, an installed package that brings one, or a repository of the Hugging Face hub.

    Raises:
        InputError: transformers is not installed, or the tokenizer is not there, damaged, or without padding.
    """
    library = transformers_library(f'the tokenizer "{name}"')
    folder = text_folder(name)
    here = Path(folder).is_dir()
    try:
        found = library.AutoTokenizer.from_pretrained(folder, **({} if here else hub_options()))
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}" if here else why_not(hub_address(), error)
        raise InputError(
            f'the tokenizer "{name}" must be a folder with tokenizer.json, an installed package that brings one, or a '
            f"repository of the Hugging Face hub in its cache, and cannot be read ({why}); "
            "check the name, or install the package"
        ) from error
    if found.pad_token_id is None:
        raise InputError(
            f'the tokenizer "{name}" must have a padding token, got none; set pad_token in its tokenizer_config.json'
        )
    return found


def tokenizer_facts(name: str) -> TokenizerFacts:
    """Returns the facts of a tokenizer (see `tokenizer_of`).

    Raises:
        InputError: as of `tokenizer_of`.
    """
    found = tokenizer_of(name)
    # An unknown token stands for a word of the text, and is no mark of its beginning or end.
    special = sorted({*found.all_special_ids} - {found.unk_token_id})
    types = "token_type_ids" in found.model_input_names
    return TokenizerFacts(name, len(found), found.pad_token_id, found.mask_token_id, tuple(special), types)


def tokenizer_digest(name: str) -> str:
    """Returns a SHA-256 of what a tokenizer does: its tokens with their numbers, and how it parts a trial text.

    Args:
        name: as of `tokenizer_of`.

    Raises:
        InputError: as of `tokenizer_of`.
    """
    found = tokenizer_of(name)
    known = {"tokens": sorted(found.get_vocab().items()), "trial": found(_TRIAL)["input_ids"]}
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def tokenised(
    name: str, texts: Sequence[str], pairs: Sequence[str] | None, length: int, *, fixed: bool
) -> tuple[TokenTable, int]:
    """Returns the tokens of texts, with those that begin and end them, and the number of texts that were cut.

    Args:
        name: of the tokenizer.
        texts: at least one.
        pairs: the second text of each; None for single ones.
        length: most tokens of a text or pair, special ones among them; of a longer one the end is cut, of a pair that
            of its longer text.
        fixed: whether batches are padded to ``length``, instead of their longest text.

    Raises:
        InputError: as of `tokenizer_of`, or the length has no room for a token.
    """
    tokenizer, facts = tokenizer_of(name), tokenizer_facts(name)
    _check_length(tokenizer, name, length, pairs is not None)
    ids: list[np.ndarray] = []
    counts: list[int] = []
    firsts: list[int] = []
    cut = 0
    for start in range(0, len(texts), _PIECE):
        part = slice(start, start + _PIECE)
        given = [list(texts[part])] + ([list(pairs[part])] if pairs is not None else [])
        whole = tokenizer(*given, truncation=False, verbose=False, return_attention_mask=False)
        rows = list(whole["input_ids"])
        begun = [_first_of_pair(whole, at, row) for at, row in enumerate(rows)] if pairs is not None else []
        if long := [at for at, row in enumerate(rows) if len(row) > length]:
            # Once more, those alone: only the tokenizer knows how a pair is shared out, and what ends it.
            again = [[one[at] for at in long] for one in given]
            short = tokenizer(*again, truncation=True, max_length=length, return_attention_mask=False)
            for place, at in enumerate(long):
                rows[at] = short["input_ids"][place]
                if pairs is not None:
                    begun[at] = _first_of_pair(short, place, rows[at])
        cut, firsts = cut + len(long), firsts + begun
        counts += [len(row) for row in rows]
        ids += [np.asarray(row, np.int32) for row in rows]
    seconds = torch.tensor(firsts, dtype=torch.int32) if pairs is not None else None
    return _table(ids, counts, facts, seconds, length if fixed else None), cut


def tokenised_words(
    name: str, words: Sequence[Sequence[str]], tags: Sequence[Sequence[int]], length: int, *, fixed: bool
) -> tuple[TokenTable, Tensor, int]:
    """Returns the tokens of words, the tag of each token, and the number of texts that were cut.

    The first piece of a word has its tag; its further pieces and special tokens have none.

    Args:
        name: of the tokenizer.
        words: of each text.
        tags: number of the tag of each word.
        length: most tokens of a text.
        fixed: whether batches are padded to ``length``.

    Returns:
        The table; int16 [N, T] of tags, `UNTAGGED` where there is none; and the number of texts that were cut.

    Raises:
        InputError: as of `tokenised`, or the tokenizer does not know which word a token is of.
    """
    tokenizer, facts = tokenizer_of(name), tokenizer_facts(name)
    _check_length(tokenizer, name, length, False)
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f'the tokenizer "{name}" must be a fast one for tags, which knows the word of each token; take one that '
            "has a tokenizer.json"
        )
    encoded = tokenizer([list(row) for row in words], is_split_into_words=True, truncation=True, max_length=length)
    rows = encoded["input_ids"]
    found = torch.full((len(rows), length if fixed else max(map(len, rows))), UNTAGGED, dtype=torch.int16)
    cut = 0
    for at, row_tags in enumerate(tags):
        before, last = None, -1
        for place, word in enumerate(encoded.word_ids(at)):
            if word is not None and word != before:
                found[at, place], last = row_tags[word], word
            before = word
        cut += last < len(row_tags) - 1
    table = _table([np.asarray(row, np.int32) for row in rows], list(map(len, rows)), facts, None, None)
    return (table if not fixed else _fixed(table, length)), found, cut


def _check_length(tokenizer: Any, name: str, length: int, pair: bool) -> None:
    most = tokenizer.model_max_length
    needed = tokenizer.num_special_tokens_to_add(pair) + 1 + pair
    if length < needed or length > most:
        end = f" and at most {most:,}, the limit of the tokenizer" if most < 10**9 else ""
        raise InputError.at(
            ("data", "arguments", "length"),
            f'must be at least {needed} tokens for "{name}"{end}, got {length}; change it',
        )


def _first_of_pair(encoded: Any, at: int, row: Sequence[int]) -> int:
    """Returns the number of tokens before the second text of a pair."""
    kinds = encoded.sequence_ids(at) if getattr(encoded, "is_fast", False) else encoded["token_type_ids"][at]
    return next((place for place, kind in enumerate(kinds) if kind == 1), len(row))


def _table(
    ids: list[np.ndarray], counts: list[int], facts: TokenizerFacts, seconds: Tensor | None, fixed: int | None
) -> TokenTable:
    starts = torch.tensor([0, *np.cumsum(counts).tolist()], dtype=torch.int64)
    return TokenTable(torch.from_numpy(np.concatenate(ids)), starts, facts, seconds, fixed)


def _fixed(table: TokenTable, length: int) -> TokenTable:
    return TokenTable(table.ids, table.starts, table.facts, table.seconds, length)


def shown_tokens(name: str, ids: Sequence[int]) -> str:
    """Returns tokens as readable text, special ones among them.

    Args:
        name: of the tokenizer.
        ids: numbers of tokens.
    """
    pieces = tokenizer_of(name).convert_ids_to_tokens(list(ids))
    return re.sub(r" ##", "", " ".join(str(piece) for piece in pieces))
