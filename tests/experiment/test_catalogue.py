"""The list of everything that is registered."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.distill import METHODS
from rolewise.experiment.catalogue import catalogue
from rolewise.instruments.measurements import MEASURES
from rolewise.quant import QUANTISERS
from rolewise.tasks import METRICS, TASKS


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", METHODS),
        ("tasks", TASKS),
        ("metrics", METRICS),
        ("quantisers", QUANTISERS),
        ("measurements", MEASURES),
    ],
)
def test_every_registered_name_is_listed_with_a_line_of_its_own(kind, names):
    found = dict(catalogue()[kind])
    assert set(found) >= {name for name in names if ":" not in name}
    assert all(found.values()) and len(set(found.values())) == len(found)


def test_a_metric_is_listed_with_its_settings():
    shown = CliRunner().invoke(app, ["list", "metrics"])
    assert shown.exit_code == 0 and "top_k_accuracy" in shown.output and "k=5" in shown.output
    wrong = CliRunner().invoke(app, ["list", "metric"])
    assert wrong.exit_code != 0
