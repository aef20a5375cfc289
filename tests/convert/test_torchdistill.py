"""From torchdistill's YAML: what is carried over, what is listed, what is refused, and that nothing is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.convert.converted_config import Conversion
from rolewise.convert.source_losses import loss_terms
from rolewise.convert.tagged_yaml import CALL, read_tagged
from rolewise.convert.torchdistill import convert_torchdistill, converted_text
from rolewise.errors import InputError
from rolewise.experiment import load

SOURCES = Path(__file__).parent / "sources"


def written(tmp_path: Path, name: str, old: str = "", new: str = "") -> Path:
    text = (SOURCES / name).read_text("utf-8")
    assert old in text
    path = tmp_path / name
    path.write_text(text.replace(old, new), "utf-8")
    return path


def test_small_images_give_a_config_that_is_valid(tmp_path: Path) -> None:
    found = convert_torchdistill(SOURCES / "small_images.yaml")
    config: dict[str, Any] = found.config
    normal = {"mean": [0.5, 0.25, 0.125], "std": [0.2, 0.3, 0.4]}
    assert config["data"] == {"name": "cifar10", "download": True, "validation": 5000}
    assert config["teacher"]["model"] == {"name": "densenet_bc", "arguments": {"depth": 100, "growth": 12}, **normal}
    student = config["students"][0]
    assert student["model"] == {"name": "wrn_40_4", **normal}
    training = student["train"]
    assert (training["epochs"], training["batch_size"], training["accumulate"]) == (20, 64, 2)
    values = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0001}
    assert training["optimizer"] == {"name": "sgd", **values}
    assert training["schedule"] == {"name": "multistep", "milestones": ["10 epochs", "15 epochs"], "gamma": 0.2}
    # Twice alpha for the labels, twice the rest for the teacher.
    assert config["distill"]["label_weight"] == pytest.approx(1.8)
    assert config["distill"]["methods"] == [{"name": "kd", "temperature": 4.0, "weight": pytest.approx(0.2)}]
    assert config["arms"]["student"] == ["standard"] and config["arms"]["distill"] == [True]
    assert any("dropout_p 0.3" in text for text in found.missing)
    assert any("train mode" in text for text in found.differing) and any(
        "drop_last" in text for text in found.differing
    )
    assert any("teacher.weights" in text for text in found.to_do)
    path = tmp_path / "converted.yaml"
    path.write_text(converted_text(found, "small_images.yaml"), "utf-8")
    loaded = load(path, imports=False, on_note=lambda note: None)
    assert loaded.students[0].train.schedule.milestones == ("10 epochs", "15 epochs")
    assert "&" not in path.read_text().partition("name:")[2]


def test_stages_become_phases_and_learned_modules_lead_to_their_taps(tmp_path: Path) -> None:
    found = convert_torchdistill(SOURCES / "two_stages.yaml")
    student = found.config["students"][0]
    first, second = student["phases"]
    taps = {"student_taps": ["layer1", "layer3:input"], "teacher_taps": ["layer1", "layer2"]}
    assert first["methods"] == [{"name": "ab", "weight": 3.0, "margin": 0.5, **taps}]
    assert (first["epochs"], first["label_weight"], first["learning_rate"]) == (2, 0, 0.001)
    assert second["methods"][0]["name"] == "attention" and second["methods"][0]["weight"] == 500
    assert second["schedule"] == {"name": "multistep", "milestones": ["3 epochs", "6 epochs"], "gamma": 0.5}
    assert student["train"]["epochs"] == 10 and student["train"]["label_smoothing"] == 0.1
    assert student["train"]["optimizer"]["momentum"] == 0 and student["train"]["freeze"] == [{"match": "conv1"}]
    assert found.config["teacher"] == {"model": {"name": "torchvision:resnet34.IMAGENET1K_V1"}, "weights": "pretrained"}
    assert found.config["data"]["arguments"] == {"train": "train", "test": "val", "size": [64, 64]}
    assert any("Adam and SGD" in text for text in found.differing)
    path = tmp_path / "converted.yaml"
    path.write_text(converted_text(found, "two_stages.yaml"), "utf-8")
    assert load(path, imports=False, on_note=lambda note: None).students[0].phases[0].epochs == 2


def test_texts_have_a_task_a_metric_and_tokenizers() -> None:
    config = convert_torchdistill(SOURCES / "texts.yaml").config
    assert config["task"] == "regression" and config["primary"] == "pearson"
    assert config["distill"] == {"methods": [{"name": "output_match", "weight": 1.0}], "label_weight": 0.5}
    assert config["data"]["arguments"]["tokenizer"] == {"teacher": "some/large", "student": "some/base"}
    training = config["students"][0]["train"]
    assert training["clip_norm"] == 1 and training["schedule"] == {"name": "linear", "warmup": "10 steps"}
    assert training["optimizer"] == {"name": "adamw", "learning_rate": 3e-5, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("'KDLoss'", "'HomemadeLoss'", "HomemadeLoss"),
        ("'MultiStepLR'", "'CyclicLR'", "scheduler: CyclicLR"),
        ("key: 'SGD'", "key: 'RMSprop'", "optimizer: RMSprop"),
        ("'wide_resnet'", "'custom_resnet'", "of the source's own code"),
        ("torchvision.datasets.CIFAR10", "homemade.pictures", "homemade.pictures"),
        ("student_module_path: '.'", "student_module_path: 'layer3'", "reads logits at layer3"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_its_reason(tmp_path: Path, old: str, new: str, reason: str) -> None:
    found = convert_torchdistill(written(tmp_path, "small_images.yaml", old, new))
    assert any(reason in text for text in found.refused) and found.config == {}


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = tmp_path / "evil.yaml"
    path.write_text(
        f"datasets: !import_call {{key: os.mkdir, init: {{args: ['{mark}']}}}}\n"
        f"models: !!python/object/apply:os.mkdir ['{mark}']\ntrain: !homemade x\n",
        "utf-8",
    )
    value = read_tagged(path)
    assert value["datasets"][CALL] == "os.mkdir" and value["train"] == {"!tag": "!homemade", "value": "x"}
    convert_torchdistill(path)
    assert not mark.exists()
    rows = "\n".join(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]" for at in range(1, 9))
    path.write_text(f"a0: &a0 [1, 1, 1]\n{rows}\n", "utf-8")
    with pytest.raises(InputError, match="values large"):
        read_tagged(path)
    path.write_text("a: [1\n", "utf-8")
    with pytest.raises(InputError, match=r"evil.yaml:2 must be YAML"):
        read_tagged(path)


def test_the_command_writes_a_config_or_says_why_not(tmp_path: Path) -> None:
    out = tmp_path / "kd.yaml"
    result = CliRunner().invoke(app, ["convert", "torchdistill", str(SOURCES / "small_images.yaml"), "--out", str(out)])
    assert result.exit_code == 0 and "Not carried over:" in result.output and "rolewise validate" in result.output
    assert yaml.safe_load(out.read_text("utf-8"))["students"][0]["model"]["name"] == "wrn_40_4"
    printed = CliRunner().invoke(app, ["convert", "torchdistill", str(SOURCES / "texts.yaml")])
    assert yaml.safe_load(printed.output)["task"] == "regression"
    for arguments, text in (
        (["mmrazor", str(SOURCES / "texts.yaml")], "torchdistill"),
        (["torchdistill", str(tmp_path / "none.yaml")], "cannot be read|missing|No such"),
        (["torchdistill", str(out)], "datasets, models and train"),
        (
            ["torchdistill", str(written(tmp_path, "texts.yaml", "AdamW", "Adagrad"))],
            "cannot be converted, for 1 reason",
        ),
    ):
        error = CliRunner().invoke(app, ["convert", *arguments]).exception
        with pytest.raises(InputError, match=text):
            raise error if error is not None else AssertionError(arguments)


def test_losses_of_two_parts_become_all_that_they_are() -> None:
    found = Conversion()
    plus = {"key": "DISTPlusLoss", "kwargs": {"beta": 2.0, "tau": 3.0, "iota": 0.5}}
    parts = {"KTALoss": 1.0, "AffinityLoss": 5.0}
    terms = {name: {"criterion": {"key": name, "kwargs": {}}, "weight": weight} for name, weight in parts.items()}
    stage = {"criterion": {"kwargs": {"sub_terms": {"plus": {"criterion": plus, "weight": 1.5}, **terms}}}}
    assert loss_terms(stage, found).methods == [
        {"name": "dist", "inter": 2.0, "intra": 1.0, "temperature": 3.0, "weight": 1.5},
        {"name": "dist_plus", "channels": 0.5, "places": 1.0, "weight": 1.5},
        {"name": "kta", "weight": 1.0},
    ]
    assert len([text for text in found.differing if "plus" in text or "kta" in text]) == 2


def test_turned_images_keep_their_four_weights_and_leave_the_first_stage_out() -> None:
    found, weights = Conversion(), [1.0, 0.9, 10.0, 2.7]
    given = {"kl_temp": 4.0, "ss_temp": 0.5, "tf_temp": 3.0, "ss_ratio": 0.5, "tf_ratio": 1.0, "loss_weights": weights}
    criterion = {"key": "SSKDLoss", "kwargs": given}
    stage = {"criterion": {"kwargs": {"sub_terms": {"sskd": {"criterion": criterion, "weight": 2.0}}}}}
    terms = loss_terms(stage, found)
    assert terms.label_weight == 2.0
    assert terms.methods == [
        {
            "name": "sskd", "plain": 0.9, "transformed": 2.7, "contrast": 10.0, "temperature": 4.0,
            "contrast_temperature": 0.5, "kept_outputs": 1.0, "kept_similarities": 0.5, "weight": 2.0,
        }
    ]  # fmt: skip
    assert any("tf_temp" in text for text in found.differing)
    before = {"criterion": {"kwargs": {"sub_terms": {"aux": {"criterion": {"key": "AuxSSKDLoss"}, "weight": 1.0}}}}}
    assert not loss_terms(before, found).methods and any("sskd trains it itself" in text for text in found.missing)
