"""The trial of an experiment before anything starts: every network is built and run once, where it costs nothing."""

from rolewise.experiment.trial.config_trial import Trial
from rolewise.experiment.trial.exports import export_notes
from rolewise.experiment.trial.file_trial import refuse_faults, trial_of

__all__ = ["Trial", "export_notes", "refuse_faults", "trial_of"]
