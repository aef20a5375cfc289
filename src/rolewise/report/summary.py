"""The report's table and sentence, for a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from rolewise.files import AnyPath, as_path, read_json
from rolewise.report.cells import with_interval, with_spread
from rolewise.results_format import as_current
from rolewise.seals import is_early, top_product
from rolewise.statistics import caution, compare, verdict


def summary(root: AnyPath) -> Group:
    """Returns a table of arms and a verdict for each student of a finished run.

    Raises:
        InputError: the run has no results yet, or they are damaged.
    """
    root = as_path(root, "root")
    path = root / "results.json"
    results = as_current(read_json(path if is_early(root / "run.json") else top_product(path), "the run's results"))
    rows = compare(results)
    parts: list[Table | Text] = []
    for student in dict.fromkeys(row.student for row in rows):
        table = Table(title=f"\n{student}", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for heading, side in (
            ("arm", "left"),
            (f"test {rows[0].metric.axis}", "right"),
            ("difference to its control (95%, unadjusted)", "right"),
        ):
            table.add_column(heading, justify=side)  # type: ignore[arg-type]
        for row in (row for row in rows if row.student == student):
            change = "control" if row.difference is None else with_interval(row.metric, row.difference)
            table.add_row(row.name, with_spread(row.metric, row.score), change)
        parts += [table, Text("\n" + verdict(rows, student))]
    parts.append(Text("\n" + caution(results, rows)))
    return Group(*parts)
