"""Content keys of a study's measurements, beside those of its stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rolewise.config.measure_entries import MeasureEntry
from rolewise.config.schema import MetricSpec
from rolewise.experiment.input_digests import module_inputs
from rolewise.experiment.stage_keys import VERSION, dependencies, digest, stage_keys
from rolewise.tasks import metric_entry

__all__ = ["MEASURED", "VERSION", "dependencies", "digest", "measure_key", "stage_keys"]

#: Raised when a registered measurement comes to give other columns or other numbers of the same network.
MEASURED = 4


def measure_key(
    training: str, measure: Iterable[MeasureEntry], metrics: Sequence[MetricSpec] = (), *, read: bool = True
) -> str:
    """Returns the key of the measurements of a training's network.

    Args:
        training: the key of the training.
        measure: the measurements.
        metrics: of the cell's config, which are measured too.
        read: as in `stage_keys`.
    """
    wanted, added = list(measure), [_metric(entry) for entry in metrics]
    own = module_inputs(*(one["name"] for one in added), *(one.name for one in wanted)) if read else {}
    known = {"version": MEASURED, "kind": "measure", "training": training, "measure": [one.plain for one in wanted]}
    return digest({**known, **({"metrics": added} if added else {}), "read": own})


def _metric(entry: MetricSpec) -> dict[str, Any]:
    """Returns a metric of a config in one form, whether it is written as a name or as a mapping."""
    name, settings = metric_entry(entry)
    return {"name": name, **settings}
