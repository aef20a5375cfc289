"""The answers of exported networks, by task: what their outputs are called, and how they are shown and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Activation = Literal["softmax", "sigmoid", "none"]
#: Numbers count as the same within this part of their standard deviation.
CLOSE = 0.01


@dataclass(frozen=True)
class AnswerKind:
    """The answer to an image or a text.

    Args:
        activation: function from logits to probabilities; ``none`` of numbers.
        part: name of one output, such as ``class``.
        value: name of its value, such as ``probability``.
        alike: verb of a file that agrees with the trained network.
        unit: parts of an image or a text that an agreement is a share of, with ``of`` behind them; empty where it is
            one of images or texts themselves.
        parts: outputs in the plural.
        shows: the outputs that a table shows: the most probable ones (``top``); those from a threshold on unless a
            number is given (``found``); those above 0 (``present``); or ``all``, in their order.
    """

    activation: Activation
    part: str
    value: str
    alike: str
    unit: str = ""
    parts: str = "classes"
    shows: Literal["top", "found", "present", "all"] = "top"

    def shown(self, value: float) -> str:
        """Returns a value as text: a number with six digits, a probability or a share in percent."""
        return f"{value:.6g}" if self.activation == "none" else f"{value:.2%}"

    def order(self, values: Sequence[float], top: int, threshold: float) -> list[int]:
        """Returns the places of the outputs that are shown, in their order.

        Args:
            values: of all outputs.
            top: the number of outputs; 0 for one class, the labels at the threshold or above, or the classes that are
                there. Numbers are shown all.
            threshold: the probability from which a label counts as found.
        """
        places = list(range(len(values)))
        if self.shows == "all":
            return places
        places.sort(key=lambda place: -values[place])
        if self.shows == "present":
            return [place for place in places if values[place] > 0][: top or len(values)]
        if self.shows == "found" and not top:
            return [place for place in places if values[place] >= threshold]
        return places[: max(1, top)]

    def columns(self, top: int, names: Sequence[str]) -> list[str]:
        """Returns the columns of a table of values: ranks of classes, or one for each output.

        Args:
            top: number of ranks.
            names: of the outputs.
        """
        if not self.is_ranked:
            return list(names)
        ranks = range(1, max(1, min(top, len(names))) + 1)
        return [f"{name}{'' if rank == 1 else f'_{rank}'}" for rank in ranks for name in (self.part, self.value)]

    @property
    def is_ranked(self) -> bool:
        """Whether a table of values has the most probable outputs, and not all of them by name."""
        return self.shows == "top"


#: By the name of the task.
ANSWERS = {
    "classification": AnswerKind("softmax", "class", "probability", "predicts as the trained network"),
    "multi_label": AnswerKind(
        "sigmoid", "label", "probability", "finds the same labels as the trained network", "", "labels", "found"
    ),
    "regression": AnswerKind(
        "none",
        "number",
        "value",
        f"predicts the trained network's numbers, within {CLOSE:.0%} of their deviation,",
        "",
        "numbers",
        "all",
    ),
    "segmentation": AnswerKind(
        "softmax", "class", "share", "names the classes of the trained network", "the pixels of ", shows="present"
    ),
    "detection": AnswerKind("sigmoid", "class", "score", "finds the boxes of the trained network", "the boxes of "),
    "tagging": AnswerKind(
        "softmax", "tag", "probability", "names the tags of the trained network", "the tokens of ", "tags"
    ),
}
