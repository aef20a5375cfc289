"""The weights that a config names, tried on the networks that they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from rolewise.config.faults import Steps, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.stage_origin import origin_remarks
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_trial import Network
from rolewise.experiment.weight_checks import fit_of, notes_on
from rolewise.experiment.weight_sources import WeightSetting, weight_settings


def weight_trial(
    config: ExperimentConfig,
    images: ImageFacts,
    networks: Sequence[Network | None],
    faulty: Callable[..., bool],
    once: Callable[[list[Any], Callable[[], Any]], Any],
) -> Iterator[tuple[Steps | None, str]]:
    """Yields (path, message) of each file whose weights are not its network's; without a path what is worth knowing.

    Args:
        config: the experiment.
        images: facts of the data's images.
        networks: of the teacher and the students; None where one could not be built.
        faulty: returns whether there is a fault along a path already.
        once: returns the result of a function, from memory where its key is known.

    Yields:
        A fault with its path; with None a remark; with an empty path a table of what is loaded.
    """
    for setting in weight_settings(config):
        network = networks[setting.place]
        if network is None or faulty(*setting.steps):
            continue
        key = ["weights", setting.value, setting.role, setting.model, config.teacher.label_map, images]
        fit = once(key, partial(fit_of, setting, network.module))
        if isinstance(fit, tuple):
            yield fit
            continue
        yield (), fit.table(dotted(setting.steps))
        for note in notes_on(setting, fit):
            yield None, note
        origin: list[Any] = ["origin", setting.value, setting.model, config.data, config.seeds, setting.steps]
        remarks = once(origin, partial(_remarks, config, setting))
        if isinstance(remarks, InputError):
            yield setting.steps, str(remarks)
            continue
        for note in remarks:
            yield None, note


def _remarks(config: ExperimentConfig, setting: WeightSetting) -> list[str]:
    return list(origin_remarks(config, setting))
