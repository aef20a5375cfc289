"""The rules of losses: from what was measured to what is proposed, each with its reason and how sure it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rolewise.advice.gradient_probe import Pull
from rolewise.distill import METHODS, section_terms
from rolewise.distill.settings import ROLES, method_key, method_name

# Findings of the project's own grids, as reasons cite them; a test holds each sentence to the committed figures.
#: `configs/studies/temperature_digits.yaml`.
FOUND_SHORT = (
    "on digits, over 4 seeds, at a temperature of 4 the mean accuracy differed from that at 1 by -8.8 points after 60 "
    "steps (95% interval -14.7 to -2.9, unadjusted)"
)
#: `configs/studies/mixup_digits.yaml`, on clean images.
FOUND_RESCALED = (
    "on clean digits they differed from temperatures of 1 and 4 by +3.0 points (95% interval +2.4 to +3.7, 5 seeds) "
    "over two students, by +4.6 from a teacher of clean images and +1.4 from one of mixed; for the abler student they "
    "were above 4 (+0.6 points, +0.1 to +1.2)"
)
#: `configs/studies/mixup_digits.yaml`.
FOUND_MIXED = (
    "on digits, at 160 times, students gained from mixing all images under four of five losses, each judged by "
    "itself, and mixing half of them changed an abler one by +1.6 points (95% interval +1.2 to +2.1)"
)
#: `rolewise compare --data digits`, docs/choosing.md.
FOUND_METHODS = (
    "on digits, over 5 seeds and each at its published or default weights, of 52 methods `simkd` (+4.6, +3.6 to "
    "+5.7), `fitnets` (+2.7, +1.8 to +3.5) and `cat_kd` (+2.6, +2.2 to +2.9) stood above plain kd by more than "
    "the noise of all of them, in points"
)
#: The methods that it names.
ABOVE_KD = tuple(re.findall(r"`(\w+)` \(", FOUND_METHODS))

Confidence = Literal["low", "medium"]
OWN = "a rule of thumb of this tool"
#: The entropy, as a share of log K, that softened answers should have.
SOFT = 0.4
#: A teacher is smooth already whose answers have this entropy without softening.
SMOOTH = 0.2
#: Of the student's training images that the teacher is right about: below it, labels count half.
RIGHT = 0.9
#: Norm of the distillation's gradient to that of the labels, both weighted, within which no weight is touched.
PULL = (0.1, 30.0)
#: Steps below which answers are not softened.
STEPS = 100
#: Classes from which logits are rescaled: of K of them, no rescaled logit is beyond sqrt(K - 1), and with few of them
#: every answer is soft. What is known of it is of 10 classes and more.
CLASSES = 10
#: What takes the place of Hinton's method, at the settings that its authors use.
RESCALED = {"name": "logit_standardisation", "temperature": 2.0, "weight": 9.0}


@dataclass(frozen=True)
class Choice:
    """One setting that is proposed.

    Args:
        setting: its dotted path in a config.
        value: the setting's value.
        reason: one sentence with what was measured.
        source: of the rule.
        confidence: ``low`` (nothing measured here decides it) or ``medium``.
    """

    setting: str
    value: Any
    reason: str
    source: str
    confidence: Confidence


def temperature(softness: Mapping[float, float], steps: int, what: str = "images") -> Choice:
    """Returns the temperature at which the teacher's answers are about as soft as is useful.

    Args:
        softness: mean entropy as a share of log K, by temperature.
        steps: of the training.
        what: ``images`` or ``texts``, the examples of the student.
    """
    if steps < STEPS:
        reason = f"the training takes {steps} steps; {FOUND_SHORT}"
        return Choice("distill.methods.temperature", 1.0, reason, OWN, "low")
    value = min(softness, key=lambda t: abs(softness[t] - SOFT))
    shown = ", ".join(f"{entropy:.2g} at {t:g}" for t, entropy in softness.items())
    reason = (
        f"on the student's training {what} the teacher's mean entropy, as a share of log K, is {shown}; of these "
        f"{value:g} is nearest to {SOFT:g}"
    )
    if softness[min(softness)] >= SMOOTH:
        source = "Chandrasegaran et al. (2022), https://arxiv.org/abs/2206.14532: low temperatures for smooth teachers"
        return Choice("distill.methods.temperature", value, reason, source, "medium")
    return Choice("distill.methods.temperature", value, reason, OWN, "low")


def rescaled(
    methods: Sequence[Mapping[str, Any]], steps: int, classes: int
) -> tuple[list[Mapping[str, Any]], Choice | None]:
    """Returns methods of which Hinton's, at a constant weight, rescales logits instead of dividing them by one number.

    Args:
        methods: as a config holds them.
        steps: of the training.
        classes: K.
    """
    kept = [method for method in methods if method_name(method) != RESCALED["name"]]
    places = [at for at, one in enumerate(kept) if method_name(one) == "kd" and not isinstance(one.get("weight"), dict)]
    if steps < STEPS or classes < CLASSES or not places or len(kept) < len(methods):
        return list(methods), None
    found = list(methods)
    place = found[places[0]]
    # Its term keeps its name, and stays between the same networks.
    key, kept_too = method_key(place), {role: place[role] for role in ROLES if role in place}
    found[places[0]] = {**kept_too, **RESCALED} if key == "name" else {**_of_another_name(RESCALED), **kept_too}
    reason = (
        "logits divided by their own standard deviation, image by image, need no temperature that fits the teacher: "
        f"{FOUND_RESCALED}. The student's confidences mean nothing before a temperature is fitted to them"
    )
    source = "Sun et al. (2024), https://arxiv.org/abs/2403.01427, and this tool's study of mixing on digits"
    return found, Choice(f"distill.methods[{places[0]}].{key}", RESCALED["name"], reason, source, "medium")


def _of_another_name(section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a method's section whose ``name`` is free for that of its term."""
    return {"method": section["name"], **{key: value for key, value in section.items() if key != "name"}}


