"""A task with metrics beside its own, and with the one that is compared and rewarded chosen among all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError, near
from rolewise.metric_info import MetricInfo
from rolewise.tasks.added_metric import AddedMetric
from rolewise.tasks.metric_registry import METRICS, metric_faults
from rolewise.tasks.protocol import Metric, Task

#: A metric in a config: its name, or a mapping with ``name`` and settings.
MetricEntry = str | Mapping[str, Any]


def with_metrics(task: Task, entries: Sequence[MetricEntry] = (), primary: str | None = None) -> Task:
    """Returns a task with further metrics.

    Args:
        task: any task.
        entries: metrics, each a name or a mapping with ``name`` and settings. The name is that of a registered metric,
            ``package.module:name``, or a key of the task's own metrics.
        primary: the key of the metric that searches are rewarded by and reports compare, or the name of an entry, for
            its first number; None for the first entry, or the task's own first where there is none.

    Returns:
        The task itself where nothing is added or chosen. Else its metrics are the primary one, the other entries', and
        the task's own.

    Raises:
        InputError: a metric is unknown or of another task, a setting is wrong, a key stands twice, or primary is none
            of the metrics; ``path`` leads to it from ``metrics`` or ``primary``.
        ForeignError: code of the user raised.
    """
    if not entries and primary is None:
        return task
    own = {info.key: info for info in task.metrics}
    added: list[AddedMetric] = []
    listed: dict[str, list[MetricInfo]] = {}
    for at, entry in enumerate(entries):
        name, settings = metric_entry(entry, at)
        for error in metric_faults(name, settings, task):
            raise InputError.at(("metrics", at, *(step for step in error.path if step)), error.rule)
        if name in own:
            infos = [own[name]]
        else:
            added.append(_built(name, settings, at))
            infos = [*added[-1].infos]
        if name in own and name in listed:
            raise InputError.at(("metrics", at), f'must not be listed twice, got "{name}"; leave it out')
        known = [*own, *(info.key for other in listed.values() for info in other)]
        if taken := [info.key for info in infos if info.key in known and name not in own]:
            rule = f'must have a key that no other metric has, got "{taken[0]}" twice; leave one of them out'
            raise InputError.at(("metrics", at), rule)
        listed.setdefault(name, []).extend(infos)
    infos = list(dict.fromkeys([*(info for some in listed.values() for info in some), *task.metrics]))
    if primary is not None:
        by_key = {info.key: info for info in infos}
        first = by_key.get(primary) or next(iter(listed.get(primary, ())), None)
        if first is None:
            rule = f"must be one of the metrics, got {primary!r}{near(primary, by_key)}"
            raise InputError.at(("primary",), rule)
        infos.sort(key=lambda info: info != first)
    # Its other parts are those of the task, which no type checker sees.
    return cast(Task, MeasuredTask(task, tuple(added), tuple(infos)))


def metric_entry(entry: object, at: int = 0) -> tuple[str, dict[str, Any]]:
    """Returns the name and the settings of a metric in a config.

    Args:
        entry: a name, or a mapping with ``name`` and settings.
        at: its place in the list, for errors.

    Raises:
        InputError: it is neither.
    """
    settings = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise InputError.at(("metrics", at), f"must be the name of a metric, or a mapping with name, got {entry!r}")
    return name, settings


def reward_of(task: Task, entries: Sequence[MetricEntry] = (), primary: str | None = None) -> dict[str, Any] | None:
    """Returns the dependencies of a search's reward, as plain values; None where it is the task's own first metric.

    Args:
        task: without the metrics.
        entries: metrics (see `with_metrics`).
        primary: key of the primary metric, or the name of its entry.

    Returns:
        ``key`` of the metric, and ``metric``, the name and the settings that it is built from where it is not of the
        task.
    """
    measured = with_metrics(task, entries, primary)
    first = measured.metrics[0]
    if first == task.metrics[0]:
        return None
    for name, settings in (metric_entry(entry) for entry in entries):
        if name in METRICS and first in METRICS[name](**settings).infos:
            return {"key": first.key, "metric": {"name": name, **settings}}
    return {"key": first.key}


def _built(name: str, settings: Mapping[str, Any], at: int) -> AddedMetric:
    try:
        return METRICS[name](**settings)
    except InputError as error:
        if type(error) is not InputError:
            raise
        raise InputError.at(("metrics", at, *error.path), error.rule) from error


class MeasuredTask:
    """A task with metrics beside its own; everything else is the task's.

    Args:
        task: the task.
        added: its further metrics.
        metrics: descriptions of all numbers, the primary one first.
    """

    def __init__(self, task: Task, added: tuple[AddedMetric, ...], metrics: tuple[MetricInfo, ...]) -> None:
        self.unmeasured = task
        self.metrics = metrics
        self._added = added

    def __getattr__(self, name: str) -> Any:
        if name == "unmeasured":  # a copy that has no attributes yet
            raise AttributeError(name)
        return getattr(self.unmeasured, name)

    def metric(self) -> MetricSet:
        """Returns an empty metric of all numbers."""
        return MetricSet([self.unmeasured.metric(), *(kind.empty() for kind in self._added)], self.metrics)


class MetricSet:
    """Several metrics of the same examples, as one.

    Args:
        parts: empty metrics, the task's own first.
        infos: descriptions of their numbers, the primary one first.
    """

    def __init__(self, parts: Sequence[Metric], infos: Sequence[MetricInfo]) -> None:
        self._parts = list(parts)
        self._keys = [info.key for info in infos]

    @property
    def parts(self) -> tuple[Metric, ...]:
        """The metrics, the task's own first."""
        return tuple(self._parts)

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch to each."""
        for part in self._parts:
            part.add(outputs, batch)

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns every number, the primary one first (see `rolewise.tasks.protocol.Metric`)."""
        values = {key: value for part in self._parts for key, value in part.compute(weights).items()}
        return {key: values[key] for key in self._keys}

    def per_example(self) -> Tensor | None:
        """Returns the primary number's value [N] of each example, or None where it is no mean over examples."""
        return self.each(self._keys[0])

    def each(self, key: str) -> Tensor | None:
        """Returns the value [N] of each example of a number; None where it is no mean, or not the first of its part."""
        for part in self._parts:
            if next(iter(part.compute())) == key:
                return part.per_example()
        return None
