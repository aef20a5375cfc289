"""The same experiments with other draws: what moved, and which committed results have not been run since."""

from __future__ import annotations

import json
from collections.abc import Iterator

from claims.figures import RESULTS, Figures, count, listed, p, size, some
from claims.splits import keys, moved, named
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import LIMIT, Noise, family, firm

EARLIER = "earlier_draws"
#: Runs that are kept as they were.
PAIRS = {
    "digits": "On the first division of the digits",
    "digits_split1": "On the other",
    "fashion_mnist": "On Fashion-MNIST",
}
#: Versions of the files that are written since draws belong to positions of the epoch.
RUN_VERSION, STUDY_VERSION = 2, 3


def not_rerun() -> list[str]:
    """Returns the names of committed runs and studies that are of the earlier draws."""
    runs = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in RESULTS.glob("*.json")]
    old = [path.stem for path, held in runs if "arms" in held and held["version"] < RUN_VERSION]
    studies = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in RESULTS.glob("*/study.json")]
    old += [path.parent.name for path, held in studies if held["version"] < STUDY_VERSION]
    # A table without its study is of before.
    return sorted(old + [path.stem for path in RESULTS.glob("*.csv")])


@paragraph("earlier_draws")
def still_earlier(figures: Figures) -> Iterator[Told]:
    """The log, and the page of benchmarks."""
    old = not_rerun()
    yield aside(
        f"Not yet run again, and so of the earlier draws: {listed([f'`{name}`' for name in old])}."
        if old
        else "All results of runs and studies are of the present draws."
    )


@paragraph("log_draws")
def other_draws(figures: Figures) -> Iterator[Told]:
    """The log: the default experiment with other draws of augmentation."""
    yield aside(
        "Draws of augmentation and the order of images came from one stream, which each epoch ran through; now they "
        "belong to positions of the epoch. Seeds, networks, data and settings stayed. The earlier results of the "
        f"default experiment and of Fashion-MNIST are kept in `benchmarks/results/{EARLIER}`: "
        "what differs is the draws' luck alone."
    )
    for name, begins in PAIRS.items():
        before, now = figures.arms(f"{EARLIER}/{name}"), figures.arms(name)
        means, differences = moved(before, now)
        earlier, later = keys(firm(before)), keys(firm(now))
        both = earlier & later
        yield told(
            f"{begins} means over {count(now.seeds)} seeds moved by up to {size(means)} points, differences to none by "
            f"up to {size(differences)}. Of {now.family} differences {some(len(earlier))} stood beyond the noise of "
            f"all before and {some(len(later))} now; {some(len(both))} of them both times"
            f"{f' ({named(now, both)})' if both else ''}."
        )
        weak, strong = (keys(firm(arms, least=Noise.ONE)) for arms in (before, now))
        yield told(
            f"Beyond the noise of one comparison stood {len(weak)} and then {len(strong)}, {len(weak & strong)} of "
            "them both times."
        )
    before, now = figures.arms(f"{EARLIER}/digits"), figures.arms("digits")
    first, second = (arms.alone(arms.row("small", "own+distill")) for arms in (before, now))
    yield told(
        "The claim that the README began with, that the small student gains by its own searched schedule under "
        f"distillation, had Holm's p {p(first)} among this student's {count(family(now, 'small'))} comparisons and has "
        f"{p(second)}: it {_went(first <= LIMIT, second <= LIMIT)}."
    )
    yield aside("It was the one sentence of the README that spoke for the search.")
    stood = {name: keys(firm(figures.arms(f"{EARLIER}/{name}"))) for name in PAIRS}
    stand = {name: keys(firm(figures.arms(name))) for name in stood}
    number = sum(len(found) for found in stood.values())
    kept = sum(len(stood[name] & stand[name]) for name in stood)
    pairs = [
        (row.difference.mean, after.difference.mean)
        for name in stood
        for row in figures.arms(f"{EARLIER}/{name}").compared
        for after in [figures.arms(name).row(row.student, row.name)]
        if row.difference and after.difference
    ]
    signs = sum(one * other > 0 for one, other in pairs)
    yield told(
        f"Of the {count(number)} differences that stood among all of their table before, {some(kept)} "
        f"{'stands' if kept == 1 else 'stand'} now: "
        + (
            "whether one passes that mark with so few seeds hung on the draws. "
            if kept < number
            else "they did not hang on the draws. "
        )
        + f"The sign is the same both times in {signs} of {len(pairs)}."
    )
    yield _questions(figures)


def _questions(figures: Figures) -> Told:
    """What the questions of mixing answered before and answer now: each is a mean over many cells of the grid."""
    before = {one["ask"]: one for one in figures.json(f"{EARLIER}/mixup_digits_answers")}
    now = {one.ask: one for one in figures.table("mixup_digits").answers}
    same = sum(one.verdict == before[ask]["verdict"] for ask, one in now.items())
    moves = [
        abs(one.difference.mean - before[ask]["mean"])
        for ask, one in now.items()
        if one.difference and one.metric == "accuracy"
    ]
    return told(
        "The questions of mixing on digits, whose seeds' differences are means over many cells, moved by up to "
        f"{size(max(moves))} points, and {some(same)} of {count(len(now))} have the same answer as before."
    )


def _went(before: bool, now: bool) -> str:
    words = {
        (True, True): "stood and stands",
        (True, False): "stood and does not any more, though nothing but the draws changed",
        (False, True): "did not stand and does now, though nothing but the draws changed",
        (False, False): "did not stand and does not",
    }
    return words[before, now]
