"""Presets of methods and trainings: published numbers, filled in under what a config sets, with their source."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.compare.recipes import recipe_named
from rolewise.config import ConfigError, load_experiment_config
from rolewise.distill import METHODS, configure
from rolewise.method_presets import method_preset, method_presets, preset_for, training_preset
from rolewise.models import MODELS

HEAD = "seeds: [0]\nteacher: {model: {name: resnet56}}\n"
STUDENT = "students: [{name: s, model: {name: resnet20}}]\n"


def read(tmp_path: Path, text: str) -> tuple[dict[str, object], list[str]]:
    path, notes = tmp_path / "config.yaml", []
    path.write_text(text, "utf-8")
    return load_experiment_config(path, on_note=notes.append).model_dump(mode="json"), notes


def test_every_preset_is_a_method_with_settings_that_it_has_and_a_whole_provenance() -> None:
    count = 0
    for method, presets in method_presets().items():
        for name, one in presets.items():
            configure(method, **one.settings)
            assert (
                one.method == method in METHODS
                and one.epoch in ("last", "best", "not stated")
                and one.label_weight >= 0
            )
            assert "https://" in one.source and one.code and one.reduction and training_preset(one.training)
            if not one.any_pair:
                pair, _, beside = name.partition("+")
                assert set(pair.split("-")) <= set(MODELS) and beside in ("", *METHODS), name
            assert name in one.provenance and one.epoch in one.provenance
            count += 1
    assert count >= 75


@pytest.mark.parametrize(
    ("method", "pair", "key", "value"),
    [
        ("dkd", ("resnet32x4", "resnet8x4"), "others", 8.0),
        ("dkd", ("vgg13", "vgg8"), "others", 6.0),
        ("dkd", ("resnet56", "resnet20"), "others", 2.0),
        ("review_kd", ("resnet56", "resnet20"), "weight", {"start": 0.0, "end": 0.6, "at": "20 epochs"}),
        ("logit_standardisation", ("resnet110", "resnet20"), "temperature", 4.0),
        ("kd", ("anything", "else"), "weight", 0.9),
        ("semckd", ("anything", "else"), "weight", 400.0),
        ("srrl", ("anything", "else"), "weight", 1.0),
        ("sskd", ("anything", "else"), "transformed", 2.7),
        ("cat_kd", ("wrn_40_2", "wrn_16_2"), "weight", 12.0),
        ("cat_kd", ("resnet50", "mobilenet_v2"), "grid", 2),
        ("mlkd", ("resnet56", "resnet20"), "teacher_share", 0.9),
        ("ttm", ("vgg13", "vgg8"), "weight", 45.0),
        ("fcfd", ("wrn_40_2", "wrn_16_2"), "function", 0.2),
        ("fcfd", ("resnet56", "resnet20"), "appearance", 0.02),
        ("sdd", ("vgg13", "vgg8"), "scales", 2),
    ],
)
def test_presets_have_the_published_numbers(method: str, pair: tuple[str, str], key: str, value: object) -> None:
    found = preset_for(method, *pair)
    assert found is not None and found.settings[key] == value


def test_a_preset_fills_in_settings_under_the_configs_own(tmp_path: Path) -> None:
    methods = "{name: dkd, preset: resnet32x4-resnet8x4, others: 5.0}"
    config, notes = read(tmp_path, f"{HEAD}{STUDENT}distill: {{methods: [{methods}]}}\n")
    weight = {"start": 0.0, "end": 1.0, "at": "20 epochs"}
    plain = {"name": "dkd", "target": 1.0, "others": 5.0, "temperature": 4.0, "weight": weight}
    assert config["distill"]["methods"] == [plain] and config["distill"]["label_weight"] == 1.0  # type: ignore[index]
    assert len(notes) == 1 and "mdistiller at a08d46f" in notes[0] and "best epoch" in notes[0]
    # The same as a config that has these numbers itself: a preset leaves no trace of its own.
    written = f"{HEAD}{STUDENT}distill: {{label_weight: 1.0, methods: [{plain}]}}\n".replace("'", '"')
    assert read(tmp_path, written) == (config, [])
    _, notes = read(tmp_path, f"{HEAD}{STUDENT}distill: {{label_weight: 0.5, methods: [{methods}]}}\n")
    assert any("0.5, where the presets beside it have 1" in note for note in notes)


def test_a_training_preset_knows_the_networks_that_have_a_rate_of_their_own(tmp_path: Path) -> None:
    students = "[{name: s, model: {name: shufflenet_v1}, train: {preset: cifar100, epochs: 12}}]"
    teacher = "{model: {name: resnet56}, train: {preset: cifar100}}"
    config, notes = read(tmp_path, f"seeds: [0]\nteacher: {teacher}\nstudents: {students}\n")
    student, section = config["students"][0]["train"], config["teacher"]["train"]  # type: ignore[index]
    assert (student["epochs"], student["optimizer"]["learning_rate"]) == (12, 0.01)
    assert (section["epochs"], section["optimizer"]["learning_rate"]) == (240, 0.05)
    assert section["schedule"]["milestones"] == ["150 epochs", "180 epochs", "210 epochs"] and len(notes) == 2


def test_the_recipe_of_a_comparison_is_the_training_that_presets_name() -> None:
    recipe, preset = recipe_named("cifar100"), training_preset("cifar100")
    assert recipe.experiment.value["teacher"]["train"] == preset.train
    assert recipe.learning_rates == preset.learning_rates


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            "{name: dkd, preset: resnet32x4-resnet8}",
            r'config.yaml:4 .*methods\[0\].preset: must be a preset of "dkd".*did you mean',
        ),
        ("{name: qfr, preset: any}", "has no presets; those that have: .*dkd"),
        (
            "{name: kd, preset: cifar100}, {name: crd, preset: cifar100}",
            r"label_weight: must be given where presets differ",
        ),
    ],
)
def test_a_wrong_preset_is_a_fault_with_its_line(tmp_path: Path, entry: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read(tmp_path, f"{HEAD}{STUDENT}distill: {{methods: [{entry}]}}\n")


def test_an_unknown_name_of_python_is_an_error() -> None:
    with pytest.raises(ValueError, match="did you mean"):
        method_preset("dkd", "vgg13-vgg")
    with pytest.raises(ValueError, match="training preset"):
        training_preset("cifar")
