"""A bag of embeddings: the smallest network of texts, which sees which tokens there are and not their order."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models.model_registry import MODELS
from rolewise.models.sentence_classifier import pooled


class BagOfEmbeddings(nn.Module):
    """The mean of the tokens' embeddings, a hidden layer where there is one, and a linear head.

    Source: Iyyer, Manjunatha, Boyd-Graber, Daumé III (2015), https://aclanthology.org/P15-1162, without its dropout of
    words, which augmentation has.

    Args:
        vocabulary: number of tokens.
        num_classes: K.
        width: of the embeddings.
        hidden: width of the hidden layer; 0 for none.
    """

    def __init__(self, vocabulary: int, num_classes: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embeddings.weight, std=0.1)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.head = nn.Linear(hidden or width, num_classes)
        self.taps = {"embeddings": "embeddings", "penultimate": "head:input", "logits": "head"}

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **unused: Any) -> Tensor:
        """Returns logits [B, K].

        Args:
            input_ids: int64 [B, T].
            attention_mask: [B, T], 1 for tokens and 0 for padding; None where there is none.
            unused: further inputs of texts, such as ``token_type_ids``.
        """
        logits: Tensor = self.head(self.hidden(pooled(self.embeddings(input_ids), attention_mask, "mean")))
        return logits


@MODELS.add("bag_of_embeddings")
def bag_of_embeddings(num_classes: int, vocabulary: int, width: int = 64, hidden: int = 64) -> BagOfEmbeddings:
    """Returns a bag of embeddings of a tokenizer's tokens.

    Args:
        num_classes: K.
        vocabulary: number of the tokenizer's tokens.
        width: of the embeddings, at least 1.
        hidden: width of the hidden layer; 0 for none.

    Raises:
        InputError: a width is out of range.
    """
    if type(width) is not int or type(hidden) is not int or width < 1 or hidden < 0:
        raise InputError(f"width must be a whole number of at least 1, and hidden at least 0, got {width} and {hidden}")
    return BagOfEmbeddings(vocabulary, num_classes, width, hidden)
