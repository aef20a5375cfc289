"""Studies: a grid over any settings of an experiment, each distinct stage run once, one tidy table."""

from rolewise.config.study import Study
from rolewise.study.study_run import StudyResult, load_study, run_study

__all__ = ["Study", "StudyResult", "load_study", "run_study"]
