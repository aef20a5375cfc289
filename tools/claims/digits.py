"""The default experiment, and the ways of finding a schedule."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Arms, Figures, count, interval, listed, p, percent, points, size
from claims.telling import Told, aside, paragraph, told

AUGMENTATIONS = {
    "teacher": "the teacher's schedule",
    "own_shuffled": "its own schedule shuffled in time",
    "randaugment": "RandAugment",
    "trivialaugment": "TrivialAugment",
}
SEARCHES = {
    "own": "population search",
    "random_search": "random search",
    "grid_search": "RandAugment's grid",
    "screened_search": "screened, then population",
    "screen": "screen alone, no training",
    "randaugment": "RandAugment",
    "trivialaugment": "TrivialAugment",
}


def beyond(arms: Arms, student: str, *, distilled: bool, all_together: bool) -> list[str]:
    """Returns the augmentations that differ from none beyond Holm's .05: among the student's own arms, or among all."""
    return [
        row.augmentation
        for row in arms.compared
        if row.student == student
        and row.distilled == distilled
        and (arms.together(student, row.name) if all_together else arms.alone(row)) <= 0.05
    ]


def family(arms: Arms, student: str) -> int:
    """Returns how many differences of a student there are."""
    return sum(row.student == student for row in arms.compared)


@paragraph("digits")
def default_experiment(figures: Figures) -> Iterator[Told]:
    """README, below the table."""
    arms = figures.arms("digits")
    own = arms.row("small", "own+distill")
    assert own.difference is not None
    yield told(
        "What these data say: for the small student its own searched schedule raises accuracy under distillation by "
        f"{size(own.difference.mean)} points ({interval(own.difference)}), which is beyond the noise among this "
        f"student's {count(family(arms, 'small'))} comparisons (Holm's p {p(arms.alone(own))}) and not among the "
        f"table's {arms.family} ({p(arms.together('small', own.name))}).",
        own.difference.mean > 0,
        arms.alone(own) <= 0.05 < arms.together("small", own.name),
    )
    alike = beyond(arms, "small", distilled=True, all_together=False)
    firm = [beyond(arms, "small", distilled=way, all_together=True) for way in (True, False)]
    others = [one for one in alike if one not in ("own", "teacher")]
    teacher = [arms.together("small", name) for name in ("teacher+distill", "teacher")]
    yield told(
        f"{listed([AUGMENTATIONS[one] for one in others])} do the same; among all {arms.family} only the teacher's "
        f"schedule stands ({p(teacher[0])} distilled, {p(teacher[1])} not).",
        "own" in alike and "teacher" in alike and len(others) > 1,
        firm == [["teacher"], ["teacher"]] and not any(_all_firm(arms, "tiny")),
    )
    rivals = {one: arms.difference("small", "own+distill", f"{one}+distill") for one in AUGMENTATIONS}
    largest = max(rivals, key=lambda one: abs(rivals[one].mean))
    yield told(
        f"Its own schedule cannot be told from any of them (the largest difference is {points(rivals[largest].mean)} "
        f"points against {AUGMENTATIONS[largest]}, {interval(rivals[largest])}).",
        not any(one.exceeds_noise for one in rivals.values()),
    )
    alone = [row for row in arms.compared if row.student == "tiny" and not row.distilled]
    known = [row.difference for row in alone if row.difference is not None]
    told_apart = [row for row in alone if arms.alone(row) <= 0.05]
    rest = [arms.alone(row) for row in alone if row not in told_apart]
    yield told(
        "For the tiny student without distillation every augmentation has the higher mean, by "
        f"{size(min(d.mean for d in known))} to {size(max(d.mean for d in known))} points, each more than the noise "
        f"of one comparison; of this student's {count(family(arms, 'tiny'))} comparisons together one is beyond it, "
        f"{AUGMENTATIONS[told_apart[0].augmentation] if told_apart else ''} "
        f"({p(min(arms.alone(row) for row in alone))}; the others {p(min(rest, default=1.0))} to "
        f"{p(max(rest, default=1.0))}), of all {arms.family} none.",
        all(d.mean > 0 and d.exceeds_noise for d in known),
        len(told_apart) == 1,
        not beyond(arms, "tiny", distilled=False, all_together=True),
    )
    distilled = [row.difference for row in arms.compared if row.student == "tiny" and row.distilled]
    yield told(
        "With distillation each of its differences is within the noise of one comparison.",
        not any(d.exceeds_noise for d in distilled if d is not None),
    )
    yield told(
        "On this data the search has not been shown to be worth its cost.",
        not any(_own_wins(arms, student, how) for student in ("small", "tiny") for how in ("", "+distill")),
    )


def _all_firm(arms: Arms, student: str) -> list[str]:
    return [one for way in (True, False) for one in beyond(arms, student, distilled=way, all_together=True)]


def _own_wins(arms: Arms, student: str, how: str) -> bool:
    """Whether the own schedule is beyond the noise of one comparison better than some preset."""
    found = [arms.difference(student, f"own{how}", f"{preset}{how}") for preset in ("randaugment", "trivialaugment")]
    return any(one.exceeds_noise and one.mean > 0 for one in found)


@paragraph("log_presets")
def presets(figures: Figures) -> Iterator[Told]:
    """The log: the search against presets."""
    arms = figures.arms("digits")
    spreads = {one: percent(arms.row("small", f"{one}+distill").score) for one in ("own", *AUGMENTATIONS)}
    own = {one: arms.difference("small", "own+distill", f"{one}+distill") for one in AUGMENTATIONS}
    yield told(
        f"Over {count(arms.seeds)} seeds the small student's own schedule ({spreads['own']} with distillation) cannot "
        f"be told from the teacher's schedule ({spreads['teacher']}), RandAugment ({spreads['randaugment']}) or "
        f"TrivialAugment ({spreads['trivialaugment']}); nor does any arm of the tiny student with distillation differ "
        "from none by more than the noise of one comparison.",
        not any(one.exceeds_noise for one in own.values()),
        not any(
            row.difference.exceeds_noise
            for row in arms.compared
            if row.student == "tiny" and row.distilled and row.difference
        ),
    )
    yield aside(
        "Each of the two searches costs as much as its members' trainings. `benchmarks/results/digits.json` has the "
        "figures."
    )


@paragraph("log_searches")
def searches(figures: Figures) -> Iterator[Told]:
    """The log: cheaper ways of searching."""
    arms = figures.arms("digits_searches")
    rivals = [name for name in SEARCHES if name != "own"]
    found = {
        (student, rival): arms.difference(student, "own+distill", f"{rival}+distill")
        for student in ("small", "tiny")
        for rival in rivals
    }
    student, rival = max(found, key=lambda key: abs(found[key].mean))
    yield told(
        f"Nothing wins: for neither student can the population search be told from any of the {count(len(rivals))} "
        "others, not even by the noise of one comparison (the largest difference is "
        f"{points(found[student, rival].mean)} points for the {student} student against {SEARCHES[rival]}, "
        f"{interval(found[student, rival])}), nor from TrivialAugment, which costs nothing.",
        not any(one.exceeds_noise for one in found.values()),
    )
    small = [row for row in arms.compared if row.student == "small"]
    tiny = [row for row in arms.compared if row.student == "tiny"]
    together = [row for row in small if arms.together("small", row.name) <= 0.05]
    yield told(
        f"Against none the small student's differences are all beyond the noise of its {count(len(small))} "
        f"comparisons together, {count(len(together))} of them "
        f"({listed([SEARCHES[row.augmentation] for row in together])}) beyond that of the table's {arms.family}; none "
        f"of the tiny student's is, of its own {count(len(tiny))} either.",
        all(arms.alone(row) <= 0.05 for row in small) and bool(together),
        all(arms.alone(row) > 0.05 and arms.together("tiny", row.name) > 0.05 for row in tiny),
    )
