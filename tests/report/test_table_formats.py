"""Tables of scores: numbers against numpy, the best against Student's test, and text that LaTeX prints."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from answer_toys import committed, run_of
from scipy import stats

from rolewise.errors import InputError
from rolewise.experiment.run_scores import run_score_table, run_scores
from rolewise.files import write_json
from rolewise.report.study_scores import study_score_table
from rolewise.report.table_formats import latex_text, table_text
from rolewise.statistics.score_table import ScoreTable, best_rows

RESULTS = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "results"


def table_of(tmp_path: Path, *arguments: object, metrics: tuple[str, ...] = (), **more: object) -> ScoreTable:
    write_json(tmp_path / "results.json", run_of(*arguments, **more))  # type: ignore[arg-type]
    return run_score_table(run_scores(tmp_path / "results.json"), metrics)


def test_markdown_has_mean_and_sample_deviation_in_percent() -> None:
    text = table_text(run_score_table(run_scores(RESULTS / "digits.json")), "markdown")
    arms = committed("digits")["arms"]
    for arm in arms:
        values = 100 * np.array([*arm["metrics"]["accuracy"].values()])
        assert f"| {arm['student']} | {arm['name']} | {values.mean():.1f} ± {values.std(ddof=1):.1f} |" in text
    assert text.startswith("| network | arm | accuracy, % |\n| :-- | :-- | --: |\n| teacher | own | 98.8")
    assert "mean ± sample standard deviation over seeds, n = 5." in text and "No best is marked" in text


def test_csv_has_every_digit_and_the_number_of_seeds() -> None:
    text = table_text(run_score_table(run_scores(RESULTS / "digits.json"), ["loss"]), "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    arm = next(arm for arm in committed("digits")["arms"] if (arm["student"], arm["name"]) == ("tiny", "own"))
    row = next(row for row in rows if (row["network"], row["arm"]) == ("tiny", "own"))
    for key in ("accuracy", "loss"):
        values = np.array([*arm["metrics"][key].values()])
        assert float(row[f"{key}_mean"]) == pytest.approx(values.mean(), rel=1e-14)
        assert float(row[f"{key}_sd"]) == pytest.approx(values.std(ddof=1), rel=1e-12)
        assert (row[f"{key}_n"], row[f"{key}_is_best"]) == ("5", "false")


CLEAR = {"none+distill": [0.90, 0.91, 0.92, 0.91], "none": [0.80, 0.82, 0.81, 0.82], "own": [0.70, 0.71, 0.73, 0.72]}


def test_the_best_is_marked_only_where_it_stands_out_from_all_others(tmp_path: Path) -> None:
    clear = table_of(tmp_path, CLEAR)
    assert max(stats.ttest_rel(CLEAR["none+distill"], CLEAR[name]).pvalue for name in ("none", "own")) < 0.025
    assert best_rows(clear, clear.columns[0]) == {0}
    assert "| **91.0 ± 0.8** |" in table_text(clear, "markdown")
    assert r"& $\mathbf{91.0 \pm 0.8}$ \\" in table_text(clear, "latex")
    # The same mean, and a second that is too near at these seeds: p = .058.
    near = CLEAR | {"none": [0.85, 0.82, 0.91, 0.86]}
    assert stats.ttest_rel(near["none+distill"], near["none"]).pvalue > 0.05
    unsure = table_of(tmp_path, near)
    assert best_rows(unsure, unsure.columns[0]) == set() and "**" not in table_text(unsure, "markdown")
    # Beyond the noise of one comparison, but not of two: Holm.
    two = {"none+distill": [0.9, 0.91, 0.92], "none": [0.8, 0.84, 0.87], "own": [0.8, 0.84, 0.865]}
    ps = [stats.ttest_rel(two["none+distill"], two[name]).pvalue for name in ("none", "own")]
    assert max(ps) < 0.05 < 2 * min(ps)
    held = table_of(tmp_path, two)
    assert best_rows(held, held.columns[0]) == set()


def test_of_an_error_the_lowest_is_the_best_and_the_teacher_does_not_compete(tmp_path: Path) -> None:
    errors = {name: [1 - value for value in values] for name, values in CLEAR.items()}
    table = table_of(tmp_path, errors, [0.001, 0.002, 0.001, 0.002], metric="rmse")
    assert table.rows[0].labels == ("teacher", "own") and best_rows(table, table.columns[0]) == {1}
    text = table_text(table, "markdown")
    assert "| rmse, km |" in text and "**0.090 ± 0.008**" in text and "Lower is better: rmse." in text
    assert "**0.09 ± 0.01**" in table_text(table, "markdown", 2)


def test_scores_of_fewer_seeds_say_how_many(tmp_path: Path) -> None:
    results = run_of(CLEAR)
    results["arms"][1]["metrics"]["accuracy"]["2"] = None
    write_json(tmp_path / "results.json", results)
    text = table_text(run_score_table(run_scores(tmp_path / "results.json")), "markdown")
    assert re.search(r"\| none \| 81.3 ± 1.2 \(n = 3\) \|", text) and "(n = 4)" in text and "seeds, n" not in text


def test_latex_is_balanced_escaped_and_booktabs(tmp_path: Path) -> None:
    table = table_of(tmp_path, CLEAR, name="50%_&{x}~#1^$\\")
    text = table_text(table, "latex")
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{llr}", r"\usepackage{booktabs}"):
        assert text.count(rule) == 1
    assert r"50\%\_\&\{x\}\textasciitilde{}\#1\textasciicircum{}\$\textbackslash{}" in text
    bare = re.sub(r"\\[&%$#_{}]|\\textbackslash", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0 and "#" not in bare and "~" not in bare
    # A bare percent sign would hide the rest of its line.
    assert [line for line in bare.splitlines() if "%" in line] == [bare.splitlines()[0]]
    assert all(line.count("&") == 2 for line in bare.splitlines() if line.endswith("\\\\"))
    assert latex_text("<a|b>") == r"\textless{}a\textbar{}b\textgreater{}"


def test_a_study_has_a_row_for_each_setting_and_says_its_directions() -> None:
    table = study_score_table(RESULTS / "mixup_digits", ["ece", "entropy"])
    assert table.headings == ("part", "student", "arm", "teacher_mixing", "student_mixing", "distillation")
    assert len(table.rows) == 132 and table.common_count == 5
    by_key = {column.info.key: column for column in table.columns}
    assert list(by_key) == ["accuracy", "ece", "entropy"]
    assert not by_key["ece"].info.higher_is_better and by_key["ece"].has_best and not by_key["entropy"].has_best
    text = table_text(study_score_table(RESULTS / "temperature_digits"), "latex")
    assert r"temperature & label\_weight & size & accuracy (\%) \\" in text


def test_faults_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="--metrics must be among the metrics of digits, got 'los'; did you mean \"loss\""
    ):
        run_score_table(run_scores(RESULTS / "digits.json"), ["los"])
    with pytest.raises(InputError, match="columns of temperature_digits, got 'acuracy'"):
        study_score_table(RESULTS / "temperature_digits", ["acuracy"])
    with pytest.raises(InputError, match="--format must be markdown, latex or csv, got 'tex'"):
        table_text(run_score_table(run_scores(RESULTS / "digits.json")), "tex")
    (tmp_path / "results.json").write_text('{"version": 2, "metrics": []}')
    with pytest.raises(InputError, match="primary metric"):
        run_scores(tmp_path / "results.json")


def test_the_command_prints_the_table_as_it_is_or_writes_a_file(rolewise, tmp_path: Path) -> None:
    results = str(RESULTS / "digits.json")
    code, text, error = rolewise("table", results, "--metrics", " loss ,", "--digits", "2")
    assert code == 0, error
    # Lines longer than a terminal stay whole.
    assert "| small | none+distill | 93.28 ± 0.91 | 0.19 ± 0.03 |\n" in text
    code, text, error = rolewise("table", results, "--format", "latex", "--out", str(tmp_path / "t.tex"))
    assert code == 0 and "Table: " in text and error == ""
    assert (tmp_path / "t.tex").read_text(encoding="utf-8").startswith("% Needs \\usepackage{booktabs}")
    code, _, error = rolewise("table", results, "--format", "excel")
    assert code == 2 and "--format must be markdown, latex or csv, got 'excel'" in error
    code, _, error = rolewise("compare-runs", results)
    assert code == 2 and "at least two to be compared, got 1" in error
    code, text, _ = rolewise("compare-runs", results, str(RESULTS / "digits_split1.json"))
    assert code == 0 and "not paired by seed" in text and "B - A (95%)" in text
