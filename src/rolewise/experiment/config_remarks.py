"""Remarks on a config that is without faults: what its settings decide in silence, and what this machine lacks."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.schema import ExperimentConfig
from rolewise.data.reading_rules import reads_texts
from rolewise.errors import InputError
from rolewise.experiment.arms import added_controls
from rolewise.experiment.builders import configured_device, configured_task
from rolewise.experiment.stage_weights import is_stage
from rolewise.experiment.unread_settings import unread_settings
from rolewise.experiment.weight_sources import weight_setting
from rolewise.models.zoo import in_zoo
from rolewise.tasks import build_task


def config_remarks(config: ExperimentConfig, *, imports: bool = True) -> Iterator[str]:
    """Yields remarks on settings, each with the key that it is about.

    Args:
        config: the experiment, without faults.
        imports: whether code that it names by ``package.module:name`` may be imported; without it, nothing that
            depends on that code is remarked on.
    """
    if (added := added_controls(config)) is not None:
        yield added
    try:
        configured_device(config.device)
    except InputError as error:
        # No fault: a config may be checked on another machine than it runs on.
        yield f"A run would be refused on this machine: {error}."
    if (remark := _teacher_input(config)) is not None:
        yield remark
    yield from unread_settings(config)
    if imports and config.metrics and config.primary is None:
        own, first = build_task(config.task).metrics[0], configured_task(config).metrics[0]
        if first != own:
            yield (
                f"metrics: {first.title} counts, as the first of the list: searches go by it, and arms are compared by "
                f"it. Add primary: {own.key} to go by {own.title}, or primary: {first.key} to choose it openly."
            )


def _teacher_input(config: ExperimentConfig) -> str | None:
    """Returns a remark on a teacher from a file alone: the normalisation of its training images is unknown.

    Of another run's stage, and of a network of another library, it is known.
    """
    setting, model = weight_setting(config, "teacher"), config.teacher.model
    if config.teacher.weights is None or setting is None or is_stage(setting.file):
        return None
    if model.mean is not None or in_zoo(model.name) or reads_texts(config.data.name):
        return None
    return (
        "teacher.model has no mean and std, so that the teacher's images are normalised by this run's training images. "
        f"If {setting.file} was trained with others, set both to those."
    )
