"""Rules for masks and boxes: what published distillation of segmenters and detectors sets, taken as a beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.advice import rules
from rolewise.advice.rules import Choice
from rolewise.distill.settings import method_name

#: Weight of the labels' term, by task, with its source.
_WHOLE = {
    "segmentation": "Liu et al. (2019), https://arxiv.org/abs/1903.04197, and Yang et al. (2022), "
    "https://arxiv.org/abs/2204.06709, code",
    "detection": "Yang et al. (2022), https://arxiv.org/abs/2111.11837, and Zheng et al. (2022), "
    "https://arxiv.org/abs/2102.12252, code",
}
_PIXELS = (
    "Liu et al. (2019), https://arxiv.org/abs/1903.04197, and Yang et al. (2022), https://arxiv.org/abs/2204.06709"
)


def dense_choices(
    task: str, methods: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[Choice], float | None]:
    """Returns methods at published settings, the choices, and the weight of the labels' term.

    Nothing is measured for them: published trainings leave the labels' loss whole, and compare pixels unsoftened. Of
    another task nothing is proposed, and the weight is None.

    Args:
        task: its name.
        methods: as a config holds them.
    """
    found, choices = [dict(one) for one in methods], list[Choice]()
    if task not in _WHOLE:
        return found, choices, None
    if task == "segmentation":
        soft = [at for at, one in enumerate(found) if rules.softened(method_name(one))]
        for at in soft:
            found[at]["temperature"] = 1.0
        if soft:
            reason = "published distillation of segmenters compares the classes of each pixel without softening them"
            choices.append(Choice("distill.methods.temperature", 1.0, reason, _PIXELS, "low"))
    reason = "published distillation of this task adds its terms to a loss on labels that stays whole"
    choices.append(Choice("distill.label_weight", 1.0, reason, _WHOLE[task], "low"))
    return found, choices, 1.0
