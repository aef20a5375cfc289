"""What validate remarks on a config without faults: an absent device, the metric that counts, an added control."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.experiment.config_remarks import config_remarks
from rolewise.study import load_study, run_study

QUICK = Path(__file__).parent / "quick.yaml"
STUDY = Path(__file__).parent / "study.yaml"
#: A device that no machine has so many of.
ABSENT = "cuda:77"


def test_an_absent_device_is_remarked_and_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    config = load(QUICK, [f"device={ABSENT}"])
    (remark,) = config_remarks(config)
    assert remark.startswith("A run would be refused on this machine: device must be auto, cpu or a device of this")
    assert f"got '{ABSENT}'" in remark and "--set device=auto" in remark
    with pytest.raises(InputError, match="device must be auto, cpu or a device of this machine"):
        run(config, tmp_path / "run")
    with pytest.raises(InputError, match=r"of a study set\.device"):
        run_study(load_study(STUDY, [f"set.device={ABSENT}"]), tmp_path / "study")
    assert not list(tmp_path.iterdir())
    assert not list(config_remarks(load(QUICK)))


def test_a_metric_that_comes_to_count_by_its_place_is_named() -> None:
    added = ["metrics=[balanced_accuracy]"]
    (remark,) = config_remarks(load(QUICK, added))
    assert "balanced accuracy counts, as the first of the list" in remark and "Add primary: accuracy" in remark
    for settings in ([*added, "primary=accuracy"], [*added, "primary=balanced_accuracy"], ["metrics=[accuracy]"]):
        assert not list(config_remarks(load(QUICK, settings))), settings
    # Without the user's own code it is not known which metric is the first.
    assert not list(config_remarks(load(QUICK, added), imports=False))


def test_a_teacher_whose_file_does_not_say_how_its_images_were_normalised_is_remarked() -> None:
    # The file is read by what loads a config, and not by its remarks.
    config, model = load(QUICK), {"name": "small_cnn", "arguments": {"widths": [8, 12]}}
    known = {**model, "mean": (0.3,), "std": (0.2,)}
    for weights, network, remarks in (("t.pt", model, 1), ("t.pt", known, 0), ("runs/a#seed0/x", model, 0)):
        teacher = type(config.teacher).model_validate({"weights": weights, "model": network})
        found = [*config_remarks(config.model_copy(update={"teacher": teacher}))]
        assert sum("t.pt was trained with others, set both" in text for text in found) == remarks


def test_remarks_of_a_study_s_cells_are_printed_once(rolewise) -> None:
    code, text, _ = rolewise("validate", str(STUDY), "--set", f"set.device={ABSENT}")
    assert code == 0 and text.count("A run would be refused on this machine") == 1
    code, text, _ = rolewise("validate", str(STUDY), "--set", "set.arms={student: [trivialaugment], control: none}")
    assert code == 0 and text.count("Added as control, which every arm is compared with: none") == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["students[0].mix={alpha: 0.3}"], "students[0].mix.alpha is not read, as students[0].mix.method is none"),
        (
            ["teacher.mix={method: mixup, entropy_rule: unix}"],
            "teacher.mix.entropy_rule is not read, as teacher.mix.pa",
        ),
        (["students[0].mix={method: mixup, pairs: student_entropy, sharpness: 3}"], "students[0].mix.sharpness is not"),
        (["students[0].train.optimizer={name: sgd, betas: [0.5, 0.9]}"], '.optimizer.betas is not read by "sgd", but'),
        (["teacher.train.optimizer={name: adam, momentum: 0.5}"], 'teacher.train.optimizer.momentum is not read by "a'),
        (["teacher.train.schedule={name: cosine, gamma: 0.5}"], 'teacher.train.schedule.gamma is not read by "cosine"'),
        (
            ["search.stacked=4", "arms={teacher: [none], student: [none, teacher], distill: [true], control: none}"],
            "search.stacked (4) is not read, as no arm searches",
        ),
        (["distill.mixed_targets=outputs"], "distill.mixed_targets (outputs) is not read, as no student's images are"),
    ],
)
def test_a_setting_that_another_one_leaves_without_a_reader_is_remarked(settings: list[str], words: str) -> None:
    (remark,) = config_remarks(load(QUICK, settings))
    assert words in remark


def test_settings_that_are_read_are_not_remarked() -> None:
    mix = "{method: mixup, alpha: 0.3, pairs: student_entropy, entropy_rule: unix, sharpness: 3}"
    schedule = "{name: multistep, gamma: 0.5, milestones: [0.5]}"
    settings = [f"students[0].mix={mix}", f"teacher.train.schedule={schedule}", "distill.mixed_targets=isotonic"]
    assert not list(config_remarks(load(QUICK, settings)))
