"""The rules of images: how the student's are augmented and mixed, from what was measured of the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.advice.deviation import MIXES, Candidate, ratio_of
from rolewise.advice.rules import FOUND_MIXED, OWN, SMOOTH, Choice
from rolewise.distill import METHODS
from rolewise.distill.settings import method_name

DEVIATION = "Wang et al. (2022), https://arxiv.org/abs/2012.02909"
#: Passes over the images below which nothing is augmented or mixed.
PASSES = 100
#: Share of its right answers that the teacher may lose on augmented images. On digits it loses 28% under RandAugment,
#: and students gain by it all the same.
LOST = 1 / 3
#: Half of the images did as well on digits as all of them, and MIX-KD's code mixes 0.4 of them at its defaults; of a
#: smooth teacher, less.
SHARE, LITTLE = 0.5, 0.1


def too_short(epochs: int) -> str:
    """Returns the reason against augmentation and mixing in a short training; empty in a long one."""
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
    """Returns the choice of the student's mixing, and its section in a config.

    Args:
        candidates: the first is ``none``.
        epochs: of the training.
        methods: of the distillation.
        gap: the teacher's linearity gap in nats; None where it is not known.
    """
    setting, none = "students.mix", {"method": "none"}
    unsound = [name for name in map(method_name, methods) if _unsound(name)]
    if unsound:
        reason = f"{', '.join(unsound)} is not sound with mixed labels"
        return Choice(setting, "none", reason, "its documentation", "medium"), none
    if why := too_short(epochs):
        return Choice(setting, "none", why, OWN, "low"), none
    known = {one.name: one for one in candidates if one.name in MIXES}
    if not known:
        return Choice(setting, "none", "one image has no partner", OWN, "low"), none
    # Mixup is what gains are known of here; another takes its place where the deviation speaks for it.
    better = [one for one in known.values() if one.lower and one.deviation < known["mixup"].deviation]
    best, clean = min(better, key=lambda one: one.deviation, default=known["mixup"]), candidates[0]
    smooth = clean.entropy >= SMOOTH
    share = LITTLE if smooth else SHARE
    linear = f", with a linearity gap of {gap:.2g} nats" if gap is not None else ""
    why = "has the lowest deviation" if better else "is what was tried there, and no other has a lower deviation"
    reason = (
        f"the training goes over its images {epochs} times; {FOUND_MIXED}; {best.name} {why} "
        f"(T.stddev {best.deviation:.2g}, {_ratio(best)}, of whole batches and unaugmented images); the teacher is "
        f"{'already' if smooth else 'not'} smooth (entropy {clean.entropy:.2g} of log K{linear}), so that "
        f"{'little' if smooth else 'half'} is mixed"
    )
    source = f"this tool's study of mixing on digits; {DEVIATION}, for the method"
    section = {"method": best.name, "alpha": 1.0, "share": share}
    return Choice(setting, f"{best.name}, share {share:g}", reason, source, "low"), section


def _unsound(name: str) -> bool:
    return name in METHODS and METHODS[name].mixed_labels == "unsound"


def _ratio(one: Candidate) -> str:
    return f"{one.ratio:.2f} of that without, 95% interval {one.low:.2f} to {one.high:.2f}"
