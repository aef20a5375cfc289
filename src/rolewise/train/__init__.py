"""Training: a step, a loop, exact resume."""

from rolewise.train.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from rolewise.train.evaluate import Metrics, evaluate
from rolewise.train.loop import fit
from rolewise.train.mixing import Mixing
from rolewise.train.rates import rate
from rolewise.train.settings import OptimizerSettings, RateSchedule, TrainSettings
from rolewise.train.step import train_step
from rolewise.train.trainee import Trainee

__all__ = [
    "Metrics",
    "Mixing",
    "OptimizerSettings",
    "RateSchedule",
    "TrainSettings",
    "Trainee",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_weights",
    "rate",
    "save_checkpoint",
    "save_weights",
    "train_step",
]
