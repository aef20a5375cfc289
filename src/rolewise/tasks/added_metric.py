"""A metric beside a task's own: its calls are checked, since its code may be the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError, RolewiseError
from rolewise.foreign_code import failed, is_import_path
from rolewise.metric_info import MetricInfo
from rolewise.tasks.protocol import Metric


class ExampleMean:
    """A number that is the mean over examples of what a function returns for each.

    Args:
        info: the number's description.
        function: takes outputs and a batch, and returns [B].
    """

    def __init__(self, info: MetricInfo, function: Callable[[Outputs, Batch], Tensor]) -> None:
        self.info = info
        self._function = function
        self._values: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch.

        Raises:
            InputError: the function returns something else than a number for each example.
        """
        values, count = self._function(outputs, batch), len(batch.targets)
        if not isinstance(values, Tensor) or values.shape != (count,) or values.is_complex():
            got = f"{list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise InputError(f"must return a value for each of {count} examples, [B], got {got}")
        self._values.append(values.detach().double().cpu())

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns the weighted mean (see `rolewise.tasks.protocol.Metric`)."""
        values = torch.cat(self._values)
        if weights is None:
            return {self.info.key: float(values.mean())}
        return {self.info.key: float(weights.double() / weights.double().sum() @ values)}

    def per_example(self) -> Tensor:
        """Returns each example's value [N]."""
        return torch.cat(self._values)


class AddedMetric:
    """The maker of a metric beside a task's own.

    Args:
        name: registered, or ``package.module:name``.
        make: returns an empty metric that has ``info``.

    Raises:
        InputError: there is no ``info`` of a metric, or a setting is refused.
        ForeignError: code of the user raised.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self._make = make
        info = getattr(self._called(make), "info", None)
        infos = info if isinstance(info, tuple) else (info,)
        for one in infos or (None,):
            if not isinstance(one, MetricInfo) or not one.key.isidentifier():
                rule = "must have info, a rolewise.tasks.MetricInfo whose key is a word, or a tuple of several"
                raise InputError(f'metric "{name}" {rule}, got {one!r}')
        self.infos: tuple[MetricInfo, ...] = infos

    def empty(self) -> Metric:
        """Returns an empty metric."""
        return _Checked(self)

    def _called(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (RolewiseError, MemoryError, torch.OutOfMemoryError) as error:
            if type(error) is InputError and is_import_path(self.name):
                raise InputError(f'metric "{self.name}" {error}', path=error.path, rule=error.rule) from error
            raise
        except Exception as error:
            if not is_import_path(self.name):
                raise
            raise failed(f'metric "{self.name}"', self.name.partition(":")[0], error) from error


class _Checked:
    """A metric whose results are of the form that `Metric` has."""

    def __init__(self, kind: AddedMetric) -> None:
        self._kind = kind
        self._metric = kind._called(kind._make)

    def add(self, outputs: Outputs, batch: Batch) -> None:
        self._kind._called(self._metric.add, outputs, batch)

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        found = self._kind._called(self._metric.compute, weights)
        keys = [info.key for info in self._kind.infos]
        values = found if isinstance(found, Mapping) or len(keys) > 1 else {keys[0]: found}
        if not isinstance(values, Mapping) or not {*keys} <= values.keys():
            raise InputError(f'metric "{self._kind.name}" must compute {", ".join(keys)}, got {found!r}')
        try:
            return {key: float(values[key]) for key in keys}
        except (TypeError, ValueError) as error:
            raise InputError(f'metric "{self._kind.name}" must compute numbers, got {found!r}') from error

    def per_example(self) -> Tensor | None:
        found: Tensor | None = self._kind._called(self._metric.per_example)
        return found
