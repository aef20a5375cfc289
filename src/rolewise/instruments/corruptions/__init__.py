"""Common corruptions at five strengths, and a classifier's accuracy under them."""

from rolewise.instruments.corruptions.corrupted_accuracy import (
    CorruptionTable,
    RelativeError,
    corruption_accuracy,
    relative_error,
)
from rolewise.instruments.corruptions.corruption_table import CORRUPTIONS, Corruption, corrupt, corruption_names

__all__ = [
    "CORRUPTIONS",
    "Corruption",
    "CorruptionTable",
    "RelativeError",
    "corrupt",
    "corruption_accuracy",
    "corruption_names",
    "relative_error",
]
