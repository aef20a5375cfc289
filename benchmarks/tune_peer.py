"""The peer of the search's benchmark: the same members under Ray Tune's population-based training."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import torch

from rolewise.errors import RunError
from rolewise.jobs.job import MOST_LOSSES
from rolewise.search import member_states
from rolewise.search.member_protocol import MakeMember, Member
from rolewise.search.search_run import SearchRun
from rolewise.seeds import generator


def fit_with_tune(
    make_member: MakeMember, run: SearchRun, folder: Path, *, threads: int, synchronous: bool
) -> tuple[tuple[tuple[float, ...], ...], list[tuple[int, int, int, dict[str, Any]]]]:
    """Runs Ray Tune's population-based training over members.

    Args:
        make_member: makes a member.
        run: the search's settings.
        folder: gets ray/.
        threads: torch's threads for each member.
        synchronous: compare members after equal numbers of intervals; else each with what the others have reached.

    Returns:
        Scores by interval and member; and Ray's log of copies: target, donor, intervals by then, the new config.
    """
    # By name, so that the type checker sees the same with Ray and without.
    tune: Any = importlib.import_module("ray.tune")
    schedulers: Any = importlib.import_module("ray.tune.schedulers")

    explored = 0

    def explore(configuration: dict[str, Any]) -> dict[str, Any]:
        nonlocal explored
        explored += 1
        draws = generator(run.seed, "search", "ray", explored)
        configuration["genome"], configuration["changes"] = run.space.explore(configuration["genome"], draws)
        return configuration

    # By interval: one that was lost after its score had arrived is scored again.
    scores: dict[int, dict[int, float]] = {member: {} for member in range(run.members)}
    failures: list[str] = []

    class Watch(tune.Callback):  # type: ignore[misc]
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
            member = _number(trial.experiment_tag)
            scores[member][result["training_iteration"]] = float(result["score"])
            if result["failure"]:
                failures.append(f"a member failed under Ray: member {member}: {result['failure']}")

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            member = _number(trial.experiment_tag)
            failures.append(f"a member was lost under Ray {MOST_LOSSES} times: member {member}, with its process")

    class End(tune.Stopper):  # type: ignore[misc]
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return bool(result["failure"]) or result["training_iteration"] >= run.intervals

        def stop_all(self) -> bool:
            return bool(failures)

    trainable = tune.with_parameters(
        _trainable(tune), make_member=make_member, seeds=run.seeds, intervals=run.intervals, threads=threads
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": threads}),
        param_space={
            "start": tune.grid_search([{"member": member} for member in range(run.members)]),
            "genome": tune.sample_from(lambda spec: run.initial[spec.config["start"]["member"]]),
            "changes": {},
        },
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            reuse_actors=True,
            scheduler=schedulers.PopulationBasedTraining(
                time_attr="training_iteration",
                perturbation_interval=1,
                quantile_fraction=run.quantile,
                custom_explore_fn=explore,
                synch=synchronous,
            ),
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder.resolve()),
            stop=End(),
            # What a member raises is a result, so Ray's failures are processes that died.
            failure_config=tune.FailureConfig(max_failures=MOST_LOSSES - 1),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_frequency=1),
            callbacks=[Watch()],
            verbose=0,
        ),
    )
    results = tuner.fit()
    if not failures and results.errors:
        failures.append(f"a member failed under Ray: {results.errors[0]}")
    if failures:
        raise RunError(failures[0])
    path = folder / "ray" / "pbt_global.txt"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    # Who reports last is logged with the interval before it, so the later one of the two is meant.
    log = [(_number(line[0]), _number(line[1]), max(int(line[2]), int(line[3])), line[5]) for line in lines]
    rows = [[score for _, score in sorted(scores[member].items())] for member in range(run.members)]
    return tuple(zip(*rows, strict=False)), log


def _trainable(tune: Any) -> Any:
    """Returns the class whose steps are a member's intervals; made here because its base needs Ray."""

    class Interval(tune.Trainable):  # type: ignore[misc]
        def setup(
            self, config: dict[str, Any], make_member: MakeMember, seeds: tuple[int, ...], intervals: int, threads: int
        ) -> None:
            torch.set_num_threads(threads)
            self.make_member, self.seeds, self.intervals = make_member, seeds, intervals
            self.done = 0
            self.begin()

        def begin(self) -> None:
            number = self.config["start"]["member"]
            self.member: Member = self.make_member(number, self.config["genome"], self.seeds[number])
            self.left_over = False

        def step(self) -> dict[str, Any]:
            # Ray would run again what raises, as it does what was lost.
            try:
                if self.left_over:
                    self.begin()
                self.member.advance(self.done / self.intervals, (self.done + 1) / self.intervals)
                self.done += 1
                score = float(self.member.score())
            except Exception as error:
                return {"score": 0.0, "failure": f"{type(error).__name__}: {error}"}
            # Ray would leave it as it is to the end.
            failure = "" if math.isfinite(score) else f"the member's score is {score}"
            return {"score": score, "failure": failure}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            # The actor goes to another trial. Its member is of use only if that trial's state is loaded into it.
            self.done, self.left_over = 0, True
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            content = member_states.dump_state({"member": self.member.state_dict(), "done": self.done})
            (Path(checkpoint_dir) / "member.pt").write_bytes(content)

        def load_checkpoint(self, checkpoint_dir: str) -> None:
            state = member_states.read_state(Path(checkpoint_dir) / "member.pt")
            self.member.load_state_dict(state["member"])
            self.member.set_genome(self.config["genome"])
            self.done, self.left_over = state["done"], False

    return Interval


def _number(tag: str) -> int:
    """Returns a trial's number, which its tag begins with."""
    return int(tag.split("_")[0])
