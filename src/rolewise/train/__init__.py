"""Training: steps, feeds, a loop, exact resume."""

from rolewise.config.selection_sections import FreezeSettings, GroupSettings
from rolewise.config.training_sections import OptimizerSettings, RateSchedule, TrainSettings
from rolewise.train.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from rolewise.train.evaluate import Metrics, evaluate
from rolewise.train.feed import Feed
from rolewise.train.image_feed import ImageFeed
from rolewise.train.loop import fit
from rolewise.train.mixing import Mixing
from rolewise.train.objective import Objective
from rolewise.train.rates import rate
from rolewise.train.rule import StepRule
from rolewise.train.step import Update, train_step
from rolewise.train.trainee import Trainee

__all__ = [
    "Feed",
    "FreezeSettings",
    "GroupSettings",
    "ImageFeed",
    "Metrics",
    "Mixing",
    "Objective",
    "OptimizerSettings",
    "RateSchedule",
    "StepRule",
    "TrainSettings",
    "Trainee",
    "Update",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_weights",
    "rate",
    "save_checkpoint",
    "save_weights",
    "train_step",
]
