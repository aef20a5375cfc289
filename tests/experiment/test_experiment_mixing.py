"""Mixing in a whole experiment: who mixes, what is searched, what is shown, which configs are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.distill import weight_of
from rolewise.experiment import load, previews, run
from rolewise.experiment.builders import mixing_of
from rolewise.experiment.previews import draw_preview, write_previews
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).with_name("quick.yaml")


def record(folder: Path, stage: str) -> list[dict]:
    return [json.loads(line) for line in (folder / "stages/seed0" / stage / "record.jsonl").read_text().splitlines()]


def test_each_role_mixes_as_its_section_says(tmp_path: Path) -> None:
    settings = [
        *("seeds=[0]", "arms.student=[none, own]", "arms.teacher=[none]", "arms.distill=[true]", "search.members=2"),
        "teacher.mix={method: mixup, pairs: teacher_entropy, alpha: 0.4}",
        "students[0].mix={method: cutmix, share: {start: 0, end: 1, shape: step, at: 0.5}}",
        "search.scalars={mix_alpha: {low: 0.5, high: 4, log: true}}",
        "distill.mixed_targets=isotonic",
    ]
    run(load(QUICK, settings), tmp_path / "r")
    assert all(entry["mixed_share"] == 1 for entry in record(tmp_path / "r", "teacher-none"))
    for arm in ("none", "own"):
        shares = [entry["mixed_share"] for entry in record(tmp_path / "r", f"small-{arm}+distill")]
        assert shares == [0, 0, 0, 1, 1, 1]
    scalars = json.loads((tmp_path / "r/stages/seed0/small-search/scalars.json").read_text())
    assert all(0.5 <= values["mix_alpha"] <= 4 for _, values in scalars)
    # The report's views of a role that mixes are mixed as well: at the end of training, and not yet at its beginning.
    drawn: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(previews, "mix_images", lambda images, plan: drawn.append(bool(plan.mixed.all())) or images)
        write_previews(RunFolder(tmp_path / "r"))
    assert drawn == [False, True, True]


def test_a_section_becomes_what_a_training_takes() -> None:
    text = "{method: mixup, alpha: {start: 2, end: 0.5, at: 0.5}, share: 0.3, fold: true, pairs: student_entropy}"
    config = load(QUICK, [f"students[0].mix={text}", "teacher.mix={method: cutmix, pairs: teacher_entropy}"])
    made = mixing_of(section_of(config, "small").mix, config)
    assert made is not None and made.by == "student_entropy" and made.mix.pairs == "any" and made.mix.fold
    assert made.alpha == weight_of({"start": 2.0, "end": 0.5, "at": 0.5}) and made.at(0.25).alpha == 1.25
    assert made.at(1.0).mixed_fraction == 0.3
    teacher = mixing_of(section_of(config, "teacher").mix, config)
    # Of its own training the teacher is the student.
    assert teacher is not None and teacher.by == "student_entropy" and teacher.mix.method == "cutmix"
    assert mixing_of(load(QUICK).teacher.mix, config) is None


def test_a_preview_shows_what_a_role_mixes(tmp_path: Path) -> None:
    config = load(QUICK, ["students[0].mix={method: mixup, alpha: 4}"])
    pictures = {}
    for role in ("", "teacher", "small"):
        pictures[role] = draw_preview("none", tmp_path / f"of-{role}.png", config, role=role).read_bytes()
    assert pictures[""] == pictures["teacher"] != pictures["small"]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (["students[0].mix.method=mixip"], 'did you mean "mixup"'),
        (["students[0].mix.share=1.5"], "mix.share: must be a share of the batch between 0 and 1, got 1.5"),
        (["students[0].mix.share={start: 0, end: 3}"], "between 0 and 1, got 3"),
        (["students[0].mix.share={end: 1}"], "mix.share.start: must be given"),
        (["students[0].mix.alpha=0"], "mix.alpha: must be above 0, got 0"),
        (["students[0].mix.alpha={start: 1, at: 0}"], "mix.alpha.at: must be above 0"),
        (
            ["students[0].mix={method: mixup, alpha: {start: 1, window: [0, 0.5]}}"],
            "mix.alpha.window: must be left out: alpha holds during all of training",
        ),
        (
            ["students[0].mix={method: mixup, share: {start: 1, window: [3 epochs, 0.5]}}"],
            "mix.share.window: must be in order in a training of 6 epochs of 2 steps, got 3 epochs to 0.5",
        ),
        (["students[0].mix.alpha=x"], "must be a number or a mapping of settings, got 'x'"),
        (["students[0].mix.fold=yes"], "must be true or false, got 'yes'"),
        (["students[0].mix={pairs: student_entropy, entropy_rule: unix, method: cutmix}"], 'method must be "mixup"'),
        (["students[0].mix={pairs: student_entropy, entropy_rule: unix, share: 0.5}"], "share must be 1"),
        (["students[0].mix={method: mixup, pairs: teacher_entropy}"], "set arms.distill to [true]"),
        (["teacher.mix={method: mixup, pairs: student_entropy}"], "write teacher_entropy"),
        (["teacher.mix.method=mixup", "teacher.weights=w", "arms.teacher=[none]"], "where teacher.weights gives"),
        (
            [
                "students[0].mix.method=mixup",
                "distill.mixed_targets=outputs",
                "distill.methods=[{name: kd}, {name: rkd}]",
            ],
            'distill.methods[1]: must read logits where distill.mixed_targets is "outputs", got "rkd"',
        ),
        (["distill.mixed_targets=labels"], "must be 'image', 'outputs' or 'isotonic'"),
        (["search.scalars.mix_share={low: 0, high: 1}"], "must go with a role that mixes"),
        (
            ["teacher.mix.method=mixup", "search.scalars.mix_share={low: 0, high: 2}"],
            "must be numbers from 0 to 1, got 0 to 2",
        ),
        (["teacher.mix.method=mixup", "search.scalars.mix_alpha={low: 0, high: 2}"], "must be numbers above 0"),
        (["teacher.mix.shares=0.5"], 'no such setting of "teacher.mix"; did you mean "share"'),
    ],
)
def test_a_config_that_means_nothing_is_refused(settings: list[str], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, settings)
    assert part in str(caught.value)
