"""Which method: every method that fits a small classifier, against plain kd on digits, beside what its step costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claims.figures import Estimate, Figures, adjusted_together, count, interval, listed, p, percent, points, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, one_by_one
from rolewise.statistics.noise_levels import LIMIT

#: The committed comparison.
NAME = "compare_digits"
#: Most methods that a sentence names.
_MOST = 6


@dataclass(frozen=True)
class Against:
    """A method against plain kd.

    Args:
        score: its accuracy over seeds.
        difference: to plain kd, paired by seed.
        p: Holm's p among all methods; None where noise is unknown.
    """

    score: Estimate
    difference: Estimate
    p: float | None

    @property
    def stands(self) -> bool:
        """Whether the difference is beyond the noise of all methods together."""
        return self.p is not None and self.p <= LIMIT


def methods_against_kd(figures: Figures) -> dict[str, Against]:
    """Returns every method but kd, the highest difference first."""
    table = figures.table(NAME)
    names = [name for name in dict.fromkeys(row["method"] for row in table.some(part="distilled")) if name != "kd"]
    found = {name: table.difference({"method": name}, {"method": "kd"}, part="distilled") for name in names}
    ps, _ = adjusted_together(list(found.values()))
    rows = {
        name: Against(table.over_seeds(method=name, part="distilled"), one, value)
        for (name, one), value in zip(found.items(), ps, strict=True)
    }
    return dict(sorted(rows.items(), key=lambda item: -item[1].difference.mean))


def costs(figures: Figures) -> Mapping[str, Any]:
    """Returns what the benchmark of steps says of each method, by its name."""
    return {row["method"]: row for row in figures.json("method_cost")["rows"]}


def compared_table(figures: Figures, name: str) -> str:
    """Returns a row for each method: accuracy, difference to kd, and the cost of a step."""
    assert name == NAME
    found, steps = methods_against_kd(figures), costs(figures)
    kd = figures.table(NAME).over_seeds(method="kd", part="distilled")
    lines = ["| method | accuracy | difference to kd (95%) | p (Holm) | step, times kd's |", "|---|---|---|---|---|"]
    lines.append(f"| `kd` | {percent(kd)} |  |  | 1 |")
    for method, one in found.items():
        shown = f"{points(one.difference.mean)} ({interval(one.difference)})"
        shown = f"**{shown}**" if one.stands else shown
        ratio = steps[method]["ratio_to_kd"]["median"] if method in steps else None
        step = "" if ratio is None else f"{ratio:.2f}"
        lines.append(f"| `{method}` | {percent(one.score)} | {shown} | {'' if one.p is None else p(one.p)} | {step} |")
    table = figures.table(NAME)
    caption = (
        f"Test accuracy in percent at the last epoch, mean ± standard deviation over {table.seeds} seeds. 95% "
        "intervals are each for one comparison, unadjusted; bold: Holm's p is at most .05 among all "
        f"{len(found)} differences. Steps: ResNet-20 -> ResNet-8 at 32x32, or networks that a method needs "
        "(`benchmarks/README.md`)."
    )
    return "\n".join(lines) + f"\n\n{caption}\n"


@paragraph("choosing")
def choosing(figures: Figures) -> Iterator[Told]:
    """The page on choosing a method, below the table."""
    table, found = figures.table(NAME), methods_against_kd(figures)
    gain = table.difference({"method": "kd", "part": "distilled"}, {"method": "labels alone", "part": "labels"})
    yield told(f"Plain kd changes the student on labels alone by {by_itself(gain)}.")
    above = [name for name, one in found.items() if one.stands and one.difference.mean > 0]
    below = [name for name, one in found.items() if one.stands and one.difference.mean < 0]
    if above:
        named = [f"`{name}` ({one_by_one(found[name].difference)})" for name in above[:_MOST]]
        more = f" and {count(len(above) - _MOST)} more" if len(above) > _MOST else ""
        yield told(f"Beyond the noise of all {len(found)} methods stand above kd: {listed(named)}{more}.")
    else:
        yield told(f"None of {len(found)} methods is above kd by more than the noise of all of them together.")
    yield told(
        f"Below kd by more than that {'stands' if len(below) == 1 else 'stand'} {some(len(below))}; "
        f"{count(len(found) - len(above) - len(below))} cannot be told from it."
    )
    yield aside(
        "A hundred labelled images of 8x8 pixels, presets of CIFAR-100 where there are any and defaults elsewhere: "
        "methods whose weights are tuned for other networks may rank otherwise there, and nothing here was tuned."
    )
