"""Encoders of texts of the Hugging Face hub, of a folder or of an installed package, as classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from rolewise.errors import InputError, near
from rolewise.models.sentence_classifier import SentenceClassifier
from rolewise.models.zoo_card import ZooCard

#: Settings of the classifier, beside those of the encoder's own configuration.
_OWN = ("layers", "pooling", "attention")
_ATTENTION = ("sdpa", "eager")


def is_text_config(config: Any) -> bool:
    """Returns whether a configuration of transformers is that of a network of texts."""
    return hasattr(config, "vocab_size") and not hasattr(config, "image_size") and not hasattr(config, "num_channels")


def text_card(rest: str, config: Any) -> ZooCard:
    """Returns the declaration of a network of texts, which has no statistics of pixels.

    Args:
        rest: its folder, package or repository.
        config: its configuration.
    """
    return ZooCard((), (), None, "bilinear", config.num_labels, repository=rest, file="model.safetensors")


def text_network(
    transformers: ModuleType, config: Any, classes: int, vocabulary: int, arguments: Mapping[str, Any]
) -> nn.Module:
    """Builds a classifier of texts on an encoder, without pretrained weights.

    Args:
        transformers: the library.
        config: the encoder's configuration.
        classes: K.
        vocabulary: number of tokens of the tokenizer.
        arguments: ``layers`` (numbers from 0 of those that are kept), ``pooling`` (``mean``, ``cls``, or ``tokens``),
            ``attention`` (``sdpa``, the fused one, or ``eager``), and values of its configuration that differ.

    Raises:
        InputError: an argument is wrong, or the tokenizer has more tokens than the encoder.
    """
    own = {key: arguments[key] for key in _OWN if key in arguments}
    attention = own.pop("attention", "sdpa")
    if attention not in _ATTENTION:
        raise InputError(f"attention must be one of {', '.join(_ATTENTION)}, got {attention!r}")
    known = config.to_dict()
    for key, value in arguments.items():
        if key in _OWN:
            continue
        if key not in known:
            raise InputError(f"no such setting: {key!r}{near(key, [*_OWN, *known])}")
        if "drop" in key and value:
            raise InputError(
                f"{key} must be left out, got {value!r}: what dropout draws would differ where a training is resumed; "
                "augment the tokens"
            )
        setattr(config, key, value)
    for key, value in known.items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    if vocabulary > config.vocab_size:
        raise InputError(
            f"the tokenizer must have at most the {config.vocab_size:,} tokens that the network knows, got "
            f"{vocabulary:,}; take the tokenizer that belongs to it"
        )
    config._attn_implementation = attention
    try:
        encoder = transformers.AutoModel.from_config(config, add_pooling_layer=False)
    except TypeError:  # an encoder that has no pooling layer to leave out
        encoder = transformers.AutoModel.from_config(config)
    tuples = int(str(transformers.__version__).partition(".")[0]) < 5
    return SentenceClassifier(encoder.float(), classes, tuples=tuples, **own)
