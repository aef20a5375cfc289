"""Effects out of a study's table: known ones are found, noise is not, and what is missing is left out by name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from rolewise.statistics.effects import Level, contrasts
from rolewise.statistics.study_sentences import best_sentence, effect_sentences

AXES: dict[str, list[Level]] = {"temperature": [1, 4, 16], "mix": ["vanilla", "mixup"], "size": ["small", "large"]}
LABELS = {axis: axis for axis in AXES}


def table(effect, seeds: int = 5, noise: float = 0.01, draw: int = 0, axes=AXES, arms=("taught",)):
    """A table in which each seed has a level of its own, and each cell noise."""
    stream = np.random.default_rng(draw)
    rows = []
    for seed, arm in itertools.product(range(seeds), arms):
        level = 0.8 + 0.05 * stream.standard_normal()
        for number, cell in enumerate(itertools.product(*axes.values())):
            levels = dict(zip(axes, cell, strict=True))
            value = level + effect(levels) + noise * stream.standard_normal()
            row = {"part": "grid", "cell": f"grid-{number:03d}", "student": "s", "arm": arm, "seed": seed}
            rows.append({**row, **levels, "status": "done", "accuracy": value, "validation_accuracy": value})
    return rows


def none(levels) -> float:
    return 0.0


def test_contrasts_are_the_paired_differences_worked_out_by_hand() -> None:
    rows = table(none, seeds=4, draw=3)
    found = {(one.axis, one.level, one.other): one for one in contrasts(rows, AXES, "accuracy")}
    y = np.array([row["accuracy"] for row in rows]).reshape(4, 3, 2, 2)
    main = (y[:, 2] - y[:, 0]).mean((1, 2))
    crossed = (y[:, 1, :, 1] - y[:, 0, :, 1] - y[:, 1, :, 0] + y[:, 0, :, 0]).mean(1)
    for key, differences in {
        ("temperature", 16, None): main,
        ("temperature", 4, ("size", "large", "small")): crossed,
    }.items():
        estimate = found[key].difference
        expected = stats.ttest_1samp(differences, 0)
        low, high = expected.confidence_interval(0.95)
        assert estimate is not None
        assert np.allclose(
            [estimate.mean, estimate.low, estimate.high, estimate.p],
            [differences.mean(), low, high, expected.pvalue],
        )
    # 2 + 1 + 1 levels against the first; 2 + 2 + 1 pairs.
    assert len(found) == 9 and {one.family for one in found.values()} == {9}
    assert found["temperature", 16, None].combinations == 4
    assert found["mix", "mixup", ("size", "large", "small")].combinations == 3


def test_a_known_effect_and_a_known_interaction_are_found_and_nothing_else() -> None:
    def effect(levels) -> float:
        return 0.05 * (levels["mix"] == "mixup") - 0.08 * (levels["mix"] == "mixup" and levels["temperature"] == 16)

    rows = table(effect, seeds=6, noise=0.004)
    found = contrasts(rows, AXES, "accuracy")
    supported = {(one.axis, one.level, one.other) for one in found if one.supported}
    assert supported == {
        ("mix", "mixup", None),
        ("temperature", 16, None),
        ("temperature", 16, ("mix", "mixup", "vanilla")),
    }
    for one in found:
        if (one.axis, one.other) == ("mix", None):
            assert one.difference is not None and one.difference.low is not None and one.difference.high is not None
            # Over the levels of temperature the effect is 5, 5 and -3 points.
            assert one.difference.low < (0.05 + 0.05 - 0.03) / 3 < one.difference.high
    lines = effect_sentences(found, "accuracy", LABELS)["grid", "s", "taught"]
    assert lines[2].startswith("mix: mixup instead of vanilla raises accuracy by 2.") and "6 seeds" in lines[2]
    assert lines[1].startswith("temperature: 16 instead of 1 lowers accuracy by ")
    assert lines[3].startswith("size: large instead of small cannot be told apart in accuracy: ")
    assert any("temperature and mix act on each other: what 16 instead of 1 does to accuracy is" in x for x in lines)
    assert any("Whether mix and size act on each other cannot be told" in x for x in lines)


def test_noise_alone_is_called_an_effect_as_often_as_is_stated() -> None:
    studies, single, comparisons, families = 400, 0, 0, 0
    for draw in range(studies):
        found = contrasts(table(none, seeds=4, draw=draw), AXES, "accuracy")
        ps = [one.difference.p for one in found if one.difference is not None and one.difference.p is not None]
        single, comparisons = single + sum(p <= 0.05 for p in ps), comparisons + len(ps)
        families += any(one.supported for one in found)
    assert comparisons == 9 * studies
    # One comparison in twenty without the adjustment; at most one study in twenty with it (four standard errors).
    assert abs(single / comparisons - 0.05) < 4 * np.sqrt(0.05 * 0.95 / comparisons)
    assert families / studies < 0.05 + 4 * np.sqrt(0.05 * 0.95 / studies)
    assert families > 0


def test_seeds_that_differ_much_do_not_hide_what_differs_within_them() -> None:
    def effect(levels) -> float:
        return 0.01 * (levels["mix"] == "mixup")

    found = contrasts(table(effect, noise=0.001, draw=1), AXES, "accuracy")
    assert next(one for one in found if (one.axis, one.other) == ("mix", None)).supported


def test_what_failed_is_left_out_on_both_sides_and_counted() -> None:
    rows = table(none, seeds=3)
    for row in rows:
        if row["seed"] == 1 and (row["temperature"], row["mix"], row["size"]) == (4, "mixup", "large"):
            # Were it averaged, this would be an effect.
            row["status"], row["accuracy"] = "failed", -100.0
    found = {(one.axis, one.level): one for one in contrasts(rows, AXES, "accuracy") if one.other is None}
    assert (found["temperature", 4].combinations, found["temperature", 4].left_out) == (3, 1)
    assert (found["temperature", 16].combinations, found["temperature", 16].left_out) == (4, 0)
    assert (found["mix", "mixup"].combinations, found["mix", "mixup"].left_out) == (5, 1)
    assert all(one.difference is not None and abs(one.difference.mean) < 0.1 for one in found.values())
    sentences = effect_sentences(list(found.values()), "accuracy", LABELS)["grid", "s", "taught"]
    assert "1 combination left out" in sentences[0] and "left out" not in sentences[1]


def test_a_seed_without_a_teacher_takes_itself_out_and_no_combination() -> None:
    rows = table(none, seeds=4)
    for row in rows:
        if row["seed"] == 3 and row["mix"] == "mixup":
            row["status"] = "failed"
    found = {(one.axis, one.level): one for one in contrasts(rows, AXES, "accuracy") if one.other is None}
    assert (found["mix", "mixup"].seeds, found["mix", "mixup"].combinations) == (3, 6)
    assert (found["temperature", 4].seeds, found["temperature", 4].left_out) == (4, 2)


def test_a_level_that_nothing_finished_at_cannot_be_judged() -> None:
    rows = [row for row in table(none) if row["mix"] == "vanilla" or row["temperature"] != 4]
    for row in rows:
        row["status"] = "failed" if row["temperature"] == 16 and row["mix"] == "mixup" else row["status"]
    found = contrasts(rows, {"mix": AXES["mix"], "temperature": AXES["temperature"], "size": AXES["size"]}, "accuracy")
    crossed = [one for one in found if one.other is not None and {one.axis, one.other[0]} == {"mix", "temperature"}]
    assert [one.difference for one in crossed] == [None, None]
    for row in rows:
        row["status"] = "failed" if row["mix"] == "mixup" else row["status"]
    found = contrasts(rows, AXES, "accuracy")
    assert not any(one.axis == "mix" for one in found if one.difference is not None)


def test_an_axis_that_does_not_act_is_no_member_of_the_family() -> None:
    rows = table(none, noise=0.0)
    for row in rows:
        row["accuracy"] += 0.01 * (row["size"] == "large") * (1 + 0.1 * row["seed"])
    found = contrasts(rows, AXES, "accuracy")
    assert {one.family for one in found} == {1}
    lines = effect_sentences(found, "accuracy", LABELS)["grid", "s", "taught"]
    assert lines[0].startswith("temperature: 4 and 16 instead of 1 makes no difference whatsoever")
    assert "makes no difference whatsoever" in lines[1] and "raises accuracy by 1." in lines[2]


def test_one_seed_supports_nothing() -> None:
    lines = effect_sentences(contrasts(table(none, seeds=1), AXES, "accuracy"), "accuracy", LABELS)
    assert lines["grid", "s", "taught"] == [
        "One seed says nothing about noise: no difference is supported. Run more seeds."
    ]


def test_a_grid_of_its_diagonal_alone_is_not_blamed_on_the_seeds() -> None:
    axes: dict[str, list[Level]] = {"temperature": [1, 4], "size": ["small", "large"]}
    kept = {(1, "small"), (4, "large")}
    rows = [row for row in table(none, axes=axes) if (row["temperature"], row["size"]) in kept]
    lines = effect_sentences(contrasts(rows, axes, "accuracy"), "accuracy", LABELS)["grid", "s", "taught"]
    assert len(lines) == 2 and all("cannot be judged: no combination" in line for line in lines)


def test_a_level_that_one_seed_alone_has_finished_is_not_said_of_every_seed() -> None:
    rows = table(
        lambda levels: 0.02 * (levels["temperature"] == 16), axes={"temperature": [1, 4, 16]}, seeds=3, noise=0
    )
    for row in rows:
        if row["seed"] > 0 and row["temperature"] == 16:
            row |= {"status": "failed", "accuracy": None}
    found = contrasts(rows, {"temperature": [1, 4, 16]}, "accuracy")
    lines = effect_sentences(found, "accuracy", LABELS)["grid", "s", "taught"]
    assert "every seed gives the same number" in lines[0]
    assert lines[1] == (
        "temperature: 16 instead of 1: +2.0 points in accuracy, of one seed, which says nothing about noise."
    )


def test_arms_are_told_apart_and_share_the_family() -> None:
    found = contrasts(table(none, arms=("taught", "plain")), AXES, "accuracy")
    assert {one.group for one in found} == {("grid", "s", "taught"), ("grid", "s", "plain")}
    assert len(found) == 18 and {one.family for one in found} == {18}


def test_other_metrics_are_said_in_their_own_unit() -> None:
    rows = table(none)
    for row in rows:
        row["loss"] = 1.0 + 0.5 * (row["mix"] == "mixup") + 0.01 * row["seed"] * (row["size"] == "large")
        row["loss"] += 0.001 * np.random.default_rng(row["seed"]).standard_normal() * (row["mix"] == "mixup")
    lines = effect_sentences(contrasts(rows, AXES, "loss"), "loss", LABELS)["grid", "s", "taught"]
    assert lines[1].startswith("mix: mixup instead of vanilla raises loss by 0.500 nats (95% interval +0.4")


@pytest.mark.parametrize("broken", [False, True])
def test_the_best_cell_is_chosen_on_validation_and_never_on_test(broken: bool) -> None:
    rows = table(none, noise=0.0, axes={"mix": AXES["mix"]})
    for row in rows:
        row["validation_accuracy"] = 0.9 if row["mix"] == "mixup" else 0.8 + 0.01 * row["seed"]
        row["accuracy"] = 0.5 if row["mix"] == "mixup" else 0.99
        row["status"] = "failed" if broken and row["mix"] == "mixup" and row["seed"] == 2 else "done"
    sentence = best_sentence(rows, ["mix"], LABELS)
    if broken:
        assert "mix vanilla" in sentence and "99.0" in sentence
    else:
        assert sentence.startswith("Chosen on validation: mix mixup (s, taught), 90.0% there; its test accuracy, which")
        assert "is 50.0 ± 0.0%" in sentence and "0 of the other 1 cannot" in sentence
    for row in rows:
        row["validation_accuracy"] = None
    assert best_sentence(rows, ["mix"], LABELS).startswith("No best cell is named")


def test_of_cells_that_are_one_training_the_best_cell_s_rivals_count_one() -> None:
    rows = table(none, noise=0.0, axes={"mix": AXES["mix"], "size": AXES["size"]})
    for row in rows:
        # The size acts on nobody: four cells are two trainings.
        taken = 0.01 * row["seed"] if row["mix"] == "mixup" else 0.02
        row |= {"validation_accuracy": 0.8 + taken, "accuracy": 0.7 + taken, "status": "done"}
    assert best_sentence(rows, ["mix", "size"], LABELS).endswith(
        " of the other 1 cannot be told from it on validation."
    )
