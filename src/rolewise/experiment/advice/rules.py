"""The rules: from what was measured to what is proposed, each with its reason, its source and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rolewise.distill import METHODS
from rolewise.experiment.advice.deviation import MIXES, Candidate, ratio_of
from rolewise.experiment.advice.stepping import Pull

Confidence = Literal["low", "medium"]
OWN = "a rule of thumb of this tool"
DEVIATION = "Wang et al. (2022), https://arxiv.org/abs/2012.02909"
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
#: Passes over the images below which nothing is augmented or mixed.
PASSES = 100
#: Share of its right answers that the teacher may lose on augmented images. On digits it loses 28% under RandAugment,
#: and students gain by it all the same.
LOST = 1 / 3
#: What the code that was released with MIX-KD mixes at its defaults, at batch 64; and less of it.
SHARE, LITTLE = 0.4, 0.1


@dataclass(frozen=True)
class Choice:
    """One setting that is proposed.

    Args:
        setting: its dotted path in a config.
        value: of it.
        reason: one sentence with what was measured.
        source: of the rule.
        confidence: ``low`` (nothing measured here decides it) or ``medium``.
    """

    setting: str
    value: Any
    reason: str
    source: str
    confidence: Confidence


def temperature(softness: Mapping[float, float], steps: int) -> Choice:
    """Returns the temperature at which the teacher's answers are about as soft as is useful.

    Args:
        softness: mean entropy as a share of log K, by temperature.
        steps: of the training.
    """
    if steps < STEPS:
        reason = (
            f"the training takes {steps} steps; on digits, over 3 seeds, 1 was better than 4 by 11 points after 60 "
            "steps, and worse by 2 after 160 and by 5 after 320"
        )
        return Choice("distill.methods.temperature", 1.0, reason, OWN, "low")
    value = min(softness, key=lambda t: abs(softness[t] - SOFT))
    shown = ", ".join(f"{entropy:.2g} at {t:g}" for t, entropy in softness.items())
    reason = (
        f"on the student's training images the teacher's mean entropy, as a share of log K, is {shown}; of these "
        f"{value:g} is nearest to {SOFT:g}"
    )
    if softness[min(softness)] >= SMOOTH:
        source = "Chandrasegaran et al. (2022), https://arxiv.org/abs/2206.14532: low temperatures for smooth teachers"
        return Choice("distill.methods.temperature", value, reason, source, "medium")
    return Choice("distill.methods.temperature", value, reason, OWN, "low")


def label_weight(right: float) -> Choice:
    """Returns the weight of the labels' term.

    Args:
        right: share of the student's training images that the teacher is right about.
    """
    value = 0.1 if right >= RIGHT else 0.5
    what = "so that labels add little to it" if value == 0.1 else "so that labels have something to correct"
    reason = f"the teacher is right on {right:.1%} of the student's training images, {what}"
    source = "0.1 beside 0.9: Tian et al. (2020), https://arxiv.org/abs/1910.10699, code; the boundary is " + OWN
    return Choice("distill.label_weight", value, reason, source, "low")


def softened(name: str) -> bool:
    """Returns whether a method softens raw logits by a temperature, as Hinton's does."""
    if name not in METHODS or METHODS[name].head is not None or METHODS[name].reads != "logits":
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
        if softened(str(entry.get("name"))):
            entry["temperature"] = degrees
        if entry.get("name") in ("kd", "reverse_kd") and not isinstance(entry.get("weight"), dict):
            entry["weight"] = round(1 - labels, 6)
        found.append(entry)
    return found


def weights(
    methods: Sequence[Mapping[str, Any]], pulls: Sequence[Pull], labels: float
) -> tuple[list[dict[str, Any]], list[Choice]]:
    """Returns methods with weights under which no gradient drowns another, and a choice for each.

    Args:
        methods: with the weights that the gradients were measured at.
        pulls: what was measured.
        labels: weight of the labels' term, above 0.
    """
    by_name = {pull.name: pull for pull in pulls}
    found, choices = [], []
    for at, method in enumerate(methods):
        entry, pull = dict(method), by_name.get(str(method.get("name")))
        if pull is None or isinstance(entry.get("weight"), dict) or not pull.ratio > 0:
            found.append(entry)
            continue
        ratio = pull.ratio / labels
        bound = min(max(ratio, PULL[0]), PULL[1])
        if bound != ratio:
            entry["weight"] = float(f"{pull.weight * bound / ratio:.3g}")
        else:
            entry["weight"] = pull.weight
        what = (
            f"its gradient is {ratio:.2g} times that of the labels at weight {pull.weight:g} (median of "
            f"{pull.measured} measurements in the student's first steps)"
        )
        kept = f", within {PULL[0]:g} to {PULL[1]:g}" if bound == ratio else f", so that it becomes {bound:g} times"
        choices.append(Choice(f"distill.methods[{at}].weight", entry["weight"], what + kept, OWN, "low"))
        found.append(entry)
    return found, choices


