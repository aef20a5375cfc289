"""From torchdistill's YAML: what is carried over, what is listed, what is refused, and that nothing is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rolewise.augment import build_schedule
from rolewise.cli import app
from rolewise.convert.converted_config import Conversion
from rolewise.convert.source_data import data_of
from rolewise.convert.source_losses import loss_terms
from rolewise.convert.source_trainings import training_of
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
    # What a stage does not train is not trained in its phase alone.
    assert student["train"]["optimizer"]["momentum"] == 0 and "freeze" not in student["train"]
    assert first["freeze"] == [{"match": "conv1"}] and "freeze" not in second
    assert found.config["teacher"] == {"model": {"name": "torchvision:resnet34.IMAGENET1K_V1"}, "weights": "pretrained"}
    assert found.config["data"]["arguments"] == {"train": "train", "test": "val", "size": [64, 64]}
    assert any("Adam and SGD" in text for text in found.differing)
    assert "weight_decay: 0.0 and 0.0005 in different stages; all phases have that of the last one" in found.differing
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
            ["torchdistill", str(written(tmp_path, "texts.yaml", "", "")), "--out", str(tmp_path / "texts.yaml")],
            "--out",
        ),
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


def terms_of(key: str, weight: float = 1.0, **given: object) -> tuple[list[dict[str, Any]], float, Conversion]:
    found = Conversion()
    term = {"criterion": {"key": key, "kwargs": given}, "weight": weight}
    terms = loss_terms({"criterion": {"kwargs": {"sub_terms": {"own": term}}}}, found)
    return terms.methods, terms.label_weight, found


@pytest.mark.parametrize(("key", "name"), [("KDLoss", "kd"), ("LogitStdKDLoss", "logit_standardisation")])
@pytest.mark.parametrize("alpha", [{}, {"alpha": 0.0}, {"alpha": None, "beta": 0.7}])
def test_a_divergence_without_alpha_has_no_labels_and_no_squared_temperature(
    key: str, name: str, alpha: dict[str, object]
) -> None:
    methods, labels, found = terms_of(key, 3.2, temperature=4.0, **alpha)
    assert methods == [{"name": name, "temperature": 4.0, "weight": 0.2}] and labels == 0
    assert any("leaves out T^2" in text for text in found.differing)


def test_losses_keep_their_settings_and_places() -> None:
    places = {"student_feature_module_path": "a", "teacher_feature_module_path": "b"}
    assert terms_of("SRDLoss", 0.5, exponent=3.0, temperature=2.0, **places)[0] == [
        {"name": "srd", "power": 3.0, "weight": 1.0, "student_taps": ["a"], "teacher_taps": ["b"]},
        {"name": "kd", "temperature": 2.0, "weight": 0.125},
    ]
    places = {"student_embed_module_path": "student_model.pool", "teacher_embed_module_path": "pool"}
    pad = {"name": "pad", "weight": 1.0, "student_taps": ["pool"], "teacher_taps": ["pool"]}
    assert terms_of("PADL2Loss", **places)[0] == [pad]
    assert terms_of("SKDDirectionLoss", 2.0, tikhonov=0.3)[0] == [
        {"name": "skd_direction", "ridge": 0.3, "weight": 2.0}
    ]


def test_a_place_without_a_path_is_refused_and_a_sum_is_told() -> None:
    pairs = {"one": {"student": {"path": "a"}, "teacher": {"io": "output"}}}
    assert terms_of("ATLoss", at_pairs=pairs)[2].refused
    summed = terms_of("RKDLoss", student_output_path="a", teacher_output_path="a", reduction="sum")[2]
    assert any("reduction sum" in text for text in summed.differing) and not summed.refused


@pytest.mark.parametrize(
    ("given", "told", "schedule"),
    [
        ({"T_max": 20, "eta_min": 0.001}, "", {"name": "cosine", "final": 0.01}),
        ({"T_max": 5}, "T_max 5 in 20 epochs", {"name": "cosine"}),
    ],
)
def test_a_cosine_keeps_its_last_rate_and_says_where_it_ends_otherwise(
    given: dict[str, object], told: str, schedule: dict[str, object]
) -> None:
    found = Conversion()
    section = {"key": "CosineAnnealingLR", "kwargs": given}
    stage = {"optimizer": {"key": "SGD", "kwargs": {"lr": 0.1}}, "scheduler": section}
    assert training_of(stage, 20, found)["schedule"] == schedule
    assert bool(found.differing) == bool(told) and all(told in text for text in found.differing)


@pytest.mark.parametrize(
    ("kinds", "augmentation"),
    [
        ({"RandomCrop": {"size": 32, "padding": 4}, "RandomHorizontalFlip": {}}, "standard"),
        (
            {"RandomCrop": {"size": [32, 32], "padding": [2, 2]}, "RandomHorizontalFlip": {}},
            {"name": "standard", "pad": 0.0625},
        ),
        ({"RandomHorizontalFlip": {}}, {"name": "fixed", "base": ["flip"]}),
        ({"RandomCrop": {"size": 32, "padding": 4}}, {"name": "fixed", "base": ["crop"]}),
        ({"RandomResizedCrop": {"size": 32}}, {"name": "fixed", "base": ["resized_crop"]}),
        ({"ToTensor": {}, "Cutout": {}}, "none"),
    ],
)
def test_images_are_cropped_and_mirrored_as_there_and_no_more(kinds: dict[str, Any], augmentation: Any) -> None:
    found = Conversion()
    calls = [{CALL: f"torchvision.transforms.{kind}", "kwargs": given} for kind, given in kinds.items()]
    read = data_of({"datasets": {"train": [{CALL: "torchvision.datasets.CIFAR10", "kwargs": {}}, *calls]}}, True, found)
    assert read[1] == augmentation and build_schedule(augmentation).segments
    assert found.missing == (["transform: Cutout"] if "Cutout" in kinds else [])


def test_what_a_method_does_otherwise_is_told() -> None:
    told = terms_of("AltActTransferLoss", feature_pairs={"one": {"student": {"path": "a"}, "teacher": {"path": "b"}}})[
        2
    ]
    assert any("the source sums them" in text for text in told.differing)
    assert any("p = 2" in text for text in terms_of("FTLoss", p=2)[2].differing)
    places = {"student_linear_path": "a", "teacher_linear_path": "b"}
    methods, _, _ = terms_of("CCKDLoss", kernel_config={"type": "gaussian", "gamma": 0.7, "max_p": 3}, **places)
    assert (methods[0]["gamma"], methods[0]["order"]) == (0.7, 3)
    assert any(
        "bilinear" in text for text in terms_of("CCKDLoss", kernel_config={"type": "bilinear"}, **places)[2].differing
    )


def test_places_of_small_resnets_are_named_as_here(tmp_path: Path) -> None:
    term = """at:
          criterion:
            key: 'ATLoss'
            kwargs: {at_pairs: {a: {teacher: {path: 'layer2', io: 'output'}, student: {path: 'layer2', io: 'output'}}}}
          weight: 2.0
        """
    path = written(tmp_path, "small_images.yaml", "'wide_resnet'", "'resnet20'")
    text = path.read_text("utf-8")
    path.write_text(text.replace("      sub_terms:\n        ", f"      sub_terms:\n        {term}", 1), "utf-8")
    [attention, _] = convert_torchdistill(path).config["distill"]["methods"]
    assert (attention["student_taps"], attention["teacher_taps"]) == (["stage2"], ["layer2"])


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
