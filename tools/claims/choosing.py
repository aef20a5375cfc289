"""Which method: committed comparisons of methods against plain kd, beside what a step of each costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claims.figures import Estimate, Figures, adjusted_together, count, interval, listed, p, percent, points, some
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, one_by_one
from rolewise.statistics.noise_levels import LIMIT

#: The committed comparison of every method that fits a small classifier.
NAME = "compare_digits"
#: That of twelve methods on photographs of 20 classes.
PHOTOGRAPHS = "compare_r20_r8"
#: The same for a student of another family than its teacher.
OTHER_FAMILY = "compare_r20_cnn"
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

    def beyond(self, sign: int) -> bool:
        """Whether it stands above kd (1) or below (-1)."""
        return self.stands and sign * self.difference.mean > 0


def methods_against_kd(figures: Figures, comparison: str = NAME) -> dict[str, Against]:
    """Returns every method of a comparison but kd, the highest difference first."""
    table = figures.table(comparison)
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
    found, steps, table = methods_against_kd(figures, name), costs(figures), figures.table(name)
    kd = table.over_seeds(method="kd", part="distilled")
    lines = ["| method | accuracy | difference to kd (95%) | p (Holm) | step, times kd's |", "|---|---|---|---|---|"]
    lines.append(f"| `kd` | {percent(kd)} |  |  | 1 |")
    for method, one in found.items():
        shown = f"{points(one.difference.mean)} ({interval(one.difference)})"
        shown = f"**{shown}**" if one.stands else shown
        ratio = steps[method]["ratio_to_kd"]["median"] if method in steps else None
        step = "" if ratio is None else f"{ratio:.2f}"
        lines.append(f"| `{method}` | {percent(one.score)} | {shown} | {'' if one.p is None else p(one.p)} | {step} |")
    caption = (
        f"Test accuracy in percent at the last epoch, mean ± standard deviation over {table.seeds} seeds. 95% "
        "intervals are each for one comparison, unadjusted; bold: Holm's p is at most .05 among all "
        f"{len(found)} differences. Steps: ResNet-20 -> ResNet-8 at 32x32, or networks that a method needs "
        "(`benchmarks/README.md`)."
    )
    return "\n".join(lines) + f"\n\n{caption}\n"


@paragraph("choosing")
def choosing(figures: Figures) -> Iterator[Told]:
    """The page on choosing a method, below the table of digits."""
    yield from _found(figures, NAME)
    yield aside(
        "A hundred labelled images of 8x8 pixels, presets of CIFAR-100 where there are any and defaults elsewhere: "
        "methods whose weights are tuned for other networks may rank otherwise there, and nothing here was tuned."
    )


@paragraph("choosing_photographs")
def choosing_photographs(figures: Figures) -> Iterator[Told]:
    """The same below the table of photographs."""
    yield from _found(figures, PHOTOGRAPHS)
    digits, photographs = (methods_against_kd(figures, name) for name in (NAME, PHOTOGRAPHS))
    both = [name for name in photographs if name in digits]
    swapped = [name for name in both if digits[name].difference.mean * photographs[name].difference.mean < 0]
    yield told(
        f"Of {count(len(both))} methods in both tables {count(len(swapped))} {'lies' if len(swapped) == 1 else 'lie'} "
        "on the other side of kd here."
    )
    yield aside(
        "Weights of the presets were found on larger images, with more classes and in far longer trainings, and "
        "nothing here was tuned."
    )


@paragraph("choosing_other_family")
def choosing_other_family(figures: Figures) -> Iterator[Told]:
    """The same below the table of the student of another family."""
    yield from _found(figures, OTHER_FAMILY)
    own, other = (methods_against_kd(figures, name) for name in (PHOTOGRAPHS, OTHER_FAMILY))
    both = {
        sign: [name for name, one in other.items() if one.beyond(sign) and own[name].beyond(sign)] for sign in (1, -1)
    }
    turned = [name for name, one in other.items() for sign in (1, -1) if one.beyond(sign) and own[name].beyond(-sign)]
    yield told(
        f"Beyond the noise above kd for either student: {_named(both[1])}; below it for either: {_named(both[-1])}; "
        f"above it for one of them and below it for the other: {_named(turned)}."
    )


def _named(names: list[str]) -> str:
    return listed([f"`{name}`" for name in names]) if names else "none"


def _found(figures: Figures, name: str) -> Iterator[Told]:
    table, found = figures.table(name), methods_against_kd(figures, name)
    gain = table.difference({"method": "kd", "part": "distilled"}, {"method": "labels alone", "part": "labels"})
    yield told(f"Plain kd changes the student on labels alone by {by_itself(gain)}.")
    above = [name for name, one in found.items() if one.beyond(1)]
    below = [name for name, one in found.items() if one.beyond(-1)]
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
