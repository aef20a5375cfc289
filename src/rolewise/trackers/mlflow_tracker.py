"""Runs of MLflow: one for each stage, in an experiment with the name of the run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rolewise.files import read_json, write_json
from rolewise.trackers.tracker_protocol import TrackedRun

#: Numbers that one call of MLflow takes, at the most.
_MOST = 1000


class MlflowTracker:
    """One run of MLflow for each stage.

    Args:
        uri: address of the tracking store; by default a database in the run's folder, ``tracking/mlflow/mlflow.db``.
        experiment: name of the experiment in it; by default the run's name.
    """

    def __init__(self, *, uri: str | None = None, experiment: str | None = None) -> None:
        self._uri, self._experiment = uri, experiment
        self._runs: dict[str, str] = {}
        self._touched: set[str] = set()

    def start(self, run: TrackedRun) -> None:
        """Connects to the store, finds or makes the experiment, and recalls the runs of earlier sessions."""
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self._metric, self._run = Metric, run
        self._client = MlflowClient(tracking_uri=self._uri or f"sqlite:///{run.folder / 'mlflow.db'}")
        name = self._experiment or run.name
        found = self._client.get_experiment_by_name(name)
        self._id = found.experiment_id if found is not None else self._client.create_experiment(name)
        self._known = run.folder / "mlflow_runs.json"
        if self._known.exists():
            self._runs = {str(stage): str(one) for stage, one in read_json(self._known, "the runs of MLflow").items()}

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Writes the numbers into the stage's run."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        for first in range(0, len(metrics), _MOST):
            self._client.log_batch(self._run_of(stage), metrics=metrics[first : first + _MOST])

    def finish(self, results: Mapping[str, Any]) -> None:
        """Marks as finished the runs that this session wrote to."""
        for stage in self._touched:
            self._client.set_terminated(self._runs[stage])

    def _run_of(self, stage: str) -> str:
        if stage not in self._runs:
            tags = {"rolewise.run": self._run.name, "rolewise.stage": stage, "rolewise.folder": str(self._run.root)}
            self._runs[stage] = self._client.create_run(self._id, run_name=stage, tags=tags).info.run_id
            write_json(self._known, self._runs)
        if stage not in self._touched:
            self._touched.add(stage)
            self._client.update_run(self._runs[stage], status="RUNNING")
        return self._runs[stage]
