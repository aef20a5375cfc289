"""Comparisons: one command's study, its table beside published figures, what is refused, and resuming."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.compare import Comparison, compare_methods, recipe_named
from rolewise.compare.comparison_cells import table_cells
from rolewise.compare.comparison_files import write_comparison
from rolewise.compare.comparison_plan import ComparisonPlan, comparison_plan
from rolewise.compare.comparison_result import _held_costs, read_comparison
from rolewise.compare.pairs import network_name, pair_of
from rolewise.compare.quoted_figures import quoted_figures
from rolewise.compare.recipes import known_recipes
from rolewise.compare.step_costs import StepCosts
from rolewise.errors import InputError
from rolewise.statistics.estimates import paired

LOSS = "    return sharpness * (student - teacher).square().mean(1)\n"
SHORT = ("teacher.train.epochs=1", "students[0].train.epochs=1", "students[0].images=60", "workers=1", "data.test=60")


def planned(methods: str = "fitnets,kd", *settings: str, seeds: int = 2) -> ComparisonPlan:
    return comparison_plan(methods, "digits", seeds=seeds, settings=(*SHORT, *settings), on_note=lambda note: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare_methods(planned(), tmp_path_factory.mktemp("compare") / "quick", isolate=False)


@pytest.mark.slow
def test_kd_stands_first_and_the_others_are_paired_with_it(finished: Comparison) -> None:
    rows = {row.name: row for row in finished.rows}
    assert list(rows) == ["teacher", "labels", "kd", "fitnets"] and finished.is_finished
    assert all(set(row.values) == {0, 1} for row in finished.rows)
    for name in ("labels", "fitnets"):
        expected = paired([*rows[name].values.values()], [*rows["kd"].values.values()])
        assert rows[name].difference == expected
    assert rows["kd"].difference is None and rows["teacher"].difference is None


@pytest.mark.slow
def test_costs_count_what_is_learned_beside_the_student(finished: Comparison) -> None:
    costs = {row.name: row.costs for row in finished.rows}
    assert costs["teacher"] is None
    assert costs["labels"] is not None and costs["kd"] is not None and costs["fitnets"] is not None
    # A 1x1 map with a bias from the student's 32 channels to the teacher's 64.
    assert costs["fitnets"].extra_parameters == 32 * 64 + 64
    assert costs["kd"].extra_parameters == costs["labels"].extra_parameters == 0
    assert costs["labels"].step_bytes < costs["kd"].step_bytes < costs["fitnets"].step_bytes
    # Weights, gradients and Adam's two averages of the map alone, and the map of 50 images at least.
    assert costs["fitnets"].step_bytes - costs["kd"].step_bytes > 4 * 4 * (32 * 64 + 64) + 4 * 50 * 64 * 4


@pytest.mark.slow
def test_the_files_hold_the_same_numbers(finished: Comparison) -> None:
    paths = write_comparison(finished)
    rows = list(csv.DictReader(io.StringIO(paths["csv"].read_text("utf-8"))))
    kd = next(row for row in finished.rows if row.name == "kd")
    assert kd.score is not None
    assert [float(row["accuracy_mean"]) for row in rows if row["method"] == "kd"] == [kd.score.mean]
    shown = f"{100 * kd.score.mean:.1f}"
    for form in ("html", "md", "tex"):
        text = paths[form].read_text("utf-8")
        assert shown in text and "fitnets" in text and "over 2 seeds" in text
    assert paths["tex"].read_text("utf-8").count("&") == 5 * (len(table_cells(finished).headings) - 1)


@pytest.mark.slow
def test_a_finished_comparison_trains_nothing_again(finished: Comparison) -> None:
    seen: list[object] = []
    again = compare_methods(planned(), finished.root, isolate=False, on_event=seen.append)
    assert seen == [] and again.rows == finished.rows
    with pytest.raises(InputError, match="extend"):
        compare_methods(planned("kd"), finished.root, isolate=False)


@pytest.mark.slow
def test_published_figures_stand_beside_the_same_pair_and_recipe_alone(finished: Comparison) -> None:
    plan = finished.plan
    assert not plan.is_as_published and not finished.quoted
    recipe = recipe_named("cifar100")
    published = dataclasses.replace(plan, recipe=recipe, pair=("resnet56", "resnet20"), is_as_published=True)
    quoting = read_comparison(published, finished.root)
    assert [[one.value for one in row.quoted] for row in quoting.rows] == [["72.34"], ["69.06"], ["70.66"], ["69.21"]]
    cells = table_cells(quoting)
    assert cells.headings[-1] == "published (quoted)" and cells.rows[2][-1] == "70.66 [a]"
    assert "b84f547" in cells.quoted[0][1] and "last epoch" in cells.quoted[0][1]
    # A method whose settings were changed is no longer the published one.
    changed = dataclasses.replace(plan.methods[1], preset=None)
    other = dataclasses.replace(published, methods=(plan.methods[0], changed))
    assert [len(row.quoted) for row in read_comparison(other, finished.root).rows] == [1, 1, 1, 0]


def test_a_changed_recipe_has_no_published_figures() -> None:
    recipe = recipe_named("cifar100")
    assert recipe.is_published and not recipe_named("digits").is_published
    plain = recipe.experiment_of(("resnet32x4", "resnet8x4"))
    assert plain.value["students"][0]["train"]["optimizer"]["learning_rate"] == 0.05
    assert recipe.experiment_of(("resnet32x4", "resnet8x4"), ["data.limit=100"]).value != plain.value


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("kd", ["73.33"]),
        ("dkd", ["76.32"]),
        ("crd", ["75.51"]),
        ("dist", ["76.31"]),
        ("qfr", []),
        ("teacher", ["79.42"]),
    ],
)
def test_quoted_figures_are_those_of_the_tables(method: str, expected: list[str]) -> None:
    assert [one.value for one in quoted_figures("cifar100", ("resnet32x4", "resnet8x4"), method)] == expected
    assert quoted_figures("digits", ("resnet32x4", "resnet8x4"), method) == []


def test_presets_of_the_pair_and_settings_of_a_method_reach_the_study() -> None:
    # No network of CIFAR-100 is built for this: the levels alone are looked at.
    from rolewise.compare.compared_methods import compared_methods

    found, rest = compared_methods("dkd,crd+kd,qfr,reverse_kd", ("resnet56", "resnet20"), ["qfr.bits=2", "seeds=[1]"])
    assert rest == ["seeds=[1]"] and [one.name for one in found] == ["kd", "dkd", "crd+kd", "qfr", "reverse_kd"]
    kd, dkd, both, qfr, reverse = (one.level for one in found)
    assert kd["distill.label_weight"] == 0.1 and dkd["distill.label_weight"] == 1
    assert dkd["distill.methods"][0]["others"] == 2.0 and found[1].preset is not None
    assert [one["weight"] for one in both["distill.methods"]] == [0.8, 1.0]
    assert qfr["distill.methods"] == [{"name": "qfr", "bits": 2}] and reverse["distill.label_weight"] == 0.1


def test_labels_keep_their_weight_beside_a_method_that_takes_from_it() -> None:
    from rolewise.compare.compared_methods import compared_methods
    from rolewise.distill import METHODS

    taking = [name for name in METHODS if METHODS[name].subtracts_labels]
    found, _ = compared_methods(",".join(taking), ("small_cnn", "small_cnn"), [])
    assert taking and all(one.label_weight == 1 for one in found if one.name in taking)


def test_a_method_that_deploys_the_teachers_head_gets_such_a_student_and_the_others_do_not() -> None:
    kd, simkd = planned("kd,simkd", seeds=1).methods
    body = {"body": "small_cnn", "body_arguments": {"widths": [16, 32]}, "width": 64}
    assert simkd.level["students.0.model"] == {"name": "reused_head", "arguments": body}
    # Without it the plan would have been refused; the labels have no weight in its source.
    assert simkd.level["distill.label_weight"] == 0 and "students.0.model" not in kd.level


def test_a_projector_that_is_deployed_counts_as_extra_parameters() -> None:
    from rolewise.compare.step_costs import _projector
    from rolewise.models import build

    student = build("reused_head", num_classes=10, channels=1, size=(8, 8), seed=0, body="resnet8", width=64)
    # From the 64 channels of a ResNet-8 to half of the teacher's 64 and back, batch norm's two vectors with each.
    assert _projector(student) == (64 * 32 + 64) + (32 * 32 * 9 + 64) + (32 * 64 + 128)
    assert _projector(build("small_cnn", num_classes=10, channels=1, size=(8, 8), seed=0)) == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("wrn40-2", "wrn_40_2"),
        ("ResNet32x4", "resnet32x4"),
        ("WRN-16-2", "wrn_16_2"),
        ("timm:resnet18", "timm:resnet18"),
    ],
)
def test_networks_are_known_as_tables_write_them(text: str, name: str) -> None:
    assert network_name(text) == name


def test_pairs_with_colons_in_their_names_have_a_comma() -> None:
    assert pair_of("timm:resnet34,timm:resnet18") == ("timm:resnet34", "timm:resnet18")
    assert pair_of("resnet56:resnet20") == ("resnet56", "resnet20")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--methods", "kd,dkdd"], 'did you mean "dkd"'),
        (["--methods", "kd,,dkd"], "separated by commas"),
        (["--methods", "dkd,dkd"], "each once"),
        (["--methods", "kd+kd"], "each method of a sum once"),
        (["--methods", "kd", "--pair", "resnet56"], "two networks"),
        (["--methods", "kd", "--pair", "resnet57:resnet20"], 'did you mean "resnet56"'),
        (["--methods", "kd", "--data", "digit"], 'did you mean "digits"'),
        (["--methods", "kd", "--seeds", "0"], "from 1 to"),
        (["--methods", "dkd", "--set", "dkd.beta=1"], r'distill.methods\[0\].beta: no such setting of "dkd"'),
        (["--methods", "dkd", "--set", "dkd.label_weight=no"], "must be a number"),
        (["--methods", "dkd", "--set", "distill.label_weight=1"], "must be left out"),
        (["--methods", "dkd", "--set", "teacher.train.epochs=0"], "--set teacher.train.epochs=0  .*at least 1"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_made(tmp_path: Path, arguments: list[str], text: str) -> None:
    place = tmp_path / "out"
    given = [*arguments, *([] if "--data" in arguments else ["--data", "digits"]), "--out", str(place)]
    error = CliRunner().invoke(app, ["compare", *given]).exception
    assert isinstance(error, InputError) and re.search(text, str(error), re.DOTALL) and not place.exists()


def test_an_experiments_file_is_a_recipe(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "experiment" / "quick.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text)
    recipe = recipe_named(str(tmp_path / "own.yaml"))
    experiment = recipe.experiment_of(None)
    assert recipe.pair == ("small_cnn", "small_cnn") and "seeds" not in experiment.value
    assert experiment.value["arms"] == {"teacher": ["none"], "student": ["none"], "control": "none", "distill": [True]}
    plan = comparison_plan("kd", str(tmp_path / "own.yaml"), seeds=1)
    assert [cell.levels["method"] for cell in plan.study.cells] == ["labels alone", "kd"]


def test_methods_of_ones_own_are_found_beside_the_config_and_set_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parent.parent / "experiment" / "quick.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text)
    package = tmp_path / "compared_own"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "losses.py").write_text("def soft_loss(student, teacher, *, sharpness: float = 1.0):\n" + LOSS)
    monkeypatch.setattr("sys.path", list(sys.path))
    name, methods = "compared_own.losses:soft_loss", "compared_own.losses:soft_loss,rkd+compared_own.losses:soft_loss"
    arguments = [
        "--methods",
        methods,
        "--data",
        str(tmp_path / "own.yaml"),
        "--out",
        str(tmp_path / "out"),
        "--dry-run",
    ]
    result = CliRunner().invoke(app, ["compare", *arguments, "--seeds", "1", "--set", f"{name}.sharpness=2.0"])
    assert result.exception is None, result.exception
    assert f"Imports code that is not Rolewise's, and runs it: compared_own.losses ({package}" in result.output
    assert f"{name}: sharpness=2.0, label_weight=1" in result.output


def test_every_recipe_is_an_experiment_of_known_networks() -> None:
    from rolewise.config import experiment_config_of

    for name in known_recipes():
        recipe = recipe_named(name)
        config = experiment_config_of(recipe.experiment_of(None))
        assert (config.teacher.model.name, config.students[0].model.name) == recipe.pair and recipe.source


def test_the_documented_tables_are_of_twelve_known_methods() -> None:
    from rolewise.compare.compared_methods import compared_methods

    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")
    lines = re.findall(r"^rolewise compare --methods (\S+) --data cifar20( --pair (\S+))? --seeds 3 ", page, re.M)
    assert [pair for _, _, pair in lines] == ["", "resnet20:cnn28"]
    for methods, _, pair in lines:
        found, rest = compared_methods(methods, pair_of(pair) if pair else recipe_named("cifar20").pair)
        assert len(found) == 12 and not rest


def test_step_costs_that_are_missing_or_damaged_are_counted_again(tmp_path: Path) -> None:
    path, whole = tmp_path / "costs.json", StepCosts(1, 2, 3, 4).as_json()
    assert _held_costs(path) == {}
    for text in ("", "[]", '{"a": {"step_bytes": 3}}', '{"a": 4}'):
        path.write_text(text)
        assert _held_costs(path) == {}, text
    path.write_text(json.dumps({"a": whole, "b": []}))
    assert _held_costs(path) == {"a": whole}
