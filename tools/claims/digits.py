"""The default experiment, and the ways of finding a schedule."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Arms, Estimate, Figures, count, p, percent, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import changes, jointly, placed, rivals, strata
from rolewise.statistics import ArmRow

PRESETS = ("randaugment", "trivialaugment")

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


#: As they stand in a sentence.
WAYS = SEARCHES | {"screened_search": "the screened population search", "screen": "the screen alone"}
NAMES = {"own": "its own schedule", **AUGMENTATIONS}


def rows_of(arms: Arms, student: str, *, distilled: bool) -> list[ArmRow]:
    """Returns a student's arms that are compared with none."""
    return [row for row in arms.compared if row.student == student and row.distilled == distilled]


def own_against(arms: Arms, student: str, *, distilled: bool) -> dict[str, Estimate]:
    """Returns the differences of a student's own schedule to all other augmentations, in words."""
    way = "+distill" if distilled else ""
    return {words: arms.difference(student, f"own{way}", f"{one}{way}") for one, words in AUGMENTATIONS.items()}


@paragraph("digits")
def default_experiment(figures: Figures) -> Iterator[Told]:
    """The page of results, below the table."""
    arms = figures.arms("digits")
    yield told(f"What these data say: {worth(arms)[0].lower()}{worth(arms)[1:]}")
    yield told(
        "Under distillation the small student's own searched schedule differs from no "
        f"augmentation by {placed(arms, arms.row('small', 'own+distill'))}."
    )
    others = [row for row in rows_of(arms, "small", distilled=True) if row.augmentation != "own"]
    yield told(
        f"The other augmentations differ by {changes([row.difference for row in others])}: "
        f"{strata(arms, others, NAMES)}."
    )
    yield told(f"Its own schedule {rivals(own_against(arms, 'small', distilled=True))}.")
    for student, distilled, begins in (
        ("small", False, "Without distillation its arms"),
        ("tiny", False, "The tiny student's arms without distillation"),
        ("tiny", True, "The tiny student's distilled arms"),
    ):
        rows = rows_of(arms, student, distilled=distilled)
        yield told(f"{begins} differ by {changes([row.difference for row in rows])}: {strata(arms, rows, NAMES)}.")


def worth(arms: Arms) -> str:
    """Returns the sentence on what the search is worth beside presets, which cost nothing."""
    found = {
        (student, way, preset): arms.difference(student, f"own{way}", f"{preset}{way}")
        for student in dict.fromkeys(row.student for row in arms.rows)
        for way in ("", "+distill")
        for preset in PRESETS
    }
    above = [key for key, one in found.items() if one.exceeds_noise and one.mean > 0]
    number, least = jointly(list(found.values()))
    if not above:
        return (
            f"In none of {count(len(found))} comparisons with a preset is the own schedule above it by more than the "
            "noise of one: on this data the search has not been shown to be worth its cost."
        )
    return (
        f"In {count(len(above))} of {count(len(found))} comparisons with a preset the own schedule is above it by the "
        f"noise of one, and {some(number)} of them can be told when all are counted (the least Holm's p is "
        f"{p(least)}); the search costs as much as its members' trainings, a preset nothing."
    )


@paragraph("log_presets")
def presets(figures: Figures) -> Iterator[Told]:
    """The log: the search against presets."""
    arms = figures.arms("digits")
    spreads = {one: percent(arms.row("small", f"{one}+distill").score) for one in ("own", *AUGMENTATIONS)}
    yield told(
        f"Over {count(arms.seeds)} seeds and with distillation the small student reaches {spreads['own']} under its "
        f"own schedule, {spreads['teacher']} under the teacher's, {spreads['own_shuffled']} under its own shuffled in "
        f"time, {spreads['randaugment']} under RandAugment and {spreads['trivialaugment']} under TrivialAugment."
    )
    for student in ("small", "tiny"):
        yield told(f"The {student} student's own schedule {rivals(own_against(arms, student, distilled=True))}.")
    yield aside(
        "Each of the two searches costs as much as its members' trainings. `benchmarks/results/digits.json` has the "
        "figures."
    )


@paragraph("log_searches")
def searches(figures: Figures) -> Iterator[Told]:
    """The log: cheaper ways of searching."""
    arms = figures.arms("digits_searches")
    for student in ("small", "tiny"):
        found = {
            words: arms.difference(student, "own+distill", f"{one}+distill")
            for one, words in WAYS.items()
            if one != "own"
        }
        yield told(f"For the {student} student the population search {rivals(found)}.")
    for student in ("small", "tiny"):
        rows = rows_of(arms, student, distilled=True)
        yield told(
            f"From none the {student} student's arms differ by {changes([row.difference for row in rows])}: "
            f"{strata(arms, rows, WAYS)}."
        )
