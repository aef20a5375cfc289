"""The origin of weights that another run trained: the images that they have seen, and the input that they expect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from rolewise.config import load_experiment_config
from rolewise.config.faults import dotted
from rolewise.config.network_sections import ModelSection
from rolewise.config.schema import ExperimentConfig
from rolewise.data.reading_rules import kind_of_examples
from rolewise.errors import InputError
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.seen_images import CPU, image_digests, images_behind, seen_images
from rolewise.experiment.stage_weights import is_stage, parts_of_stage
from rolewise.experiment.stages import find_stage
from rolewise.experiment.weight_sources import WeightSetting, weight_setting
from rolewise.words import counted

#: The share of the test images that copies in a data set explain; a teacher that has seen more of them is refused.
MOST_TESTED = 0.01


def origin_remarks(config: ExperimentConfig, setting: WeightSetting) -> Iterator[str]:
    """Yields remarks on weights that a stage of another run has left; none where they are from elsewhere.

    Args:
        config: the experiment, whose images can be read.
        setting: the setting that names the weights.

    Raises:
        InputError: the other run, or images, cannot be read; or its network was trained on test images.
    """
    if not is_stage(setting.file):
        return
    yield from _own_remarks(config, setting)
    yield from _remarks_on_teachers(config, setting)


def _own_remarks(config: ExperimentConfig, setting: WeightSetting) -> Iterator[str]:
    """Yields the remarks on the images that the network itself was trained on, and on its input."""
    root, name = parts_of_stage(setting.file)
    other = load_experiment_config(root / "config.yaml")
    stage = find_stage(other, name)
    section = section_of(other, stage.role)
    begun = weight_setting(other, stage.role) is not None or section.init == "teacher"
    if other.data != config.data or begun:
        yield from _by_digests(config, setting, root)
        if setting.role == "teacher":
            yield from _input_remarks_of_other_data(config, setting.file, other, stage.seed, section.model)
        return
    trained = seed_data_of(other, stage.seed, CPU)
    seen = trained.final_indices(section.images, unseen=stage.unseen)
    kind = kind_of_examples(config.data.name)
    for seed in config.seeds:
        data = seed_data_of(config, seed, CPU)
        if count := int(torch.isin(data.validation, seen).sum()):
            yield _on_validation(setting, count, len(data.validation), seed, kind)
        if setting.role != "teacher":
            continue
        if (remark := _input_remark(config, setting.file, trained, data, section.model)) is not None:
            yield remark


def _remarks_on_teachers(config: ExperimentConfig, setting: WeightSetting) -> Iterator[str]:
    """Yields the remarks on what the teachers of a distilled network have seen, which it knows by their outputs."""
    where = f"{dotted(setting.steps)}: {setting.file} was distilled from a teacher"
    behind = images_behind(setting.file, config)
    if behind is None:
        yield f"{where} whose training data are unknown: it may know of the validation or test set by its teacher."
        return
    if not behind:
        return
    kind = kind_of_examples(config.data.name)
    for seed in config.seeds:
        data = seed_data_of(config, seed, CPU)
        parts = [(data.source, data.validation, f"validation {kind}s of seed {seed}")]
        if seed == config.seeds[0]:
            opened = data.test.open(f"whether a teacher of {setting.file} was trained on it")
            parts.insert(0, (opened.source, opened.indices, f"test {kind}s"))
        for source, indices, part in parts:
            count = sum(mark in behind for mark in image_digests(source, indices))
            # Copies in a data set explain a few, as in the remarks on the network's own images.
            if count > MOST_TESTED * len(indices):
                yield (
                    f"{where} that was trained on {count:,} of the {len(indices):,} {part}: figures on them may be too "
                    "good. Take a student whose teacher has not seen them."
                )


def _by_digests(config: ExperimentConfig, setting: WeightSetting, root: Path) -> Iterator[str]:
    """Yields the remarks on weights whose training images are known by their pixels alone."""
    seen = seen_images(setting.file, config)
    if seen is None:
        yield (
            f"{dotted(setting.steps)}: {setting.file} was trained on other data, or is from a file itself: whether it "
            "has seen the validation or test set of this experiment is unknown."
        )
        return
    kind = kind_of_examples(config.data.name)
    for seed in config.seeds:
        data = seed_data_of(config, seed, CPU)
        if seed == config.seeds[0]:
            opened = data.test.open(f"whether {setting.file} was trained on it")
            tested = sum(mark in seen for mark in image_digests(opened.source, opened.indices))
            if tested > MOST_TESTED * len(opened.indices):
                raise InputError(
                    f"must not have been trained on test {kind}s, and {setting.file} was trained on {tested:,} of the "
                    f"{len(opened.indices):,} of this experiment: no test figure would mean anything; divide the data "
                    f"as {root / 'config.yaml'} does (data.split_seed, data.test, data.limit), or take other weights"
                )
            if tested:
                yield (
                    f"{dotted(setting.steps)}: {counted(tested, f'test {kind}')} of {len(opened.indices):,} have the "
                    f"{'tokens' if kind == 'text' else 'pixels'} of {kind}s that {setting.file} was trained on."
                )
        count = sum(mark in seen for mark in image_digests(data.source, data.validation))
        if count:
            yield _on_validation(setting, count, len(data.validation), seed, kind)


def _input_remarks_of_other_data(
    config: ExperimentConfig, file: str, other: ExperimentConfig, seed: int, model: ModelSection
) -> Iterator[str]:
    try:
        trained = seed_data_of(other, seed, CPU)
        trained.spec(model)
    except InputError:
        # Data that are not on this machine are remarked already.
        return
    remark = _input_remark(config, file, trained, seed_data_of(config, config.seeds[0], CPU), model)
    if remark is not None:
        yield remark


def _on_validation(setting: WeightSetting, count: int, number: int, seed: int, kind: str) -> str:
    return (
        f"{dotted(setting.steps)}: {setting.file} was trained on {count} of the {number} validation {kind}s of seed "
        f"{seed}: figures on them, and what a search picks by them, are too good. Take weights of seed {seed} for it, "
        "or read the test figures alone."
    )


def _input_remark(
    config: ExperimentConfig, file: str, trained: SeedData, data: SeedData, model: ModelSection
) -> str | None:
    """Returns the remark on a teacher whose input here is another than it was trained with; None where it is equal."""
    known, here = trained.spec(model), data.spec(config.teacher.model)
    if known == here or known is None or here is None:
        return None
    mean, std = ([round(value, 6) for value in values] for values in (known.mean, known.std))
    size = "" if known.size == here.size else f", size: {list(known.size) if known.size else 'null'}"
    return (
        f"teacher.weights: {file} was trained with another normalisation or size than seed {data.seed} would give it; "
        f"set teacher.model to mean: {mean}, std: {std}{size}."
    )
