"""What is said of a difference is no stronger than its figures, which are computed here once more, another way."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from claims import verdicts  # noqa: E402
from claims.digits import NAMES, WAYS, rows_of  # noqa: E402
from claims.figures import Arms, Figures, p  # noqa: E402
from claims.verdicts import Noise  # noqa: E402

from rolewise.statistics.estimates import Estimate, estimate  # noqa: E402

RUNS = ("digits", "digits_split1", "digits_searches", "fashion_mnist", "digits_w2a2", "digits_resnet8_w8a8")
EVERY = [Figures(), *(Figures(seed) for seed in range(3))]
UP, DOWN, FLAT = (
    estimate([0.01, 0.02, 0.03, 0.02]),
    estimate([-0.01, -0.02, -0.03, -0.02]),
    estimate([-0.01, 0.02, 0.01]),
)


def by_hand(arms: Arms) -> dict[tuple[str, str], Noise]:
    """Returns how far each arm stands out: Student's test of pairs, and Holm's rule walked through step by step."""
    values = {(row.student, row.name): row.values for row in arms.rows}
    pairs = {(row.student, row.name): (row.student, row.control) for row in arms.compared}
    raw = {
        one: stats.ttest_rel(values[one], values[control]).pvalue
        for one, control in pairs.items()
        # One image more in every seed: the noise is unknown, and no test can be made of it.
        if np.ptp(np.subtract(values[one], values[control])) > 1e-12
    }
    raw = {key: one for key, one in raw.items() if one == one and one not in (0.0, 1.0)}

    def rejected(keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
        found = set()
        for rank, key in enumerate(sorted(keys, key=lambda key: raw[key])):
            if raw[key] > 0.05 / (len(keys) - rank):
                break
            found.add(key)
        return found

    levels = dict.fromkeys([(row.student, row.name) for row in arms.compared], Noise.WITHIN)
    levels |= {key: Noise.ONE for key, one in raw.items() if one < 0.05}
    for student in {row.student for row in arms.compared}:
        levels |= dict.fromkeys(rejected([key for key in raw if key[0] == student]), Noise.STUDENT)
    return levels | dict.fromkeys(rejected(list(raw)), Noise.TABLE)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("figures", EVERY, ids=("still", "moved", "moved again", "moved once more"))
def test_a_difference_stands_out_as_far_as_students_test_and_holms_rule_say(figures: Figures, name: str) -> None:
    arms = figures.arms(name)
    expected = by_hand(arms)
    assert {(row.student, row.name): verdicts.noise(arms, row) for row in arms.compared} == expected


def test_the_committed_runs_hold_every_level() -> None:
    arms = [EVERY[0].arms(name) for name in RUNS]
    assert {verdicts.noise(one, row) for one in arms for row in one.compared} == set(Noise)


@pytest.mark.parametrize("figures", EVERY, ids=("still", "moved", "moved again", "moved once more"))
def test_each_arm_is_told_at_its_level_and_at_no_other(figures: Figures) -> None:
    arms = figures.arms("digits")
    levels = by_hand(arms)
    words = {
        Noise.WITHIN: "within the noise of one comparison",
        Noise.ONE: "beyond the noise of one comparison alone",
        Noise.STUDENT: "beyond the noise of this student's ten comparisons",
        Noise.TABLE: "beyond the noise of all 20 comparisons",
    }
    for student in ("small", "tiny"):
        for distilled in (True, False):
            rows = rows_of(arms, student, distilled=distilled)
            clauses = verdicts.strata(arms, rows, NAMES).split("; ")
            for row in rows:
                level = levels[student, row.name]
                clause = next(one for one in clauses if words[level] in one)
                assert NAMES[row.augmentation] in re.sub(r"own schedule shuffled", "shuffled", clause) or (
                    NAMES[row.augmentation] in clause or clause.startswith("all five")
                )
                assert words[level] in verdicts.placed(arms, row)
            assert sum(any(one in clause for one in words.values()) for clause in clauses) == len(clauses)


def test_a_lower_mean_is_told_as_lower() -> None:
    arms = EVERY[0].arms("earlier_draws/fashion_mnist")
    told = verdicts.strata(arms, rows_of(arms, "tiny", distilled=True), WAYS | NAMES)
    below = [row for row in verdicts.firm(arms, rows_of(arms, "tiny", distilled=True), Noise.ONE)]
    assert below and all(row.difference is not None and row.difference.mean < 0 for row in below)
    assert told.count("(lower)") == len(below)


def test_rivals_are_told_by_direction_and_the_rest_is_not_told() -> None:
    told = verdicts.rivals({"A": UP, "B": DOWN, "C": FLAT})
    assert re.fullmatch(
        r"is by the noise of one comparison above A \(.*\) and below B \(.*\), and cannot be told from the other", told
    )
    assert verdicts.rivals({"C": FLAT, "D": FLAT}).startswith("cannot be told from any of the two others (the largest")
    assert "cannot" not in verdicts.rivals({"A": UP})


def test_groups_are_told_by_direction() -> None:
    told = verdicts.grouped({"A": UP, "B": DOWN, "C": FLAT, "D": UP})
    assert told.startswith("higher under A and D (+2.0 points), lower under B (-2.0 points, ")
    assert " and not told under C (+0.7 points, " in told
    assert verdicts.grouped({"C": FLAT}, verdicts.THAN).startswith("not told from C")


@pytest.mark.parametrize(
    "found, stands, words",
    [
        (UP, True, "beyond the noise of all five questions"),
        (UP, False, "beyond the noise of one comparison alone"),
        (FLAT, False, "within the noise of one comparison"),
        (FLAT, True, "within the noise of one comparison"),
        (estimate([0.01, 0.01, 0.01]), True, "within the noise of one comparison"),
    ],
)
def test_a_difference_is_weighed_by_its_interval_and_its_family(found: Estimate, stands: bool, words: str) -> None:
    assert verdicts.weighed(found, stands=stands, family="all five questions").endswith(f", {words}")


def test_a_p_above_the_limit_never_reads_as_if_it_were_at_it() -> None:
    assert [p(one) for one in (0.0499, 0.05, 0.050002, 0.0506, 0.0004)] == [
        ".050",
        ".050",
        "just above .05",
        ".051",
        "under .001",
    ]
