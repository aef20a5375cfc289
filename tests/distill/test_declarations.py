"""Declarations of methods: out of their registration and small calls, for filters and for a table of the docs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.distill import METHODS
from rolewise.distill.declarations import all_declarations, declaration_of, fitting
from rolewise.errors import InputError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))


def test_every_method_is_declared_as_it_is_registered() -> None:
    found = {one.name: one for one in all_declarations()}
    assert set(found) == set(METHODS)
    for name, one in found.items():
        info = METHODS[name]
        assert (one.reads, one.mixed_labels, one.least_classes) == (info.reads, info.mixed_labels, info.least_classes)
        assert one.relates is not info.alone and one.targets == (info.targets or "none")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("kd", "equal_classes", True),
        ("rkd", "equal_classes", False),
        ("ttm", "equal_classes", True),
        ("cs_kd", "equal_classes", False),
        ("sskd", "equal_classes", True),
        ("fcfd", "equal_classes", True),
        ("byot", "equal_classes", False),
        ("fsp", "learns_between_widths", True),
        ("fitnets", "features", ("maps", "tokens", "vectors")),
        ("attention", "features", ("maps", "tokens")),
        ("pairwise", "features", ("maps", "tokens")),
        ("kd", "features", ()),
        ("crd", "needs_indices", True),
        ("kd", "needs_indices", False),
        ("fitnets", "learns", True),
        ("review_kd", "learns", True),
        ("ctkd", "learns", True),
        ("rkd", "learns", False),
        ("minilm", "learns", False),
        ("similarity", "relates", True),
        ("kd", "relates", False),
        ("ensemble_kd", "taught_by", "several"),
        ("dist", "least_classes", 3),
    ],
)
def test_declarations_are_what_is_known_of_methods(name: str, key: str, value: object) -> None:
    assert getattr(declaration_of(name), key) == value


def test_filters_leave_the_methods_that_fit_all_of_them() -> None:
    assert {one.name for one in fitting({"classes": "2", "reads": "logits"})} >= {"kd", "wsld"}
    assert "dkd" not in {one.name for one in fitting({"classes": "2"})}
    plain = fitting({"reads": "vectors", "relates": "no", "learns": "no", "mixed": "sound"})
    assert all("vectors" in one.features and not one.relates and not one.learns for one in plain)
    assert [one.name for one in fitting({})] == list(METHODS)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [({"read": "maps"}, "did you mean"), ({"reads": "map"}, "must be one of .*maps"), ({"classes": "1"}, "at least 2")],
)
def test_a_wrong_filter_is_refused(wanted: dict[str, str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        fitting(wanted)


def test_the_command_and_the_page_show_them() -> None:
    result = CliRunner().invoke(app, ["list", "methods", "--where", "targets=masks"])
    assert result.exit_code == 0 and "ifvd" in result.output and "kd_svd" not in result.output
    error = CliRunner().invoke(app, ["list", "models", "--where", "reads=maps"]).exception
    assert isinstance(error, InputError) and "filters methods" in str(error)
    import method_table

    lines = method_table.page().splitlines()
    assert sum(line.startswith("| `") for line in lines) == len(METHODS)
    assert any(line.startswith("| `crd` | features | one | none | unsound | 2+ |") for line in lines)
