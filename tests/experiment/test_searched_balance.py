"""Ranges of searched weights whose ends would be refused during the search: they are refused with the config."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.experiment import load

QUICK = Path(__file__).with_name("quick.yaml")
TAKES = ("distill.methods=[{name: ps_kd}]", "distill.label_weight=1")


@pytest.mark.parametrize(
    ("settings", "scalars", "path", "message"),
    [
        (TAKES, "label_weight: {low: 0, high: 1}", "label_weight.low", 'at least 0.8 beside "ps_kd"'),
        (TAKES, "distill.label_weight: {low: 0.7, high: 2}", "distill.label_weight.low", "got 0.7; write 1"),
        (
            TAKES,
            "distill.methods.0.weight: {low: 0, high: 2}",
            "distill.methods.0.weight.high",
            'at most distill.label_weight, 1, as "ps_kd" takes up to its weight of the labels\' own loss away, got 2',
        ),
        (
            TAKES,
            "label_weight: {low: 0.9, high: 1}, distill.methods.ps_kd.weight: {low: 0, high: 0.95}",
            "label_weight.low",
            'at least 0.95 beside "ps_kd"',
        ),
        (
            ("students[0].train.distill_gradient=limited",),
            "label_weight: {low: 0, high: 1}",
            "label_weight.low",
            'above 0 where students[0].train.distill_gradient is "limited", got 0',
        ),
        (
            ("distill.methods=[{name: dist, intra: 0}]",),
            "distill.methods.dist.inter: {low: 0, high: 2}",
            "distill.methods.dist.inter.low",
            "must not be 0 where inter and intra are all 0",
        ),
    ],
)
def test_an_end_that_a_step_would_refuse_is_refused_with_the_config(
    settings: tuple[str, ...], scalars: str, path: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, [*settings, f"search.scalars={{{scalars}}}"])
    [fault] = caught.value.faults
    assert message in fault.message and f"search.scalars.{path}" in str(caught.value)


def test_parts_that_a_search_can_bring_to_nothing_together_are_refused_at_each() -> None:
    settings = ["distill.methods=[{name: dist}]"]
    low = "{low: 0, high: 2}"
    with pytest.raises(ConfigError) as caught:
        load(
            QUICK, [*settings, f"search.scalars={{distill.methods.0.inter: {low}, distill.methods.dist.intra: {low}}}"]
        )
    assert [fault.path for fault in caught.value.faults] == [
        "search.scalars.distill.methods.0.inter.low",
        "search.scalars.distill.methods.dist.intra.low",
    ]
    load(QUICK, [*settings, f"search.scalars={{distill.methods.dist.inter: {low}}}"])


@pytest.mark.parametrize(
    "scalars",
    [
        "label_weight: {low: 0.8, high: 2}",
        "distill.methods.ps_kd.weight: {low: 0, high: 1}",
        "label_weight: {low: 0.5, high: 1}, distill.methods.0.weight: {low: 0, high: 0.5}",
    ],
)
def test_ranges_that_keep_the_labels_are_taken(scalars: str) -> None:
    load(QUICK, [*TAKES, f"search.scalars={{{scalars}}}"])
