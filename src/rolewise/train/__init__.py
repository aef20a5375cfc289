"""Training: steps, feeds, a loop, exact resume."""

from rolewise.config.phase_sections import Phase
from rolewise.config.selection_sections import FreezeSettings, GroupSettings
from rolewise.config.training_sections import OptimizerSettings, RateSchedule, TrainSettings
from rolewise.train.box_size_feed import BoxSizeFeed
from rolewise.train.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from rolewise.train.distilled import Distilled
from rolewise.train.evaluate import Metrics, evaluate, evaluate_batches
from rolewise.train.example_feed import LoaderFeed, TensorFeed
from rolewise.train.fast_dfkd import FastDFKDObjective
from rolewise.train.feed import Feed
from rolewise.train.generated_feed import GeneratedFeed
from rolewise.train.generator_objective import GeneratorObjective, dafl_objective, zskt_objective
from rolewise.train.image_feed import ImageFeed
from rolewise.train.inversion import InversionObjective, inverted_images
from rolewise.train.loop import fit
from rolewise.train.mixing import Mixing
from rolewise.train.objective import Objective
from rolewise.train.one_call import distill
from rolewise.train.pool_feed import PoolFeed
from rolewise.train.ranks import Ranks
from rolewise.train.rates import rate
from rolewise.train.rule import StepRule
from rolewise.train.step import Update, train_step
from rolewise.train.trainee import Trainee

__all__ = [
    "BoxSizeFeed",
    "Distilled",
    "FastDFKDObjective",
    "Feed",
    "FreezeSettings",
    "GeneratedFeed",
    "GeneratorObjective",
    "GroupSettings",
    "ImageFeed",
    "InversionObjective",
    "LoaderFeed",
    "Metrics",
    "Mixing",
    "Objective",
    "OptimizerSettings",
    "Phase",
    "PoolFeed",
    "Ranks",
    "RateSchedule",
    "StepRule",
    "TensorFeed",
    "TrainSettings",
    "Trainee",
    "Update",
    "dafl_objective",
    "distill",
    "evaluate",
    "evaluate_batches",
    "fit",
    "inverted_images",
    "load_checkpoint",
    "load_weights",
    "rate",
    "save_checkpoint",
    "save_weights",
    "train_step",
    "zskt_objective",
]
