"""A classifier of texts on an encoder of transformers: whole, or cut to some of its layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from rolewise.errors import InputError

POOLINGS = ("mean", "cls", "tokens")
#: Names of the projections of attention in the encoders of transformers.
_PROJECTIONS = (("query", "q_lin", "q_proj"), ("key", "k_lin", "k_proj"), ("value", "v_lin", "v_proj"))


class SentenceClassifier(nn.Module):
    """An encoder with a linear head on its pooled last hidden states. It has no dropout.

    Without dropout, whose draws belong to no position of an epoch, a training that is resumed has the same bytes;
    augmentation of tokens takes its place.

    Args:
        encoder: of transformers; called with ``input_ids``, ``attention_mask`` and, where it takes them,
            ``token_type_ids``, it returns an object that has ``last_hidden_state`` [B, T, D].
        num_classes: K.
        pooling: ``mean`` of the tokens that are no padding, ``cls``, the first token; or ``tokens``, for logits of each
            token.
        layers: numbers from 0 of the layers that are kept, ascending; None for all.
        tuples: whether a layer returns a tuple, as up to version 4 of transformers.

    Raises:
        InputError: a layer is not there, or the pooling is unknown.
    """

    def __init__(
        self,
        encoder: nn.Module,
        num_classes: int,
        *,
        pooling: str = "mean",
        layers: Sequence[int] | None = None,
        tuples: bool = False,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise InputError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
        path, all_layers = _layers_of(encoder)
        self.kept = _checked(layers, len(all_layers))
        parent, _, name = path.rpartition(".")
        setattr(encoder.get_submodule(parent), name, nn.ModuleList(all_layers[at] for at in self.kept))
        self.encoder, self.pooling = encoder, pooling
        self.layers_path = f"encoder.{path}"
        config: Any = encoder.config
        config.num_hidden_layers = len(self.kept)
        self.takes_types = bool(getattr(config, "type_vocab_size", 0))
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.head = nn.Linear(int(config.hidden_size), num_classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.taps = self._named_taps(":output.0" if tuples else "")

    def _named_taps(self, suffix: str) -> dict[str, str]:
        taps = {"embeddings": "encoder.embeddings", "penultimate": "head:input", "logits": "head"}
        last = len(self.kept)
        for number in range(1, last + 1):
            layer = f"{self.layers_path}.{number - 1}"
            taps[f"layer{number}"] = f"{layer}{suffix}"
            for names in _PROJECTIONS:
                inside = [path for path, _ in self.get_submodule(layer).named_modules() if path.endswith(names)]
                if inside:
                    taps[f"{names[0]}{number}"] = f"{layer}.{inside[0]}"
        ends = {
            f"last_{name}": taps[f"{name}{last}"]
            for name in ("layer", "query", "key", "value")
            if f"{name}{last}" in taps
        }
        return {**taps, **ends}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Returns logits [B, K], or [B, T, K] where each token has its own.

        Args:
            input_ids: int64 [B, T].
            attention_mask: [B, T], 1 for tokens and 0 for padding; None where there is none.
            token_type_ids: int64 [B, T], the text of a pair that a token is of.
        """
        types = {"token_type_ids": token_type_ids} if self.takes_types and token_type_ids is not None else {}
        hidden: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        logits: Tensor = self.head(pooled(hidden, attention_mask, self.pooling))
        return logits

    def names_in(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the name in a file, or in another network, of each of this network's tensors that is there.

        The file may be of the encoder alone, of a model of transformers around it, or of such a classifier; where it
        has more layers than this network, those that were kept are found in it.

        Args:
            names: of the tensors in the file.
        """
        there, found = set(names), {}
        prefixes = sorted(
            {name.partition("embeddings.word_embeddings.")[0] for name in there if "word_embeddings." in name}
        )
        outer = prefixes[0] if prefixes else "encoder."
        inner = self.layers_path.removeprefix("encoder.")
        whole = any(name.startswith(f"{outer}{inner}.{self.kept[-1]}.") for name in there)
        for own in self.state_dict():
            name = own.removeprefix("encoder.")
            if whole and name.startswith(f"{inner}."):
                number, _, rest = name.removeprefix(f"{inner}.").partition(".")
                name = f"{inner}.{self.kept[int(number)]}.{rest}"
            wanted = f"{outer}{name}" if own.startswith("encoder.") else own
            if wanted in there:
                found[own] = wanted
        return found


def pooled(hidden: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """Returns one vector [B, D] for each text; with ``tokens`` the hidden states as they are.

    Args:
        hidden: [B, T, D].
        mask: [B, T], 1 for tokens and 0 for padding; None where there is none.
        pooling: ``mean``, ``cls`` or ``tokens``.
    """
    if pooling == "tokens":
        return hidden
    if pooling == "cls":
        return hidden[:, 0]
    if mask is None:
        return hidden.mean(1)
    weight = mask.to(hidden.dtype).unsqueeze(2)
    return (hidden * weight).sum(1) / weight.sum(1).clamp_min(1.0)


def _layers_of(encoder: nn.Module) -> tuple[str, nn.ModuleList]:
    """Returns the path and the list of an encoder's layers."""
    config: Any = getattr(encoder, "config", None)
    count = getattr(config, "num_hidden_layers", None)
    for path, module in encoder.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return path, module
    raise InputError(f"{type(encoder).__name__} must have a list of layers, got none; it cannot be cut or tapped")


def _checked(layers: Sequence[int] | None, count: int) -> tuple[int, ...]:
    if layers is None:
        return tuple(range(count))
    right = isinstance(layers, (list, tuple)) and bool(layers) and all(type(one) is int for one in layers)
    if not right or list(layers) != sorted(set(layers)) or not 0 <= layers[0] <= layers[-1] < count:
        raise InputError(f"layers must be ascending numbers from 0 to {count - 1}, got {layers!r}")
    return tuple(layers)
