"""A cache of the teacher's outputs in a whole experiment: shared, in its place, refused where it cannot be right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.experiment import load, run
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_cache import cache_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stage_keys import dependencies, stage_keys

QUICK = Path(__file__).with_name("quick.yaml")
SMALL = ["seeds=[0]", "arms.student=[none, standard]", "arms.teacher=[none]", "arms.distill=[true]"]
SMALL += ["distill.methods=[{name: kd}]", "distill.view=clean"]


def test_arms_share_one_file_and_learn_what_they_would_without_it(tmp_path: Path) -> None:
    cached = [*SMALL, "distill.cache={precision: float32}"]
    run(load(QUICK, cached), tmp_path / "cached")
    run(load(QUICK, SMALL), tmp_path / "plain")
    files = [path.name for path in (tmp_path / "cached/teacher_cache").glob("*/view-*.bin")]
    assert files == ["view-00000.bin"]
    for arm in ("none", "standard"):
        one, other = (
            [
                json.loads(line)["train_loss"]
                for line in (tmp_path / name / f"stages/seed0/small-{arm}+distill/record.jsonl")
                .read_text()
                .splitlines()
            ]
            for name in ("cached", "plain")
        )
        assert one == pytest.approx(other, rel=1e-4)


def test_a_search_reads_it_for_clean_images_alone_and_a_study_has_one_for_all_cells(tmp_path: Path) -> None:
    clean = load(QUICK, [*SMALL, "distill.cache={}"])
    replay = load(QUICK, [*SMALL, "distill.view=shared", "distill.cache={views: replay}"])
    stage = next(one for one in stages_of(clean) if one.name.endswith("+distill"))
    run_folder = RunFolder(tmp_path / "cells/a")
    assert cache_of(run_folder, clean, stage, searched=True) is not None
    assert cache_of(run_folder, replay, stage, searched=True) is None
    found = cache_of(run_folder, replay, stage, searched=False)
    assert found is not None and found[1] == tmp_path / "cells/a/teacher_cache"
    (tmp_path / "store/key").mkdir(parents=True)
    link = run_folder.stage(stage.name)
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "store/key")
    found = cache_of(run_folder, replay, stage, searched=False)
    assert found is not None and found[1] == tmp_path / "teacher_cache"


def test_configs_without_one_keep_their_keys() -> None:
    plain, cached = load(QUICK, SMALL), load(QUICK, [*SMALL, "distill.cache={}"])
    stage = next(one for one in stages_of(plain) if one.name.endswith("+distill"))
    keys, others = (stage_keys(config, read=False) for config in (plain, cached))
    assert "cache" not in dependencies(plain, stage, keys)["distill"]
    changed = {name for name in keys if keys[name] != others[name]}
    assert changed and all("distill" in name or "search" in name for name in changed)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["distill.view=shared", "distill.cache={views: clean}"], "distill.cache.views: must fit distill.view, shared"),
        (["distill.cache={views: replay}"], "set distill.cache.views to clean"),
        (["distill.cache={}", "distill.teacher_mode=batch_statistics"], "distill.cache: must be left out under"),
        (["distill.cache={}", "students[0].mix.method=mixup"], 'students[0].mix.method: must be "none" beside'),
        (["distill.cache={}", "distill.methods=[{name: kd}, {name: rkd}]"], "distill.methods[1]: must read outputs"),
        (["distill.cache={top: 2}", "distill.methods=[{name: dkd}]"], "distill.cache.top: must go with kd"),
        (["task=multi_label", "distill.cache={top: 2}"], "distill.cache.top: must go with the task classification"),
        (["task=detection", "distill.cache={}"], "distill.cache: must be left out for the task detection"),
        (
            ["distill.view=shared", "distill.cache={views: replay}", "students[0].train.batches=class_pairs"],
            'students[0].train.batches: must be "shuffled" beside distill.cache with the views replay',
        ),
        (
            ["distill.cache={}", "distill.methods=[{name: tf_kd}]"],
            "distill.cache: must go with a method that a teacher",
        ),
        (["distill.cache={views: all}"], "distill.cache.views"),
        (["distill.cache={view: clean}"], 'did you mean "views"'),
    ],
)
def test_what_does_not_go_with_it_is_refused_with_its_place(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, [*SMALL, *settings])
    assert words in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("cache", "views", "rows"),
    [
        ("{views: clean}", 1, 10 * 2),
        ("{views: 3}", 3, 10 * 2),
        ("{views: replay, precision: float32}", 4, 10 * 4),
        ("{views: clean, top: 2}", 1, 2 * (2 + 4) + 2),
    ],
)
def test_outputs_beyond_the_limit_are_a_fault_of_the_config(cache: str, views: int, rows: int) -> None:
    """Two bytes, or four, for each of ten classes, or of the largest with its number, and a checksum for each row."""
    size = views * 50 * (rows + 4) / 1e9
    sets = [f"distill.cache={cache}", "students[0].images=50", "students[0].train.epochs=4"]
    sets += [f"distill.view={'clean' if 'clean' in cache else 'shared'}"]
    load(QUICK, [*sets, f"distill.cache.limit_gb={size}"])
    with pytest.raises(
        ConfigError,
        match=rf"distill\.cache: the outputs of {'one view' if views == 1 else f'{views} views'} of 50 examples take",
    ):
        load(QUICK, [*sets, f"distill.cache.limit_gb={size * 0.999}"])


@pytest.mark.parametrize("top", [10, 20])
def test_more_classes_than_there_are_are_a_fault_of_the_config(top: int) -> None:
    with pytest.raises(ConfigError, match=rf"distill\.cache\.top: must be below the number of classes, 10, got {top}"):
        load(QUICK, [*SMALL, f"distill.cache={{top: {top}}}"])
