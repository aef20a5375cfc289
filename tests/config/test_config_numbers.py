"""Numbers of a config at the edge of their type: each means something, or is refused with its key and its bound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolewise.config import ConfigError, as_values, dump
from rolewise.config.faults import Steps, dotted
from rolewise.config.study_file import load_study_config
from rolewise.config.yaml_scalars import plain
from rolewise.experiment import load
from rolewise.instruments.measurements import measure_faults

DIGITS = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
# Settings that are not given by default, or have no number there.
MORE = (
    *("data.limit", "data.test", "teacher.images", "teacher.train.ema", "teacher.train.clip_norm"),
    *("teacher.model.mean[0]", "teacher.model.std[0]", "teacher.model.size[0]", "augment.ranges.rotate"),
    *("students[0].quantise.weights", "students[0].quantise.layers.head.activations", "search.teacher_images"),
    *("students[0].mix.alpha.start", "students[0].mix.share.end", "students[0].mix.alpha.at", "search.teacher_epochs"),
    *("search.scalars.learning_rate.low", "search.scalars.temperature.high", "search.scalars.label_weight.high"),
    *("distill.methods[0].weight.start", "distill.methods[0].weight.at", "search.student_epochs"),
)
# A list of one and a mapping that needs more, so that the setting stands in something whole.
AROUND: dict[str, Any] = {
    "teacher.model.mean[0]": "teacher.model={{name: small_cnn, mean: [{}], std: [0.5]}}",
    "teacher.model.std[0]": "teacher.model={{name: small_cnn, mean: [0.5], std: [{}]}}",
    "teacher.model.size[0]": "teacher.model={{name: small_cnn, size: [{}, 8]}}",
    "students[0].quantise.weights": "students[0].quantise={{weights: {}}}",
    "students[0].quantise.layers.head.activations": "students[0].quantise={{layers: {{head: {{activations: {}}}}}}}",
    "students[0].mix.alpha.start": "students[0].mix={{method: mixup, alpha: {{start: {}}}}}",
    "students[0].mix.share.end": "students[0].mix={{method: mixup, share: {{start: 0.5, end: {}}}}}",
    "students[0].mix.alpha.at": "students[0].mix={{method: mixup, alpha: {{start: 1.0, at: {}}}}}",
    "search.scalars.learning_rate.low": "search.scalars={{learning_rate: {{low: {}, high: 0.1}}}}",
    "search.scalars.temperature.high": "search.scalars={{temperature: {{low: 1.0, high: {}}}}}",
    "search.scalars.label_weight.high": "search.scalars={{label_weight: {{low: 0.0, high: {}}}}}",
    "distill.methods[0].weight.start": "distill.methods=[{{name: kd, weight: {{start: {}}}}}]",
    "distill.methods[0].weight.at": "distill.methods=[{{name: kd, weight: {{start: 1, at: {}}}}}]",
    "augment.ranges.rotate": "augment.ranges={{rotate: {}}}",
}


def numbers(value: Any, path: Steps = ()) -> Iterator[str]:
    """Gives the path of every number of a config."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:1]):
            yield from numbers(inner, (*path, index))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield dotted(path)


PATHS = sorted({*numbers(as_values(load(DIGITS))), *MORE})


@pytest.mark.parametrize("path", PATHS)
def test_a_number_without_end_is_refused_with_its_key_and_its_bound(path: str) -> None:
    assert len(PATHS) > 65
    for value in ("1e308", "100000000000000000000", "-1e308"):
        setting = AROUND.get(path, path + "={}").format(value)
        with pytest.raises(ConfigError) as caught:
            load(DIGITS, [setting])
        faults = [fault for fault in caught.value.faults if path.startswith(fault.path) and fault.path]
        said = [fault.message for fault in faults]
        assert faults, str(caught.value)
        assert any(word in text for text in said for word in ("must be", "must have", "must hold")), said


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("workers=1000000", "workers: must be at most 1,024, got 1000000"),
        ("threads=1000000", "threads: must be at most 1,024, got 1000000"),
        ("teacher.train.epochs=1000000000", "epochs: must be at most 1,000,000, got 1000000000"),
        ("teacher.train.optimizer.learning_rate=1e-308", "must be at least 1e-12, got 1e-308"),
        ("seeds=[9223372036854775808]", "at most 9,223,372,036,854,775,807, got 9223372036854775808"),
        ("data.split_seed=9223372036854775808", "at most 9,223,372,036,854,775,807, got 9223372036854775808"),
        ("data.split_seed=-1", "data.split_seed: must be at least 0, got -1"),
        ("data.split_seed=1.5", "data.split_seed: must be a whole number"),
        ("arms.student=[{name: randaugment, num_ops: 1000000000}]", "num_ops must be at most 100, got 1000000000"),
        ("arms.student=[{name: standard, pad: 1e308}]", "must be at most 1,000, got 1e+308"),
        ("arms.student=[{name: randaugment, ranges: {rotate: 1e308}}]", "must be at most 1,000, got 1e+308"),
        ("distill.methods=[{name: kd, temperature: 1e308}]", "temperature: must be at most 1,000, got 1e+308"),
        ("distill.methods=[{name: correlation, order: 1000000000}]", "order: must be at most 32, got 1000000000"),
        ("search.scalars={temperature: {low: 0.5, high: 5000}}", "high: must be at most 1,000 for temperature"),
        ("search.scalars={learning_rate: {low: -1, high: 5}}", "low: must be at least 1e-12 for learning_rate, got -1"),
    ],
)
def test_what_means_nothing_says_where_it_ends(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(DIGITS, [setting])
    assert message in str(caught.value)
    assert len(caught.value.faults) == 1


def test_the_largest_seed_is_a_whole_number_and_stays_one() -> None:
    largest = 2**63 - 1
    config = load(DIGITS, [f"seeds=[{largest}]", f"data.split_seed={largest}"])
    assert config.seeds == (largest,) and config.data.split_seed == largest
    assert f"split_seed: {largest}\n" in dump(config)
    assert plain(str(largest)) == largest and plain(str(-largest)) == -largest


def test_a_study_s_numbers_end_too(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    for lines, message in (
        ("workers: 1000000\ngrid: {distill.view: [clean]}", "workers: must be at most 1,024"),
        ("seeds: [9223372036854775808]\ngrid: {distill.view: [clean]}", "seeds[0]: must be at most"),
        (
            "grid: {distill.label_weight: {from: -1e308, to: 1e308, steps: 3}}",
            "must be from -1e+12 to 1e+12, got 1e+308",
        ),
        ("grid: {distill.label_weight: [1e308]}", "label_weight: must be at most 1e+09, got 1e+308"),
        (
            "grid: {distill.view: [clean]}\nmeasure: [{name: robustness, radii: [1e308]}]",
            "radii: must hold a positive number of at most 1,000,000, got 1e+308",
        ),
    ):
        path.write_text(f"name: a\nbase: {DIGITS}\n{lines}\n")
        with pytest.raises(ConfigError) as caught:
            load_study_config(path, measure_faults=measure_faults)
        assert message in str(caught.value), str(caught.value)
