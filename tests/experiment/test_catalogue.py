"""The list of everything that is registered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.config.schema import LEARNED
from rolewise.distill import METHODS
from rolewise.experiment.catalogue import ALSO, catalogue
from rolewise.instruments.measurements import MEASURES
from rolewise.quant import QUANTISERS
from rolewise.tasks import METRICS, TASKS
from rolewise.trackers import TRACKERS


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", METHODS),
        ("tasks", TASKS),
        ("metrics", METRICS),
        ("quantisers", QUANTISERS),
        ("measurements", MEASURES),
        ("trackers", TRACKERS),
        ("searched", LEARNED),
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


def test_the_documents_have_every_name_that_a_config_chooses_by():
    pages = (Path(__file__).resolve().parent.parent.parent / "docs").glob("*.md")
    words = set(
        re.findall(r"\w+", " ".join(page.read_text(encoding="utf-8") for page in pages if page.name != "log.md"))
    )
    for kind in ("methods", "combinations", "tasks", "metrics", "quantisers", "measurements", "trackers", "searched"):
        assert not {name for name, _ in catalogue()[kind]} - words, kind
    assert not {name for name, _ in catalogue()["augmentations"]} - words


def test_a_kind_is_found_under_the_field_s_other_words():
    assert set(ALSO.values()) <= set(catalogue()) and not set(ALSO) & set(catalogue())
    assert "rotate" in CliRunner().invoke(app, ["list", "ops"]).output
    assert not [text for rows in catalogue().values() for _, text in rows if text.startswith("Returns")]
