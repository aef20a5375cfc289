"""What the kind of a network's last layers is worth, and what a temperature is, by size of the student."""

from __future__ import annotations

from collections.abc import Iterator

from claims.figures import Figures, Table, count, points
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import FOR, changes, grouped, with_interval

TEMPERATURE, LABELS = "distill.methods.0.temperature", "distill.label_weight"


@paragraph("places")
def places(figures: Figures) -> Iterator[Told]:
    """The page on networks."""
    table = figures.table("places_digits")
    found = {
        name: table.difference({"places": "keep"}, {"places": "average"}, size=name)
        for name in dict.fromkeys(row["size"] for row in table.rows)
    }
    yield aside(
        "With `places: keep` the size is halved once more and the linear layer sees where a feature was. "
        f"`configs/studies/places_digits.yaml`, {count(table.seeds)} seeds, labels alone, one fixed test set:"
    )
    held = {name.replace(", ", " of "): one for name, one in found.items()}
    yield told(
        f"`keep` differs by {changes(list(held.values()))}: {grouped(held, FOR)}, each by itself.",
    )


def temperature(table: Table, name: str) -> tuple[str, str]:
    """Returns how far a temperature of 4 is below the best cell of one size, and the mean of all cells."""
    rows = table.some(size=name)
    found = table.regret({TEMPERATURE: 4, LABELS: 0.1, "size": name}, part=rows[0]["part"], size=name)
    return with_interval(found.regret), points(found.beside.mean)


@paragraph("advice_temperature")
def advised(figures: Figures) -> Iterator[Told]:
    """The page on advice."""
    table = figures.table("temperature_digits")
    large, small = (temperature(table, name) for name in ("large", "small"))
    yield told(
        f"On `configs/studies/temperature_digits.yaml` ({count(table.seeds)} seeds, short trainings; "
        f"`benchmarks/results/temperature_digits`) a temperature of 4 was {large[0]} below the best cell for the "
        f"large student and {small[0]} for the small one, and the mean of all cells {large[1]} and {small[1]}.",
    )
    yield aside("The rule for trainings of under 100 steps comes from there; it has not been tried on other data.")