def too_short(epochs: int) -> str:
    """Returns why nothing is augmented or mixed in a short training; empty in a long one."""
    if epochs >= PASSES:
        return ""
    return (
        f"the training goes over its images {epochs} times; gains under such images come with long training "
        f"({DEVIATION}), and in this tool's own experiments they came at 160 passes and not at 50"
    )


def augmentation(candidates: Sequence[Candidate], epochs: int, seed: int) -> Choice:
    """Returns the augmentation of the student's images.

    Args:
        candidates: the first is ``none``.
        epochs: of the training.
        seed: of the bootstrap.
    """
    setting, clean = "arms.student", candidates[0]
    if why := too_short(epochs):
        return Choice(setting, "none", why, OWN, "low")
    known = [
        one
        for one in candidates
        if one.kind != "mixing" and (one.accuracy or 0.0) >= (1 - LOST) * (clean.accuracy or 0.0) and one is not clean
    ]
    lost = [one.name for one in candidates if one.kind == "preset" and one not in known and one is not clean]
    beside = f" (left out: {', '.join(lost)}, under which it loses more than a third of its answers)" if lost else ""
    presets = sorted((one for one in known if one.kind == "preset" and one.lower), key=lambda one: one.deviation)
    if not presets:
        reason = "no preset under which the teacher knows the images lowers its deviation (T.stddev) beyond the noise"
        return Choice(setting, "none", reason + beside, DEVIATION, "low")
    best = presets[0]
    alike = [one.name for one in presets[1:] if ratio_of(best.means, one.means, seed)[2] >= 1]
    beside = (f", which cannot be told from that of {', '.join(alike)}" if alike else "") + beside
    policies = [one for one in known if one.kind == "policy" and ratio_of(one.means, best.means, seed)[2] < 1]
    if policies:
        lowest = min(policies, key=lambda one: one.deviation)
        reason = (
            f"a random policy has a deviation (T.stddev) of {lowest.deviation:.2g}, below that of every preset "
            f"({best.name}: {best.deviation:.2g}) beyond the noise: a screen of many, which trains no student, may "
            "find a better one still"
        )
        return Choice(setting, "screen", reason + beside, DEVIATION, "low")
    reason = (
        f"{best.name} has the lowest deviation of the teacher's mean answer (T.stddev {best.deviation:.2g}, "
        f"{_ratio(best)}), and the teacher is right on {best.accuracy or 0:.1%} of these images, "
        f"{clean.accuracy or 0:.1%} without"
    )
    return Choice(setting, best.spec, reason + beside, DEVIATION, "low")


def mixing(
    candidates: Sequence[Candidate], epochs: int, methods: Sequence[Mapping[str, Any]], gap: float | None
) -> tuple[Choice, dict[str, Any]]:
    """Returns how the student's images are mixed, and the section that says so.

    Args:
        candidates: the first is ``none``.
        epochs: of the training.
        methods: of the distillation.
        gap: the teacher's linearity gap in nats; None where it is not known.
    """
    setting, none = "students.mix", {"method": "none"}
    unsound = [str(one["name"]) for one in methods if _unsound(str(one["name"]))]
    if unsound:
        reason = f"{', '.join(unsound)} is not sound with mixed labels"
        return Choice(setting, "none", reason, "its documentation", "medium"), none
    if why := too_short(epochs):
        return Choice(setting, "none", why, OWN, "low"), none
    mixed = sorted((one for one in candidates if one.name in MIXES and one.lower), key=lambda one: one.deviation)
    if not mixed:
        reason = "neither mixup nor CutMix lowers the teacher's deviation (T.stddev) by more than the noise"
        return Choice(setting, "none", reason, DEVIATION, "low"), none
    best, clean = mixed[0], candidates[0]
    smooth = clean.entropy >= SMOOTH
    share = LITTLE if smooth else SHARE
    linear = f", with a linearity gap of {gap:.2g} nats" if gap is not None else ""
    reason = (
        f"{best.name} has the lower deviation (T.stddev {best.deviation:.2g}, {_ratio(best)}, of whole batches and "
        f"unaugmented images); the teacher is {'already' if smooth else 'not'} smooth (entropy {clean.entropy:.2g} of "
        f"log K{linear}), so that {'little' if smooth else 'a part'} is mixed"
    )
    source = f"{DEVIATION}, for the method; the share is that of MIX-KD's code, https://arxiv.org/abs/2211.03946"
    section = {"method": best.name, "alpha": 1.0, "share": share}
    return Choice(setting, f"{best.name}, share {share:g}", reason, source, "low"), section


def _unsound(name: str) -> bool:
    return name in METHODS and METHODS[name].mixed_labels == "unsound"


def _ratio(one: Candidate) -> str:
    return f"{one.ratio:.2f} of that without, 95% interval {one.low:.2f} to {one.high:.2f}"
