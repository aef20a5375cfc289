"""Runs side by side, for a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rolewise.experiment.run_comparison import RunComparison
from rolewise.experiment.run_scores import RunScores
from rolewise.report.cells import with_interval, with_spread
from rolewise.report.summary import bulleted
from rolewise.statistics.arm_differences import ArmDifference
from rolewise.statistics.noise_levels import Noise, noise_words
from rolewise.words import counted, sentence_start

#: Settings in which two runs differ that are shown; more are counted.
_MOST = 40


def comparison_view(comparison: RunComparison) -> Group:
    """Returns a comparison of two runs: settings, cautions, a table of shared networks, and what stands out of it."""
    first, second = comparison.first, comparison.second
    parts: list[Table | Text | Padding] = [Text(f"\nA: {_run(first)}\nB: {_run(second)}")]
    parts += [Text("\nSettings, A -> B"), *bulleted(_settings(comparison))]
    if comparison.cautions:
        parts += [Text("\nCautions"), *bulleted(list(comparison.cautions))]
    if comparison.differences:
        parts += [Text(""), _table(comparison), Text("\n" + _how(comparison)), Text(_standing(comparison))]
    else:
        parts.append(Text("\nThey have no network in common that has a score in both."))
    for name, only in (("A", comparison.only_first), ("B", comparison.only_second)):
        if only:
            parts.append(Text(f"In {name} alone: {', '.join(' '.join(key) for key in only)}."))
    return Group(*parts)


def _run(scores: RunScores) -> str:
    return f"{scores.place} ({scores.name}, {counted(len(scores.seeds), 'seed')}, {scores.part} set)"


def _settings(comparison: RunComparison) -> list[str]:
    if comparison.settings is None:
        return ["not known: a results.json alone has no config"]
    lines = list(comparison.settings) or ["none: the configs are the same"]
    left = len(lines) - _MOST
    return lines if left < 2 else [*lines[:_MOST], f"and {left} more"]


def _table(comparison: RunComparison) -> Table:
    metric = comparison.metric
    title = f"{comparison.first.part} {metric.axis}, mean ± sd"
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
    table.add_column("network", overflow="fold")
    table.add_column("arm", overflow="fold")
    for heading in ("A", "B", "B - A (95%)"):
        table.add_column(heading, justify="right", overflow="fold")
    for one in comparison.differences:
        scores = (one.control_score, one.score)
        cells = [
            with_spread(metric, score) + ("" if _same_count(comparison) else f", n={score.count}") for score in scores
        ]
        table.add_row(one.student, one.arm, *cells, with_interval(metric, one.difference))
    return table


def _same_count(comparison: RunComparison) -> bool:
    return len({score.count for one in comparison.differences for score in (one.score, one.control_score)}) == 1


def _how(comparison: RunComparison) -> str:
    count = {score.count for one in comparison.differences for score in (one.score, one.control_score)}
    number = f", n = {count.pop()}" if len(count) == 1 else ""
    lower = "" if comparison.metric.higher_is_better else " Lower is better."
    spread = f"mean ± sample standard deviation over seeds{number}.{lower}"
    if not comparison.unpaired_since:
        return f"Differences are paired by seed; {spread}"
    return f"Differences are not paired by seed (Welch), since {'; '.join(comparison.unpaired_since)}; {spread}"


def _standing(comparison: RunComparison) -> str:
    """Returns the sentence on the differences that stand out from the noise of all comparisons."""
    found = comparison.differences
    told = [one for one in found if one.told]
    if told:
        shown = "; ".join(f"{one.student} {one.arm} {_change(one)}" for one in told)
        return f"{sentence_start(noise_words(Noise.TABLE, told[0].family))} (Holm): {shown}."
    known = [one.together for one in found if one.together is not None]
    if not known and all(one.difference.mean == 0 for one in found):
        return "All figures are the same in both."
    if not known:
        return "No difference can be told: one seed, or the same in every seed, says nothing about noise."
    number = found[0].family[1]
    if number == 1:
        return f"The one difference is within the noise (p = {min(known):.2g})."
    return f"No difference is beyond the noise of all {number} comparisons (the least Holm p is {min(known):.2g})."


def _change(one: ArmDifference) -> str:
    better = "better" if one.improvement > 0 else "worse"
    return f"{one.metric.change(one.difference.mean)}{one.metric.change_unit} ({better})"
