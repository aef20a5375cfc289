"""Runs side by side: paired by seed where draws are the same, Welch's test and the reason where they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answer_toys import run_of
from rich.console import Console
from scipy import stats

from rolewise.cli.comparison_view import comparison_view
from rolewise.config import load_experiment_config
from rolewise.errors import InputError
from rolewise.experiment.run_comparison import compare_runs
from rolewise.experiment.run_record import write_record
from rolewise.experiment.run_scores import run_score_table, run_scores
from rolewise.files import as_json, read_json, sha256, write_json
from rolewise.report.table_formats import table_text
from rolewise.seals import read_sealed, write_product, write_sealed
from rolewise.statistics import holm
from rolewise.statistics.estimates import unpaired

QUICK = Path(__file__).parent / "quick.yaml"
ARMS = ["arms.student=[none]", "arms.teacher=[own]", "seeds=[0,1,2]"]
FIRST = {"none+distill": [0.90, 0.91, 0.93], "none": [0.80, 0.83, 0.82]}
SECOND = {"none+distill": [0.94, 0.96, 0.97], "none": [0.81, 0.82, 0.83]}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a folder as a run leaves it, without training: config, environment, record and results."""

    def made(
        name: str, arms: dict[str, list[float]] | None, *settings: str, digest: str = "a" * 64, **more: Any
    ) -> Path:
        root = tmp_path / name
        root.mkdir()
        config = load_experiment_config(QUICK, [*ARMS, f"name={name}", *settings])
        write_record(root, config, {"data digits, pixels": digest, "weights w.pt": name.ljust(64, "0")})
        if arms is not None:
            write_product(root / "results.json", as_json(run_of(arms, **more)))
        return root

    return made


def shown(*places: Path) -> str:
    console = Console(width=80, highlight=False, markup=False)
    with console.capture() as captured:
        for comparison in compare_runs(places):
            console.print(comparison_view(comparison))
    assert all(len(line) <= 80 for line in captured.get().splitlines() if "/" not in line)
    return " ".join(captured.get().split())


def test_runs_of_the_same_data_are_paired_by_seed(make: Make) -> None:
    places = [make("a", FIRST, teacher=[0.95, 0.95, 0.96]), make("b", SECOND, "distill.methods[0].temperature=2.0")]
    (found,) = compare_runs(places)
    assert found.settings == ("distill.methods[0].temperature: 4.0 -> 2.0", "name: 'a' -> 'b'")
    assert found.unpaired_since == () and found.only_first == (("teacher", "own"),) and found.cautions == ()
    tests = [stats.ttest_rel(SECOND[arm], FIRST[arm]) for arm in FIRST]
    for one, arm, test in zip(found.differences, FIRST, tests, strict=True):
        low, high = test.confidence_interval()
        assert (one.student, one.arm) == ("small", arm)
        assert one.difference.mean == pytest.approx(np.mean(SECOND[arm]) - np.mean(FIRST[arm]))
        assert (one.difference.low, one.difference.high) == (pytest.approx(low), pytest.approx(high))
    assert [one.together for one in found.differences] == [
        pytest.approx(p) for p in holm([test.pvalue for test in tests])
    ]
    text = shown(*places)
    assert "Differences are paired by seed; mean ± sample standard deviation over seeds, n = 3." in text
    assert (
        "In A alone: teacher own." in text and "Beyond the noise of both comparisons (Holm): small none+distill" in text
    )


@pytest.mark.parametrize(
    ("settings", "digest", "reason"),
    [
        (["data.split_seed=1"], "a", "their data sections differ, and with them the split of each seed"),
        ([], "b", "the digests of their data differ"),
        (["device=cuda"], "a", "they ran on devices that draw otherwise"),
        (["seeds=[7,8,9]"], "a", "they have no seed in common"),
    ],
)
def test_runs_of_other_draws_are_not_paired_and_the_reason_is_given(
    make: Make, settings: list[str], digest: str, reason: str
) -> None:
    second = make("b", SECOND, *settings, digest=digest * 64)
    if "seeds" in "".join(settings):
        results = run_of(SECOND, seeds=[7, 8, 9])
        for arm in results["arms"]:
            values = arm["metrics"]["accuracy"]
            arm["metrics"]["accuracy"] = {str(7 + int(seed)): value for seed, value in values.items()}
        write_product(second / "results.json", as_json(results))
    places = [make("a", FIRST), second]
    (found,) = compare_runs(places)
    assert reason in found.unpaired_since
    test = stats.ttest_ind(SECOND["none"], FIRST["none"], equal_var=False)
    one = found.differences[1].difference
    low, high = test.confidence_interval()
    assert (one.p, one.low, one.high) == (pytest.approx(test.pvalue), pytest.approx(low), pytest.approx(high))
    text = shown(*places)
    assert f"not paired by seed (Welch), since {reason}" in text
    assert ("Their images or labels are not the same" in text) == (digest == "b")


