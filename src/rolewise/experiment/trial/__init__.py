"""The trial of an experiment before anything starts: every network is built and run once, where it costs nothing."""

from rolewise.experiment.trial.checking import Trial, refuse_faults

__all__ = ["Trial", "refuse_faults"]
