"""The images that a network of another run was trained on, recognised by the digests of their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from rolewise.config import load_experiment_config
from rolewise.config.schema import ExperimentConfig
from rolewise.data import Source, TextData
from rolewise.data.reading_rules import ALL_PICTURE_SETTINGS, reads_pictures, settings_of_pictures
from rolewise.errors import InputError
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_weights import is_stage, parts_of_stage
from rolewise.experiment.stages import find_stage
from rolewise.experiment.weight_sources import weight_setting

CPU = torch.device("cpu")
_AT_ONCE = 1024


def image_digests(source: Source, indices: Tensor) -> Iterator[bytes]:
    """Yields the digest of each image's pixels, or of each text's tokens.

    Args:
        source: the images.
        indices: int64 [N], which of them.
    """
    if isinstance(source, TextData):
        yield from source.marks(indices)
        return
    for part in torch.split(indices, _AT_ONCE):
        for image in source.batch(part).cpu().contiguous().numpy():
            yield hashlib.blake2b(memoryview(image).cast("B"), digest_size=16).digest()


def seen_images(file: str, like: ExperimentConfig) -> set[bytes] | None:
    """Returns the digests of all images that a stage's network was trained on, from its random weights onwards.

    Args:
        file: the stage, as ``runs/a#seed0/teacher-own``.
        like: the experiment whose images they are compared with: image files are read by its rules.

    Returns:
        The digests; None where weights came from a file, images are of another shape, or the data are not there.

    Raises:
        InputError: there is no such stage.
    """
    root, name = parts_of_stage(file)
    config = load_experiment_config(root / "config.yaml")
    stage = find_stage(config, name)
    section, begun = section_of(config, stage.role), weight_setting(config, stage.role)
    before: set[bytes] | None = set()
    if begun is not None:
        before = seen_images(begun.file, like) if is_stage(begun.file) else None
    elif section.init == "teacher" and stage.teacher is not None:
        before = seen_images(f"{root}#{stage.teacher}", like)
    if before is None or (stage.role == "teacher" and config.teacher.weights is not None):
        return before
    try:
        data = seed_data_of(_read_alike(config, like), stage.seed, CPU)
        found = data.final_indices(section.images, unseen=stage.unseen)
        here = seed_data_of(like, like.seeds[0], CPU).source
        if (data.source.channels, data.source.size) != (here.channels, here.size):
            return None
        return before | set(image_digests(data.source, found))
    except InputError:
        # The other run's data need not be on this machine.
        return None


def images_behind(file: str, like: ExperimentConfig) -> set[bytes] | None:
    """Returns the digests of all images that the teachers behind a stage's network were trained on.

    A distilled network knows of its teacher's images by the teacher's outputs, though it has seen none of them.

    Args:
        file: the stage, as ``runs/a#seed0/small-own+distill``.
        like: the experiment whose images they are compared with, as of `seen_images`.

    Returns:
        The digests; empty where no network behind this one was distilled, None where a teacher's images are unknown.

    Raises:
        InputError: there is no such stage.
    """
    root, name = parts_of_stage(file)
    config = load_experiment_config(root / "config.yaml")
    stage = find_stage(config, name)
    begun = weight_setting(config, stage.role)
    found: set[bytes] = set()
    above = [begun.file] if begun is not None and is_stage(begun.file) else []
    for one in (stage.teacher, *(name for _, name in stage.others)) if stage.distilled else ():
        teacher = f"{root}#{one}"
        seen = seen_images(teacher, like)
        if seen is None:
            return None
        found, above = found | seen, [*above, teacher]
    for further in above:
        behind = images_behind(further, like)
        if behind is None:
            return None
        found = found | behind
    return found


def _read_alike(config: ExperimentConfig, like: ExperimentConfig) -> ExperimentConfig:
    """Returns an experiment whose image files are read by the rules of another, in the same division."""
    if not (reads_pictures(config.data.name) and reads_pictures(like.data.name)):
        return config
    own, rules = config.data.arguments, like.data.arguments
    # Training images are compared with test images, which have no crop of their own.
    aside = (*ALL_PICTURE_SETTINGS, "train_crop_ratio")
    arguments = {key: value for key, value in own.items() if key not in aside}
    arguments |= {key: value for key, value in rules.items() if key in settings_of_pictures(config.data.name)}
    return config.model_copy(update={"data": config.data.model_copy(update={"arguments": arguments})})
