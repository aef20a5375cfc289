"""Tables of committed results, each with a line that says what its intervals are adjusted for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from claims import teacher_mode
from claims.bits import LOSSES, losses
from claims.choosing import compared_table
from claims.digits import SEARCHES
from claims.figures import Arms, Estimate, Figures, interval, p, percent, points
from claims.systems import all_systems, claims_table, refuted_table
from rolewise.statistics import ArmRow, FloatComparison
from rolewise.statistics.questions import Answer
from rolewise.statistics.study_sentences import column_unit

#: What is compared, by the metric of a file's rows.
MEASURES = {
    "accuracy": "Test accuracy",
    "ap": "COCO's average precision on the test images",
    "mean_average_precision": "Mean average precision of the labels on the test texts",
    "mean_iou": "Mean IoU of the classes on the test images",
}
ALONE = "95% intervals are each for one comparison, unadjusted"


def bold(text: str, *, where: bool) -> str:
    """Returns a cell, bold where it is to be."""
    return f"**{text}**" if where and text else text


def arms_table(figures: Figures, name: str) -> str:
    """Returns a row for each student and augmentation, with and without distillation side by side."""
    arms = figures.arms(name)
    to = f"difference to {arms.compared[0].control.removesuffix('+distill')} (95%)"
    lines = [f"| student | augmentation | distilled | {to} | not distilled | {to} |", "|---|---|---|---|---|---|"]
    found = {(row.student, row.augmentation, row.distilled): row for row in arms.rows}
    for student, augmentation in dict.fromkeys((row.student, row.augmentation) for row in arms.rows):
        cells = [cell for way in (True, False) for cell in _cells(arms, found.get((student, augmentation, way)))]
        lines.append(f"| {student} | {augmentation} | {' | '.join(cells)} |")
    return _table(lines, f"{_accuracy(arms)} {_adjusted(arms)}")


def searches_table(figures: Figures, name: str) -> str:
    """Returns a row for each way of finding a schedule, the students side by side."""
    arms = figures.arms(name)
    lines = ["| arm | small | difference to none (95%) | tiny | difference to none (95%) |", "|---|---|---|---|---|"]
    for augmentation, title in SEARCHES.items():
        cells = [cell for who in ("small", "tiny") for cell in _cells(arms, arms.row(who, f"{augmentation}+distill"))]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return _table(lines, f"{_accuracy(arms)} {_adjusted(arms)}")


def official_table(figures: Figures, name: str) -> str:
    """Returns a row for each loss that was compared with somebody else's code."""
    rows = figures.json(name)["rows"]
    lines = ["| method | code | commit | loss | gradient | reason of a difference |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {_compared(row)} | {row['repository']}, `{row['file']}` | {row['commit'][:7]} | {row['loss']:.0e} | "
        f"{row['gradient']:.0e} | {row['reason']} |"
        for row in rows
    ]
    return _table(lines, None)


def _compared(row: Mapping[str, str]) -> str:
    return f"`{row['method']}`, {row['part']}" if row["part"] else f"`{row['method']}`"


def bits_table(figures: Figures, names: str) -> str:
    """Returns a row for each student, the float twins of several runs once, with the arms that all of them have."""
    wanted = {
        "own, distilled": ("own+distill@own", "own+distill"),
        "own, distilled from a teacher without augmentation": ("own+distill@none",),
        "none, distilled": ("none+distill@own", "none+distill"),
        "none, not distilled": ("none",),
    }
    runs = [figures.arms(name) for name in names.split()]
    students: dict[str, dict[str, FloatComparison]] = {}
    for run in runs:
        for row in run.twins():
            students.setdefault(row.student, {})[row.arm] = row
    shown = {
        title: arms
        for title, arms in wanted.items()
        if all(any(arm in held for arm in arms) for held in students.values())
    }
    lines = [
        "| student | "
        + " | ".join(f"{title} | to floating point (95%)" for title in shown)
        + " | bytes | bit operations |",
        "|---|" + "---|---|" * len(shown) + "---|---|",
    ]
    number = 0
    for student, held in students.items():
        rows = [next(held[arm] for arm in arms if arm in held) for arms in shown.values()]
        number += sum(row.difference is not None for row in rows)
        cells = [cell for row in rows for cell in (percent(row.score), difference(row.difference, 2))]
        lines.append(f"| {student} | {' | '.join(cells)} | {rows[0].bytes:,} | {rows[0].bit_operations:,} |")
    return _table(lines, f"{_accuracy(runs[0])} {ALONE}, of {number}.")


def losses_table(figures: Figures, name: str) -> str:
    """Returns a row for each loss against the labels alone."""
    table, (found, ps) = figures.table(name), losses(figures)
    lines = ["| loss | accuracy | to labels alone (95%) | p (Holm) |", "|---|---|---|---|"]
    lines.append(f"| labels alone | {percent(table.over_seeds(term='labels'))} | | |")
    for term, title in LOSSES.items():
        lines.append(
            f"| {title} | {percent(table.over_seeds(term=term))} | {difference(found[term], 1)} | {p(ps[term])} |"
        )
    return _table(lines, f"{ALONE}; p is adjusted for all {len(ps)}.")


def modes_table(figures: Figures, name: str) -> str:
    """Returns a row for each pair of trainings that differ in the mode of the teacher's norms alone."""
    table = figures.table(name)
    found = teacher_mode.compared(table)
    lines = [
        "| images | matched | `eval` | `batch_statistics` | difference (95%) | p (Holm) |",
        "|---|---|---|---|---|---|",
    ]
    for words, (levels, change, adjusted) in found.items():
        both = [
            percent(table.over_seeds(**{teacher_mode.AXIS: mode}, **levels)) for mode in ("eval", "batch_statistics")
        ]
        lines.append(f"| {words} | {' | '.join(both)} | {difference(change, 1)} | {p(adjusted)} |")
    return _table(lines, f"{ALONE}; p is adjusted for all {len(found)}.")