def _is_rescaled(section: Mapping[str, Any]) -> bool:
    """Returns whether a section is the rescaling method at its authors' settings, whatever its term is called."""
    settings = {key: value for key, value in section.items() if key not in (*ROLES, "method")}
    return {"name": method_name(section), **settings} == RESCALED


def label_weight(right: float, what: str = "images") -> Choice:
    """Returns the weight of the labels' term.

    Args:
        right: share of the student's training images, or texts, that the teacher is right about.
        what: ``images`` or ``texts``, the examples of the student.
    """
    value = 0.1 if right >= RIGHT else 0.5
    so = "so that labels add little to it" if value == 0.1 else "so that labels have something to correct"
    reason = f"the teacher is right on {right:.1%} of the student's training {what}, {so}"
    source = "0.1 beside 0.9: Tian et al. (2020), https://arxiv.org/abs/1910.10699, code; the boundary is " + OWN
    return Choice("distill.label_weight", value, reason, source, "low")


def softened(name: str) -> bool:
    """Returns whether a method softens raw logits by a temperature, as Hinton's does."""
    if name not in METHODS or METHODS[name].logit_scale is not None or METHODS[name].reads != "logits":
        return False
    default = METHODS[name].settings.get("temperature")
    return isinstance(default, (int, float)) and default > 1


def configured(methods: Sequence[Mapping[str, Any]], degrees: float, labels: float) -> list[dict[str, Any]]:
    """Returns methods at a temperature, where they have one, and Hinton's at the weight that the labels leave.

    Args:
        methods: as a config holds them.
        degrees: the temperature.
        labels: weight of the labels' term.
    """
    found = []
    for method in methods:
        entry = dict(method)
        if softened(method_name(entry)):
            entry["temperature"] = degrees
        if method_name(entry) in ("kd", "reverse_kd") and not isinstance(entry.get("weight"), dict):
            entry["weight"] = round(1 - labels, 6)
        found.append(entry)
    return found


def weights(
    methods: Sequence[Mapping[str, Any]], pulls: Sequence[Pull], labels: float
) -> tuple[list[dict[str, Any]], list[Choice]]:
    """Returns methods with weights under which no gradient drowns another, and a choice for each.

    Args:
        methods: with the weights that the gradients were measured at.
        pulls: the measured gradients.
        labels: weight of the labels' term, above 0.
    """
    by_name = {pull.name: pull for pull in pulls}
    found, choices = [], []
    for at, method in enumerate(methods):
        entry = dict(method)
        pull = by_name.get(section_terms(method)[0]) if method_name(method) in METHODS else None
        # What is known of the rescaled logits is of the weight that their authors use.
        if pull is None or _is_rescaled(entry) or isinstance(entry.get("weight"), dict) or not pull.ratio > 0:
            found.append(entry)
            continue
        ratio = pull.ratio / labels
        # To one digit: a weight that is hardly beyond a bound is left as it is.
        rounded = float(f"{ratio:.1g}")
        bound = min(max(rounded, PULL[0]), PULL[1])
        inside = bound == rounded
        said = min(max(ratio, PULL[0]), PULL[1]) if inside else ratio
        if not inside:
            entry["weight"] = float(f"{pull.weight * bound / ratio:.3g}")
        else:
            entry["weight"] = pull.weight
        what = (
            f"its gradient at weight {pull.weight:g} is {said:.2g} times that of the labels at weight {labels:g} "
            f"(median of {pull.measured} measurements in the student's first steps)"
        )
        kept = f", within {PULL[0]:g} to {PULL[1]:g}" if inside else f", so that it becomes {bound:g} times"
        choices.append(Choice(f"distill.methods[{at}].weight", entry["weight"], what + kept, OWN, "low"))
        found.append(entry)
    return found, choices
