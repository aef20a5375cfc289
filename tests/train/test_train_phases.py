"""Phases of a training: what each computes and moves, and the same bytes however often it is interrupted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from train_toys import SPEC, data, same

import rolewise as rw
from rolewise.augment import build_schedule
from rolewise.distill import Distiller
from rolewise.distill.active_methods import union_of
from rolewise.errors import InputError
from rolewise.models import build as network
from rolewise.train import FreezeSettings, GroupSettings, OptimizerSettings, Phase, RateSchedule, Trainee, TrainSettings

HINT = Phase(name="hint", epochs=2, methods=[rw.fitnets(weight=2.0)], label_weight=0, stop_at="stage2")
KD = Phase(methods=[rw.kd(weight=0.5)], learning_rate=0.01)


def make(*phases: Phase, epochs: int = 4, methods: Any = None, **settings: Any) -> Trainee:
    student = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6, 6])
    teacher = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8, 8])
    methods = union_of([phase.methods or () for phase in phases]) if methods is None else methods
    inputs: dict[str, Any] = {"teacher_input": SPEC, "student_input": SPEC}
    return Trainee(
        Distiller(teacher, student, methods, example=data().images[:2], label_weight=0.3, **inputs),
        data(),
        torch.arange(60),
        augmentation=build_schedule("randaugment"),
        settings=TrainSettings(
            epochs=epochs,
            batch_size=16,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.02),
            **settings,
        ),
        seed=5,
        phases=phases,
    )


def test_a_phase_computes_its_methods_and_moves_what_they_reach() -> None:
    made = make(HINT, KD)
    before = {name: value.clone() for name, value in made.student.state_dict().items()}
    assert made.distiller.ends["student"] == {made.distiller.links[0].pairs[0][0]}
    (first, second) = made.run_epochs(0, 2)
    assert first["phase"] == second["phase"] == "hint" and first["terms"].keys() == {"fitnets"}
    moved = {name for name, value in made.student.state_dict().items() if not torch.equal(value, before[name])}
    # Of what lies behind the hint nothing runs: neither weights nor running statistics move.
    behind = {name for name in before if name.startswith(("stages.2", "fc"))}
    assert behind and not moved & behind and moved
    (third, fourth) = made.run_epochs(2, 4)
    assert third["phase"] == "phase 2" and third["terms"].keys() == {"labels", "kd"}
    assert fourth["learning_rate"] < third["learning_rate"] <= 0.01
    moved = {name for name, value in made.student.state_dict().items() if not torch.equal(value, before[name])}
    assert behind <= moved


def test_a_phase_is_a_training_of_its_own() -> None:
    """Its optimiser begins anew, and moments of the rate and of weights are fractions of the phase."""
    rising = rw.kd(weight={"start": 0.0, "end": 1.0})
    made = make(Phase(epochs=0.5, methods=[]), Phase(methods=[rising], schedule=RateSchedule(name="linear")))
    made.run_epochs(0, 2)
    assert not made.optimizer.state and made.schedule.name == "linear"
    progress: list[float] = []
    made.distiller.register_forward_pre_hook(lambda _, given: progress.append(given[1].progress))
    made.run_epochs(2, 4)
    steps = made.steps_per_epoch
    assert progress == [step / (2 * steps) for step in range(2 * steps)]


def test_without_phases_nothing_changes_and_one_phase_is_the_whole_training() -> None:
    plain, whole = (make(*phases, methods=[rw.kd()]) for phases in ((), (Phase(),)))
    records = plain.run_epochs(0, 4), whole.run_epochs(0, 4)
    assert [{**record, "phase": "phase 1"} for record in records[0]] == records[1]
    assert same(plain.state_dict(), whole.state_dict())


def test_the_order_of_phases_does_not_reach_back() -> None:
    """What the last phase freezes is trained in the first; parts that only some phases train keep their weights."""
    only = Phase(epochs=1, methods=[rw.kd()], train=[FreezeSettings(match="stages.0")])
    still = Phase(epochs=1, methods=[rw.kd()], freeze=[FreezeSettings(match="*", module="BatchNorm2d", eval=True)])
    made = make(still, only, Phase(methods=[rw.kd()]), epochs=3)
    norms = [name for name, _ in made.student.named_buffers()]
    before = {name: value.clone() for name, value in made.student.state_dict().items()}

    def moved() -> set[str]:
        found = {name for name, value in made.student.state_dict().items() if not torch.equal(value, before[name])}
        before.update({name: value.clone() for name, value in made.student.state_dict().items()})
        return found

    made.run_epochs(0, 1)
    assert norms and not moved() & set(norms)
    made.run_epochs(1, 2)
    weights = {name for name, _ in made.student.named_parameters()}
    assert {name[:8] for name in moved() & weights} == {"stages.0"}
    made.run_epochs(2, 3)
    assert moved() >= weights


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "accumulate": 2, "clip_norm": 1.0}])
def test_stopped_after_every_step_it_ends_in_the_same_state(settings: dict[str, Any]) -> None:
    groups = (GroupSettings(match="fc", learning_rate=0.001),)
    freezing = Phase(epochs=1, methods=[rw.kd()], freeze=[FreezeSettings(match="fc")])

    def one() -> Trainee:
        return make(HINT, freezing, KD, epochs=5, groups=groups, **settings)

    whole = one()
    expected = whole.run_epochs(0, 5, measured={0, 2, 4})
    records, made = [], one()
    while made.epoch < 5:
        record = made.run_epoch(measured=made.epoch % 2 == 0, pause=lambda: True)
        records += [] if record is None else [record]
        state = made.state_dict()
        made = one()
        made.load_state_dict(state)
        assert same(made.state_dict(), state)
    assert records == expected and same(made.state_dict(), whole.state_dict())


def test_learned_parts_go_on_from_phase_to_phase() -> None:
    made = make(HINT, Phase(methods=[rw.fitnets(weight=1.0), rw.kd()]))
    assert list(made.distiller.terms) == ["fitnets", "kd"]
    made.run_epochs(0, 2)
    learned = made.distiller.terms["fitnets"].state_dict()
    weights = {name: value.clone() for name, value in learned.items()}
    made.run_epochs(2, 3)
    assert weights and all(not torch.equal(value, weights[name]) for name, value in learned.items())


def test_a_teacher_that_no_phase_reads_does_not_run() -> None:
    made = make(Phase(epochs=1, methods=[]), Phase(methods=[rw.kd()]), epochs=2)
    calls = []
    made.distiller.teacher.register_forward_hook(lambda *_: calls.append(made.epoch))
    made.run_epochs(0, 2)
    assert calls and set(calls) == {1}


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "too long": ([{"epochs": 3}, {"epochs": 2}], r"phases\[1\].epochs must add up to the 4 epochs .*got 5"),
    "two open": ([{}, {}], r"phases\[1\].epochs must be given in all phases but one"),
    "no epoch left": (
        [{"epochs": 4}, {}],
        r"must leave an epoch to every phase, got 0 of the training.s 4",
    ),
    "stops and reads logits": (
        [{"stop_at": "stage1"}],
        r"phases\[0\].label_weight must be 0 where .*'stage1', got 0.3",
    ),
    "stops behind logits": (
        [{"stop_at": "stage1", "label_weight": 0, "methods": [rw.kd()]}],
        r'phases\[0\].stop_at must be left out where "kd" reads the outputs',
    ),
    "stops elsewhere": (
        [{"stop_at": "stage1", "label_weight": 0, "methods": [rw.fitnets()]}],
        r"phases\[0\].stop_at must be a tap that the methods of its phase read",
    ),
    "stops nowhere": (
        [{"stop_at": "stage9", "label_weight": 0, "methods": [rw.fitnets()]}],
        r"phases\[0\].stop_at must be a tap of the student, got 'stage9'",
    ),
    "unknown part": ([{"freeze": [FreezeSettings(match="nowhere")]}], r"phases\[0\].freeze\[0\].match must be a path"),
    "all frozen": ([{"freeze": [FreezeSettings()], "methods": []}], r"phases\[0\].train must leave a parameter"),
    "other taps": (
        [
            {"epochs": 1, "methods": [rw.fitnets()]},
            {"methods": [rw.fitnets(student_taps="stage1", teacher_taps="stage1")]},
        ],
        r'must have the same student_taps wherever it is named "fitnets"',
    ),
    "missing": ([{"methods": [rw.attention()]}], "no method here is called 'attention'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_phase_that_does_not_fit_is_refused_before_it_starts(case: str) -> None:
    phases, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        make(*[Phase(**phase) for phase in phases], methods=[rw.kd(), rw.fitnets()])
