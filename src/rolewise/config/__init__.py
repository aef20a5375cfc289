"""Configs: a typed schema, and loading with all faults in one go."""

from rolewise.config.faults import ConfigError, Fault, Place, dotted
from rolewise.config.loading import load, validate
from rolewise.config.schema import ExperimentConfig
from rolewise.config.writing import as_values, differences, digest, dump

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
