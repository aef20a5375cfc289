"""Configs: a typed schema, and loading with all faults in one go."""

from rolewise.config.experiment_file import experiment_config_of, load_experiment_config
from rolewise.config.experiment_values import as_values, differences, dump, experiment_digest
from rolewise.config.faults import ConfigError, ConfigPlace, Fault, dotted
from rolewise.config.schema import ExperimentConfig

__all__ = [
    "ConfigError",
    "ConfigPlace",
    "ExperimentConfig",
    "Fault",
    "as_values",
    "differences",
    "dotted",
    "dump",
    "experiment_config_of",
    "experiment_digest",
    "load_experiment_config",
]
