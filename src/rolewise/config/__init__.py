"""Configs: a typed schema, and loading with all faults in one go."""

from rolewise.config.experiment_file import load, validate
from rolewise.config.experiment_values import as_values, differences, digest, dump
from rolewise.config.faults import ConfigError, Fault, Place, dotted
from rolewise.config.schema import ExperimentConfig

__all__ = [
    "ConfigError",
    "ExperimentConfig",
    "Fault",
    "Place",
    "as_values",
    "differences",
    "digest",
    "dotted",
    "dump",
    "load",
    "validate",
]
