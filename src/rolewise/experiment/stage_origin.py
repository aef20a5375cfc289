"""The origin of a teacher that another run trained: the images that it has seen, and the input that it expects."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from rolewise.config import load_experiment_config
from rolewise.config.network_sections import ModelSection
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_weights import is_stage, parts_of_stage
from rolewise.experiment.stages import find_stage, section_of
from rolewise.experiment.weight_sources import weight_setting

_CPU = torch.device("cpu")


def origin_remarks(config: ExperimentConfig) -> Iterator[str]:
    """Yields remarks on a teacher that a stage of another run has left; none where it is from elsewhere.

    Args:
        config: the experiment, whose images can be read.

    Raises:
        InputError: the other run, or images, cannot be read.
    """
    setting = weight_setting(config, "teacher")
    if setting is None or not is_stage(setting.file):
        return
    root, name = parts_of_stage(setting.file)
    other = load_experiment_config(root / "config.yaml")
    stage = find_stage(other, name)
    section = section_of(other, stage.role)
    if other.data != config.data or weight_setting(other, stage.role) is not None:
        yield (
            f"teacher.weights: {setting.file} was trained on other data, or is from a file itself: whether it has seen "
            "validation or test images of this experiment is unknown."
        )
        return
    trained = seed_data_of(other, stage.seed, _CPU)
    seen = trained.final_indices(section.images, unseen=stage.unseen)
    for seed in config.seeds:
        data = seed_data_of(config, seed, _CPU)
        count = int(torch.isin(data.validation, seen).sum())
        if count:
            yield (
                f"teacher.weights: {setting.file} was trained on {count} of the {len(data.validation)} validation "
                f"images of seed {seed}: figures on them, and what a search picks by them, are too good. Take a "
                f"teacher of seed {seed} for it, or read the test figures alone."
            )
        if (remark := _input_remark(config, setting.file, trained, data, section.model)) is not None:
            yield remark


def _input_remark(
    config: ExperimentConfig, file: str, trained: SeedData, data: SeedData, model: ModelSection
) -> str | None:
    """Returns the remark on a teacher whose input here is another than it was trained with; None where it is equal."""
    known, here = trained.spec(model), data.spec(config.teacher.model)
    if known == here:
        return None
    mean, std = ([round(value, 6) for value in values] for values in (known.mean, known.std))
    size = "" if known.size == here.size else f", size: {list(known.size) if known.size else 'null'}"
    return (
        f"teacher.weights: {file} was trained with another normalisation or size than seed {data.seed} would give it; "
        f"set teacher.model to mean: {mean}, std: {std}{size}."
    )
