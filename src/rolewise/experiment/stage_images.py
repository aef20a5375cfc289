"""The number of images that a stage trains on."""

from __future__ import annotations

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.train.batch_order import epoch_length


def images_of_stage(config: ExperimentConfig, stage: Stage) -> int:
    """Returns the number of images that a stage trains on, each as often as it is seen.

    Args:
        config: the experiment.
        stage: a search (members x epochs x images of a member), a training (epochs x images; none where the teacher is
            from a file) or a test, which trains on none.
    """
    if stage.kind == "search":
        return _of_search(config, stage)
    return _of_training(config, stage) if stage.kind in ("teacher", "arm") else 0


def _of_search(config: ExperimentConfig, stage: Stage) -> int:
    if stage.strategy == "screen":
        return 0
    section, search = section_of(config, stage.role), config.search
    is_teacher = stage.role == "teacher"
    epochs = (search.teacher_epochs if is_teacher else search.student_epochs) or section.train.epochs
    images = (search.teacher_images if is_teacher else search.student_images) or section.images
    if images is None:
        images = len(seed_data_of(config, stage.seed, builders.configured_device(config.device)).train)
    return search.members * epochs * epoch_length(images, section.train.batch_size, section.train.batches)


def _of_training(config: ExperimentConfig, stage: Stage) -> int:
    if stage.role == "teacher" and config.teacher.weights is not None:
        return 0
    section = section_of(config, stage.role)
    images = section.images
    if images is None:
        data = seed_data_of(config, stage.seed, builders.configured_device(config.device))
        images = len(data.final_indices(None, unseen=stage.unseen))
    return epoch_length(images, section.train.batch_size, section.train.batches) * section.train.epochs