def answers_table(figures: Figures, name: str) -> str:
    """Returns a row for each question of a study, with what its table answers."""
    answers = figures.table(name).answers
    lines = ["| question | answer | difference (95%) | p (Holm) |", "|---|---|---|---|"]
    lines += [f"| {one.ask} | {one.verdict} | {_answered(one)} |" for one in answers]
    return _table(lines, f"{ALONE}; p is adjusted for all {len(answers)} questions.")


def places_table(figures: Figures, name: str) -> str:
    """Returns a row for each size, with both kinds of network."""
    table = figures.table(name)
    lines = ["| widths, images | `average` | `keep` | difference (95%) |", "|---|---|---|---|"]
    for size in dict.fromkeys(row["size"] for row in table.rows):
        kinds = [percent(table.over_seeds(size=size, places=places)) for places in ("average", "keep")]
        change = difference(table.difference({"places": "keep"}, {"places": "average"}, size=size), 1)
        lines.append(f"| {size.removesuffix(' images')} | {' | '.join(kinds)} | {change} |")
    return _table(lines, f"{ALONE}.")


def steps_table(figures: Figures, name: str) -> str:
    """Returns a row for each step that was timed by hand and otherwise."""
    held = figures.json(name)
    version = held["torchdistill"].split(" (")[0]
    lines = [f"| step | by hand | Distiller | {version} | by hand, again |", "|---|---|---|---|---|"]
    for one in held["results"]:
        ratios = one["ratios_to_by_hand"]
        cells = [
            f"{ratios[who]['median']:.3f} ({ratios[who]['low']:.3f} to {ratios[who]['high']:.3f})"
            for who in ("rolewise", "torchdistill", "by hand, again")
        ]
        lines.append(f"| {one['case']} | {one['milliseconds']['by hand']:.1f} ms | {' | '.join(cells)} |")
    return _table(lines, None)


def agreement_table(figures: Figures, name: str) -> str:
    """Returns a row for each network that was exported, with the share of images on which the file agrees with it."""
    words = {"resnet8": "ResNet-8", "small_cnn": "small CNN 16-32"}
    words |= {"dorefa": "DoReFa", "pact": "PACT", "lsq": "LSQ", "affine": "affine"}
    held = figures.json(name)
    lines = [
        "| network, quantiser, bits | default session | optimisations off | with further grids |",
        "|---|---|---|---|",
    ]
    for one in held["rows"]:
        title = f"{words[one['network']]}, {words[one['quantiser']]}, W{one['bits']} A{one['bits']}"
        shares = [f"{round(100 * one[kind], 1):g}" for kind in ("default", "unoptimised", "further_grids")]
        lines.append(f"| {title} | {' | '.join(shares)} |")
    return _table(lines, f"Percent of {held['images']} images that no network was trained on.")


def splits_table(figures: Figures, names: str) -> str:
    """Returns a row for each arm of the small and the tiny student, with its difference to none on two test sets."""
    first, second = (figures.arms(name) for name in names.split())
    lines = [
        "| student | augmentation | distilled: first test set | another | not distilled: first test set | another |",
        "|---|---|---|---|---|---|",
    ]
    for student, augmentation in dict.fromkeys((row.student, row.augmentation) for row in first.compared):
        cells = [
            _cells(arms, arms.row(student, f"{augmentation}{way}"))[1]
            for way in ("+distill", "")
            for arms in (first, second)
        ]
        lines.append(f"| {student} | {augmentation} | {' | '.join(cells)} |")
    return _table(lines, f"Differences to none in points over {first.seeds} seeds. {_adjusted(first, ' and test set')}")


TABLES: dict[str, Callable[[Figures, str], str]] = {
    "results": arms_table,
    "searches": searches_table,
    "bits": bits_table,
    "losses": losses_table,
    "official": official_table,
    "modes": modes_table,
    "study": answers_table,
    "places": places_table,
    "step": steps_table,
    "splits": splits_table,
    "agreement": agreement_table,
    "system": claims_table,
    "systems": all_systems,
    "refuted": refuted_table,
    "compared": compared_table,
}


def difference(found: Estimate | None, digits: int) -> str:
    """Returns a difference with its interval, for a cell."""
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{points(found.mean, digits)} in every seed"
    return f"{points(found.mean, digits)} ({interval(found, digits)})"


def _table(lines: Sequence[str], caption: str | None) -> str:
    return "\n".join(lines) + "\n" + (f"\n{caption}\n" if caption else "")


def _accuracy(arms: Arms) -> str:
    measure = MEASURES[arms.results.get("primary", "accuracy")]
    return f"{measure} in percent at the last epoch, mean ± standard deviation over {arms.seeds} seeds."


def _adjusted(arms: Arms, what: str = "") -> str:
    return f"{ALONE}; bold: Holm's p is at most .05 among all {arms.family} differences of the table{what}."


def _cells(arms: Arms, row: ArmRow | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    firm = row.difference is not None and arms.together(row.student, row.name) <= 0.05
    return percent(row.score), bold(difference(row.difference, 1), where=firm)


def _answered(one: Answer) -> str:
    found, unit = one.difference, column_unit(one.metric)
    if found is None or found.low is None or found.high is None or one.adjusted is None:
        return "not finished | "
    mean, low, high = (unit.change(value) for value in (found.mean, found.low, found.high))
    of = "" if one.metric == "accuracy" else f" in {unit.name}"
    return f"{mean} ({low} to {high}){of} | {one.adjusted:.2g}"
