"""Systems: the answer to each claim of a paper, out of the rows of the committed run."""

from __future__ import annotations

from claims.figures import RESULTS, Figures
from rolewise.statistics.questions import Answer
from rolewise.systems import SYSTEMS
from rolewise.systems.system_page import short_answer, system_table
from rolewise.systems.system_result import answers_of, verdict_of


def answers(figures: Figures, name: str) -> list[Answer]:
    """Returns the answers to a system's claims."""
    return answers_of(SYSTEMS[name], figures.json(f"systems/{name}")["rows"])


def claims_table(figures: Figures, name: str) -> str:
    """Returns a table of a system's claims, and one of its networks; a line where it was not run yet."""
    if not (RESULTS / "systems" / f"{name}.json").exists():
        return "Not run yet.\n"
    system, rows = SYSTEMS[name], figures.json(f"systems/{name}")["rows"]
    lines = ["| claim | answer | evidence |", "|---|---|---|"]
    for claim, answer in zip(system.claims, answers_of(system, rows), strict=True):
        evidence = answer.sentence[len(answer.verdict) + 2 :].removesuffix(".")
        lines.append(f"| {claim.text} | {verdict_of(answer)} | {evidence} |")
    lines += ["", f"| {' | '.join([*system.axes, *(info.axis for info in system.metrics)])} |"]
    lines.append("|" + "---|" * (len(system.axes) + len(system.metrics)))
    lines += [f"| {' | '.join(line)} |" for line in system_table(system, rows)]
    return "\n".join(lines) + "\n"


def all_systems(figures: Figures, names: str) -> str:
    """Returns a table of all systems: what each follows, and how many of its claims hold."""
    lines = ["| system | follows | answer |", "|---|---|---|"]
    for name in SYSTEMS:
        known = (RESULTS / "systems" / f"{name}.json").exists()
        answer = short_answer(answers(figures, name)) if known else "Not run yet."
        follows = {"code": "published code", "paper": "the paper", "reconstruction": "the abstract: a reconstruction"}
        lines.append(f"| [`{name}`](#{name}): {SYSTEMS[name].title} | {follows[SYSTEMS[name].origin]} | {answer} |")
    return "\n".join(lines) + "\n"