def test_seeds_that_one_run_has_alone_are_left_out_of_pairs(make: Make) -> None:
    second = make("b", {arm: [*values, 0.5] for arm, values in SECOND.items()}, "seeds=[0,1,2,3]")
    (found,) = compare_runs([make("a", FIRST), second])
    assert found.unpaired_since == () and "Seeds differ: 0, 1, 2 and 0, 1, 2, 3" in found.cautions[0]
    assert {one.difference.count for one in found.differences} == {3}


def changed_environment(folder: Path, **values: object) -> Path:
    """Changes what a run says of its machine, and the digest of that."""
    environment = read_json(folder / "environment.json", "it")
    environment.update(values)
    write_json(folder / "environment.json", environment)
    record = read_sealed(folder / "run.json", "it", "")
    record["files"]["environment.json"] = sha256(folder / "environment.json")
    write_sealed(folder / "run.json", record)
    return folder


def test_another_version_is_a_caution(make: Make) -> None:
    (found,) = compare_runs([make("a", FIRST), changed_environment(make("b", SECOND), packages={"torch": "0.1"})])
    assert any(line.startswith("torch ") and "and 0.1: the same seed" in line for line in found.cautions)


def test_another_processor_is_a_caution(make: Make) -> None:
    here = changed_environment(make("a", FIRST), processor="One", instructions="AVX512", gpu=None)
    there = changed_environment(make("b", SECOND), processor="One", instructions="AVX2", gpu=None)
    (found,) = compare_runs([here, there])
    assert any("One with AVX512 and One with AVX2: the same seed" in line for line in found.cautions)
    # A run of a release that did not say is not taken for another processor's.
    changed_environment(there, processor=None, instructions=None)
    (found,) = compare_runs([here, there])
    assert not any("AVX512" in line for line in found.cautions)


def test_equal_runs_are_said_to_be_equal(make: Make) -> None:
    assert shown(make("a", FIRST), make("b", FIRST)).endswith("All figures are the same in both.")


def test_results_alone_and_several_runs(make: Make) -> None:
    first, second = make("a", FIRST), make("b", SECOND)
    found = compare_runs([first, second, second / "results.json"])
    assert len(found) == 2 and found[1].settings is None and found[0].settings is not None
    assert "results alone" in found[1].unpaired_since[0]
    assert {one.family[1] for comparison in found for one in comparison.differences} == {4}
    with pytest.raises(InputError, match="at least two to be compared, got 1"):
        compare_runs([first])
    with pytest.raises(InputError, match=r"metric in common, got accuracy of .* and rmse of"):
        compare_runs([first, make("c", SECOND, metric="rmse")])
    (first.parent / "study.json").write_text("{}")
    with pytest.raises(InputError, match="must be a run, and is a study; name runs among its cells"):
        compare_runs([first.parent, first])
    with pytest.raises(InputError, match="is no run folder"):
        compare_runs([first, first / "nothing"])


def test_an_unfinished_run_is_shown_on_validation_images_and_says_what_is_missing(make: Make) -> None:
    first, half = make("a", FIRST), make("b", None)
    for root in (first, half):
        for seed, name, value in ((0, "small-none", 0.7), (1, "small-none", 0.8), (0, "teacher-own", 0.9)):
            place = root / "stages" / f"seed{seed}" / name
            place.mkdir(parents=True)
            write_sealed(
                place / "done.json", {"stage": f"seed{seed}/{name}", "files": {}, "validation_accuracy": value}
            )
    scores = run_scores(half)
    assert scores.part == "validation" and "3 of 9 trainings are done" in scores.missing[0]
    text = table_text(run_score_table(scores), "markdown")
    assert "| small | none | 75.0 ± 7.1 (n = 2) |" in text and "| small | none+distill |  |" in text
    assert "b is not finished: 3 of 9 trainings are done, and its test set stays sealed" in text
    said = shown(first, half)
    assert "validation accuracy, %, mean ± sd" in said and "b is not finished" in said and "+0.0" in said
    with pytest.raises(InputError, match=r"a results.json has none"):
        compare_runs([first / "results.json", half])


def test_welchs_test_without_a_spread_claims_nothing() -> None:
    assert unpaired([0.5], [0.4, 0.3]).low is None
    same = unpaired([0.5, 0.5], [0.4, 0.4])
    assert (same.mean, same.low, same.p) == (pytest.approx(0.1), None, None)
    one = unpaired([0.5, 0.5, 0.5], [0.4, 0.3, 0.35])
    assert one.p == pytest.approx(2 * stats.t.sf(0.15 / (0.05 / 3**0.5), 2))


def test_a_run_beside_itself_has_each_caution_once(make: Make) -> None:
    root = make("a", None)
    [found] = compare_runs([root, root])
    assert found.cautions and len(set(found.cautions)) == len(found.cautions)


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "environment.json"])
def test_a_damaged_file_of_a_run_is_named_and_not_compared(make: Make, name: str) -> None:
    one, other = make("a", FIRST), make("b", SECOND)
    for content in (b": [", b"null", (other / name).read_bytes().replace(b"a", b"c", 1)):
        (other / name).write_bytes(content)
        with pytest.raises(
            InputError, match=rf"{name} .*(damaged|not valid JSON)[^;]*; (.*; )?(put it back|delete it)"
        ):
            compare_runs([one, other])
