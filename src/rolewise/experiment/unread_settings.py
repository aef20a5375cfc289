"""Settings that a config gives and that nothing reads, since another setting chose a way without them."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.network_sections import MixSection
from rolewise.config.schema import SEARCHES, ExperimentConfig
from rolewise.config.section import Section
from rolewise.config.training_sections import TrainSection

#: The settings of an optimiser and of a schedule that not all of them read, by the names of those that do.
_OPTIMIZER = {"momentum": ("sgd",), "nesterov": ("sgd",), "betas": ("adam", "adamw")}
_SCHEDULE = {
    "milestones": ("multistep",),
    "gamma": ("multistep",),
    "final": ("cosine", "linear", "poly", "onecycle"),
    "power": ("poly",),
}


def unread_settings(config: ExperimentConfig) -> Iterator[str]:
    """Yields a remark for each setting that is not its default and changes nothing.

    Args:
        config: the experiment, without faults.
    """
    for path, train, mix in (
        ("teacher", config.teacher.train, config.teacher.mix),
        *((f"students[{at}]", student.train, student.mix) for at, student in enumerate(config.students)),
    ):
        yield from _of_training(f"{path}.train", train)
        yield from _of_mixing(f"{path}.mix", mix)
    for at, student in enumerate(config.students):
        for number, phase in enumerate(student.phases):
            if phase.schedule is not None:
                path = f"students[{at}].phases[{number}].schedule"
                yield from _by_name(path, phase.schedule, phase.schedule.name, _SCHEDULE)
    if config.distill.mixed_targets != "image" and all(one.mix.method == "none" for one in config.students):
        yield (
            f"distill.mixed_targets ({config.distill.mixed_targets}) is not read, as no student's images are mixed: "
            "set mix.method of one, or leave it out."
        )
    if config.search.stacked > 1 and not any(arm in SEARCHES for arm in (*config.arms.teacher, *config.arms.student)):
        yield (
            f"search.stacked ({config.search.stacked}) is not read, as no arm searches: it is for the members of a "
            "search, and final trainings are never stacked; leave it out."
        )


def _of_training(path: str, train: TrainSection) -> Iterator[str]:
    yield from _by_name(f"{path}.optimizer", train.optimizer, train.optimizer.name, _OPTIMIZER)
    yield from _by_name(f"{path}.schedule", train.schedule, train.schedule.name, _SCHEDULE)


def _by_name(path: str, section: Section, name: str, readers: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for key in _changed(section):
        if key in readers and name not in readers[key]:
            yield f'{path}.{key} is not read by "{name}", but by {" and ".join(readers[key])}: leave it out.'


def _of_mixing(path: str, mix: MixSection) -> Iterator[str]:
    changed = [key for key in _changed(mix) if key != "method"]
    by_entropy = mix.pairs.endswith("entropy")
    for key in changed:
        if mix.method == "none":
            yield f"{path}.{key} is not read, as {path}.method is none: set method to mixup or cutmix, or leave it out."
        elif key == "entropy_rule" and not by_entropy:
            yield f"{path}.{key} is not read, as {path}.pairs is {mix.pairs}: it is for pairs by entropy."
        elif key == "sharpness" and not (by_entropy and mix.entropy_rule == "unix"):
            yield f"{path}.{key} is not read: it is for pairs by entropy under the entropy_rule unix."


def _changed(section: Section) -> list[str]:
    """Returns the names of the settings that have another value than their default."""
    return [name for name, one in type(section).model_fields.items() if getattr(section, name) != one.default]
