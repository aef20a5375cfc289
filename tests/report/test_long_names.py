"""Long names are broken where their parts meet, on pages, in figures and in a terminal; axes end where fractions do."""

from __future__ import annotations

import pytest

from rolewise.report.long_names import in_lines, with_breaks
from rolewise.report.style import BEYOND, cut_at_ends, figure

ARM = "randaugment-num_ops-1-strength-0.3+distill"


def test_a_long_name_is_broken_between_its_parts() -> None:
    assert in_lines(ARM, 26) == "randaugment-num_ops-1-\nstrength-0.3+distill"
    assert in_lines("own+distill", 26) == "own+distill"
    assert in_lines("kd; own, two words", 8) == "kd; own,\ntwo\nwords"
    # A part longer than the line has one of its own, and nothing is lost.
    assert in_lines("a+trivialaugment_wide", 6) == "a+\ntrivialaugment_\nwide"
    for width in range(1, 45):
        assert in_lines(ARM, width).replace("\n", "") == ARM


def test_a_browser_may_break_a_name_and_reads_no_markup_in_it() -> None:
    assert with_breaks("own_shuffled+distill") == "own_<wbr>shuffled+<wbr>distill"
    assert with_breaks("<b>+a") == "&lt;b&gt;+<wbr>a"
    assert with_breaks("") == ""


@pytest.mark.parametrize(
    ("ends", "scale", "limits"),
    [
        ((-150, 210), 100, (-BEYOND, 100 + BEYOND)),
        ((60, 130), 100, (None, 100 + BEYOND)),
        ((60, 90), 100, None),
        ((-150, 210), 1, None),
    ],
)
def test_an_axis_of_fractions_is_cut_at_its_ends(ends: tuple[float, float], scale: float, limits: object) -> None:
    with figure(3, 2) as (_, (axis,)):
        axis.plot(ends, [0, 0])
        before = axis.get_xlim()
        assert cut_at_ends(axis, scale) == (limits is not None)
        after = axis.get_xlim()
    wanted = before if limits is None else limits
    assert after[1] == wanted[1] and after[0] == (before[0] if wanted[0] is None else wanted[0])
