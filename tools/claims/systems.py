"""Systems: the answer to each claim of a paper, out of the rows of the committed run."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import RESULTS, Figures, count, listed
from claims.telling import Told, paragraph, told
from rolewise.statistics.questions import Answer
from rolewise.systems import SYSTEMS
from rolewise.systems.system_page import short_answer, system_table
from rolewise.systems.system_result import answers_of, verdict_of


def known_systems() -> list[str]:
    """Returns the names of the systems whose results are committed."""
    return [name for name in SYSTEMS if (RESULTS / "systems" / f"{name}.json").exists()]


def answers(figures: Figures, name: str) -> list[Answer]:
    """Returns the answers to a system's claims."""
    return answers_of(SYSTEMS[name], figures.json(f"systems/{name}")["rows"])


def _evidence(answer: Answer) -> str:
    return answer.sentence[len(answer.verdict) + 2 :].removesuffix(".")


def claims_table(figures: Figures, name: str) -> str:
    """Returns a picture and a table of a system's claims, and a table of its networks; a line if it was not run yet."""
    if name not in known_systems():
        return "Not run yet.\n"
    system, rows, found = SYSTEMS[name], figures.json(f"systems/{name}")["rows"], answers(figures, name)
    shown = f"Differences of the claims with their 95% intervals. {short_answer(found)}"
    lines = [f"![{shown}](images/systems/{name}.svg)", "", "| claim | answer | evidence |", "|---|---|---|"]
    for claim, answer in zip(system.claims, found, strict=True):
        lines.append(f"| {claim.text} | {verdict_of(answer)} | {_evidence(answer)} |")
    lines += ["", f"| {' | '.join([*system.axes, *(info.axis for info in system.metrics)])} |"]
    lines.append("|" + "---|" * (len(system.axes) + len(system.metrics)))
    lines += [f"| {' | '.join(line)} |" for line in system_table(system, rows)]
    return "\n".join(lines) + "\n"


def all_systems(figures: Figures, names: str) -> str:
    """Returns a table of all systems: what each follows, how many of its claims hold, its seeds and its minutes."""
    lines = ["| system | follows | answer | seeds | minutes |", "|---|---|---|---|---|"]
    known, minutes = known_systems(), figures.json("system_minutes")
    follows = {"code": "published code", "paper": "the paper", "reconstruction": "the abstract: a reconstruction"}
    for name in SYSTEMS:
        shown = ["Not run yet.", "", ""]
        if name in known:
            seeds = len(figures.json(f"systems/{name}")["settings"]["seeds"])
            shown = [short_answer(answers(figures, name)), str(seeds), f"{minutes[name]['minutes']:.1f}"]
        first = [f"[`{name}`](#{name}): {SYSTEMS[name].title}", follows[SYSTEMS[name].origin]]
        lines.append(f"| {' | '.join([*first, *shown])} |")
    return "\n".join(lines) + "\n"


@paragraph("system_minutes")
def system_minutes(figures: Figures) -> Iterator[Told]:
    """The page of systems: what the minutes of its table are of, and how many the longest takes."""
    found = figures.json("system_minutes")
    longest = max(found, key=lambda name: found[name]["minutes"])
    own = [f"`{name}`" for name in known_systems() if found[name]["by"] == "processor"]
    yield told(
        "Minutes are of the committed run's command on two cores, by the clock, while the machine had other work as "
        f"well; of {listed(own)} they are of the processor's time of one seed, for all of them "
        "(`benchmarks/system_minutes.py`). "
        f"The longest is `{longest}` with {found[longest]['minutes']:.1f} minutes; none takes more than thirty.",
        found[longest]["minutes"] <= 30 and set(found) >= set(known_systems()),
    )


def refuted_table(figures: Figures, names: str) -> str:
    """Returns a table of all claims that the runs here refute; a line where there is none."""
    lines = [
        f"| `{name}` | {claim.text} | {_evidence(answer)} |"
        for name in known_systems()
        for claim, answer in zip(SYSTEMS[name].claims, answers(figures, name), strict=True)
        if verdict_of(answer) == "refuted"
    ]
    return "\n".join(["| system | claim | evidence |", "|---|---|---|", *lines] if lines else ["None."]) + "\n"


@paragraph("systems_open")
def undecided(figures: Figures) -> Iterator[Told]:
    """The log: how many claims the runs here leave open."""
    found = {
        name: [verdict_of(answer) for answer in answers(figures, name)].count("undecided") for name in known_systems()
    }
    shown = {name: number for name, number in found.items() if number}
    yield told(
        f"Undecided, with so few seeds on so small data, are {sum(shown.values())} claims of {count(len(shown))} "
        f"systems: {listed([f'{number} of `{name}`' for name, number in shown.items()])}."
    )
