"""A member of a search's population: one training whose augmentation the search moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.augment import Schedule
from rolewise.experiment import stages, strategies
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stored_run import StoredRun, run_at
from rolewise.search import Genome
from rolewise.train import Trainee, evaluate


class TrainingMember:
    """Trains under the policy of its genome and is scored by the task's first metric on the validation images.

    Args:
        trainee: the training, with its full state.
        epochs: number of epochs over the whole search.
    """

    def __init__(self, trainee: Trainee, data: SeedData, epochs: int) -> None:
        # Texts as the role's own tokenizer gives them.
        self._source = trainee.source
        self._trainee = trainee
        self._data = data
        self._epochs = epochs

    def set_genome(self, genome: Genome) -> None:
        """Takes an augmentation, and the scalars that are searched, from now on."""
        config = self._data.config
        self._trainee.set_augmentation(Schedule.constant(strategies.augmentation_of(config, genome)))
        self._trainee.set_scalars(strategies.scalars(config, genome))

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Trains from one fraction of the search to another, in whole epochs."""
        self._trainee.run_epochs(round(fraction_from * self._epochs), round(fraction_to * self._epochs))

    def advance_until(self, fraction_to: float, pause: Callable[[], bool]) -> bool:
        """Trains to a fraction of the search from any step; returns whether it was reached before ``pause``."""
        stop = round(fraction_to * self._epochs)
        while self._trainee.epoch < stop:
            record = self._trainee.run_epoch(pause=pause)
            if record is None or (self._trainee.epoch < stop and pause()):
                return False
        return True

    def score(self) -> float:
        """Returns the task's first metric on the whole validation set, its negative where lower is better."""
        data, distiller = self._data, self._trainee.distiller
        spec, model = distiller.student_input, self._trainee.model
        return evaluate(model, self._source, data.validation, spec, device=data.device, task=distiller.task).score

    def state_dict(self) -> dict[str, Any]:
        """Returns the full state of the training."""
        return self._trainee.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes a full state, such as that of a better member."""
        self._trainee.load_state_dict(state)


@dataclass(frozen=True)
class MemberFactory:
    """Makes members, in whichever process they are to run.

    Args:
        place: the run folder, or the run in a store.
        stage: the search's stage.
    """

    place: Path | StoredRun
    stage: Stage

    def __call__(self, member: int, genome: Genome, seed: int) -> TrainingMember:
        """Makes one member with initial weights and draws of its own."""
        built = stages.searching(run_at(self.place, self.stage), self.stage, seed)
        made = TrainingMember(built.trainee, built.data, built.epochs)
        made.set_genome(genome)
        return made
