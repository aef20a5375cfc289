"""Trackers: TensorBoard, MLflow, a table or one's own, fed from the record of a run and never in its way."""

from rolewise.trackers.feeder import Feeder
from rolewise.trackers.tracker_protocol import TrackedRun, Tracker, TrackerFailed
from rolewise.trackers.tracker_registry import TRACKERS, make_tracker, tracker_faults, tracker_settings
from rolewise.trackers.tracking import tracked

__all__ = [
    "TRACKERS",
    "Feeder",
    "TrackedRun",
    "Tracker",
    "TrackerFailed",
    "make_tracker",
    "tracked",
    "tracker_faults",
    "tracker_settings",
]
