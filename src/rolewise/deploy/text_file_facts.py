"""Facts that an exported network of texts keeps about itself: names, tokenizer, length, form, and its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from rolewise.deploy.answer_kinds import ANSWERS, Activation
from rolewise.errors import InputError, near
from rolewise.quant.file_form import OUTPUTS, FileOutput

TextKind = Literal["classification", "multi_label", "regression", "tagging"]
#: Tasks whose networks of texts are exported and predict.
TEXT_KINDS: tuple[TextKind, ...] = get_args(TextKind)
#: What a file's ``input`` is called where it takes texts.
TOKENS = "tokens"
#: Names of a file's inputs, the last one where the tokenizer's networks take it.
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class TokenForm:
    """The form of a file that takes tokens.

    Args:
        output: ``logits``, or ``probabilities``.
        activation: function from logits to probabilities: ``softmax``, ``sigmoid``, or ``none`` of numbers.
        types: whether it takes ``token_type_ids``.

    Raises:
        InputError: the output is none of these, or probabilities are wanted of numbers.
    """

    output: FileOutput
    activation: Activation
    types: bool

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise InputError(
                f"output must be one of {', '.join(OUTPUTS)}, got {self.output!r}{near(self.output, OUTPUTS)}"
            )
        if self.output == "probabilities" and self.activation == "none":
            raise InputError("output must be logits where numbers are predicted, got 'probabilities'; leave it out")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the file's inputs, in their order."""
        return INPUT_NAMES if self.types else INPUT_NAMES[:2]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Returns the probabilities in the outputs of a file [..., K]; numbers as they are."""
        return outputs if self.output == "probabilities" else self.activated(outputs)

    def activated(self, logits: Tensor) -> Tensor:
        """Returns the probabilities of logits [..., K]; numbers as they are."""
        if self.activation == "softmax":
            return torch.softmax(logits, -1)
        return torch.sigmoid(logits) if self.activation == "sigmoid" else logits


@dataclass(frozen=True)
class TextFileFacts:
    """Facts about a network of texts that whoever runs its file needs.

    Args:
        kind: the network's task.
        classes: names of classes, labels, numbers or tags, in the order of the outputs.
        form: the form of the file.
        tokenizer: the folder, package or repository that the tokenizer is from.
        tokenizer_digest: of what it does (see `rolewise.data.tokenisation.tokenizer_digest`).
        length: most tokens of a text or pair, special ones among them.
        fixed: whether every text is padded to that length.
        columns: names of the column of texts, and of that of second texts where the network takes pairs.
        threshold: the probability from which a label counts as found.
        digest: SHA-256 of the trained weights.
        origin: the network's training.
        agreement: share of texts for which the file predicts as its network, of tags the share of tokens that have
            one; None where it was not measured.
        agreement_texts: these texts and what ran the file.
    """

    kind: TextKind
    classes: tuple[str, ...]
    form: TokenForm
    tokenizer: str
    tokenizer_digest: str
    length: int
    fixed: bool
    columns: tuple[str, ...]
    threshold: float = 0.5
    digest: str = ""
    origin: str = ""
    agreement: float | None = None
    agreement_texts: str = ""
    #: No file of texts has boxes, or is of images.
    boxes: None = None
    unit = "text"

    @property
    def metadata(self) -> dict[str, str]:
        """Text by name, as a file keeps it; values other than words are JSON."""
        return {
            "classes": json.dumps(self.classes),
            "task": self.kind,
            "input": TOKENS,
            "inputs": json.dumps(self.form.names),
            "output": self.form.output,
            "activation": self.form.activation,
            "tokenizer": self.tokenizer,
            "tokenizer_digest": self.tokenizer_digest,
            "length": json.dumps(self.length),
            "padding": "fixed" if self.fixed else "longest",
            "columns": json.dumps(self.columns),
            **({"threshold": json.dumps(self.threshold)} if self.kind == "multi_label" else {}),
            **({"digest": self.digest} if self.digest else {}),
            **({"origin": self.origin} if self.origin else {}),
            **({} if self.agreement is None else {"agreement": json.dumps(self.agreement)}),
            **({"agreement_texts": self.agreement_texts} if self.agreement_texts else {}),
        }


def token_form(kind: TextKind, output: str, types: bool) -> TokenForm:
    """Returns the form of a file of a task.

    Args:
        kind: the task.
        output: one of `rolewise.quant.file_form.OUTPUTS`.
        types: whether it takes ``token_type_ids``.

    Raises:
        InputError: the output is none of these.
    """
    return TokenForm(cast(FileOutput, output), ANSWERS[kind].activation, types)


def text_file_facts_of(metadata: Mapping[str, str], what: str) -> TextFileFacts:
    """Returns the facts that a file of texts keeps.

    Args:
        metadata: text by name.
        what: the file, for errors.

    Raises:
        InputError: they are missing or damaged.
    """
    try:
        kind = metadata["task"]
        if kind not in TEXT_KINDS:
            raise InputError(f"the task {kind!r} is none of {', '.join(TEXT_KINDS)}")
        columns: Any = json.loads(metadata["columns"])
        length = json.loads(metadata["length"])
        if not isinstance(columns, list) or len(columns) not in (1, 2) or type(length) is not int:
            raise InputError(f"columns must be one or two names and length a number, got {columns} and {length}")
        return TextFileFacts(
            kind,
            tuple(map(str, json.loads(metadata["classes"]))),
            token_form(kind, metadata["output"], INPUT_NAMES[2] in json.loads(metadata["inputs"])),
            metadata["tokenizer"],
            metadata["tokenizer_digest"],
            length,
            metadata["padding"] == "fixed",
            tuple(map(str, columns)),
            float(metadata.get("threshold", "0.5")),
            metadata.get("digest", ""),
            metadata.get("origin", ""),
            float(metadata["agreement"]) if "agreement" in metadata else None,
            metadata.get("agreement_texts", ""),
        )
    except (KeyError, ValueError, TypeError) as error:
        reason = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{what} must hold what is needed to tokenise texts for it, and {reason}; write it by: rolewise export"
        ) from error
