"""Advice on one's own networks: what is measured against what is computed here, and the rules on made-up measures."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sanity_toys import GREY_LEVELS, scenes, statistics, trained
from torch import Tensor, nn
from torch.nn import functional

from rolewise.advice import Advice, Case, Effort, Work, advise, image_rules, rules
from rolewise.advice.advice_files import markdown
from rolewise.advice.case import lighter, preset_candidates, sample
from rolewise.advice.deviation import Candidate, deviations, ratio_of
from rolewise.advice.gradient_probe import Pull, pulls
from rolewise.advice.network_measures import network_measures, softness
from rolewise.augment import Schedule
from rolewise.data import ImageData
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build
from rolewise.seeds import generator
from rolewise.train import OptimizerSettings, TrainSettings

CLASSES = tuple("abcdef")
QUICK = Effort(images=120, repeats=6, batch=24, policies=1, measures=2, steps=2)
SETTINGS = TrainSettings(epochs=120, batch_size=40, optimizer=OptimizerSettings(name="adam", learning_rate=0.01))


class World(NamedTuple):
    teacher: nn.Module
    train: ImageData
    held: ImageData
    spec: InputSpec


@pytest.fixture(scope="module")
def world() -> World:
    images, labels = scenes(600, 0)
    spec = statistics(images)
    teacher, (seen, classes) = trained(images, labels, spec), scenes(180, 1)
    return World(teacher, ImageData(images, labels, CLASSES), ImageData(seen, classes, CLASSES), spec)


def student() -> nn.Module:
    return build("small_cnn", num_classes=6, channels=3, size=(12, 12), seed=7, widths=[4, 6])


def ask(world: World, **given: Any) -> Advice:
    settings: dict[str, Any] = {
        "teacher_input": world.spec,
        "student_input": world.spec,
        "settings": SETTINGS,
        "effort": QUICK,
        "held_out": True,
        "work": Work(trainings=4, controls=("none",), members=3, search_epochs=10),
    }
    return advise(given.pop("teacher", world.teacher), student(), world.train, world.held, **{**settings, **given})


def case(world: World, **given: Any) -> Case:
    settings: dict[str, Any] = {
        "teacher": world.teacher,
        "student": student(),
        "train": sample(world.train, 100, 0),
        "validation": sample(world.held, 100, 0),
        "teacher_input": world.spec,
        "student_input": world.spec,
        "trained": False,
        "held_out": True,
        "settings": SETTINGS,
        "methods": ({"name": "kd"},),
        "augmentations": preset_candidates(("none", "trivialaugment"), 3),
        "policies": (),
        "effort": QUICK,
    }
    return Case(**{**settings, **given})


@pytest.fixture(scope="module")
def advice(world: World) -> Advice:
    return ask(world, methods=[{"name": "kd"}, {"name": "attention", "weight": 1e9}])


def test_advice_is_whole_and_can_be_kept(advice: Advice):
    assert not any("probabilities, at least 0" in note for note in advice.notes)
    assert not advice.faults and advice.student is None
    assert json.loads(json.dumps(advice.to_json(), allow_nan=False)) == advice.to_json()
    assert [one.setting for one in advice.choices] == [
        "distill.methods.temperature",
        "distill.methods[0].weight",
        "distill.methods[1].weight",
        "distill.label_weight",
        "students.mix",
        "arms.student",
    ]
    assert all(one.reason and one.source and one.confidence in ("low", "medium") for one in advice.choices)
    # Every number of the measures that a reason cites is there to be looked up.
    text = markdown(advice)
    assert all(one.reason in text for one in advice.choices) and "No fault was found" in text


def test_a_weight_that_drowns_the_labels_is_lowered(advice: Advice):
    kd, attention = advice.overlay["distill"]["methods"]
    assert kd["weight"] == 0.9 and attention["weight"] < 1e9 / 100
    pull = next(one for one in advice.pulls if one.name == "attention")
    assert attention["weight"] == pytest.approx(1e9 * rules.PULL[1] * 0.1 / pull.ratio, rel=1e-2)


def test_the_cost_is_that_of_the_training(advice: Advice):
    cost = advice.cost
    assert cost is not None and cost.steps == 15 * 120
    assert cost.training == pytest.approx(cost.steps * cost.seconds_per_step)
    assert cost.trainings == 4 * (1 if advice.overlay["augmentation"] == "none" else 2)
    assert cost.search == pytest.approx(3 * 600 * 10 / 40 * cost.seconds_per_step)


def test_the_networks_stay_as_they_were(world: World):
    teacher = build("small_cnn", num_classes=6, channels=3, size=(12, 12), widths=[8, 12])
    teacher.load_state_dict(world.teacher.state_dict())
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    found = ask(world, teacher=teacher)
    assert found.faults == ("norm_mode",) and found.choices
    assert teacher.training and all(weight.requires_grad for weight in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_the_same_seed_gives_the_same_advice_and_no_global_draw_is_made(world: World):
    state = torch.get_rng_state()
    one, other = (ask(world).to_json() for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    for timed in ("speed", "cost"):
        assert one.pop(timed) and other.pop(timed)
    assert one == other


def test_a_fault_that_a_setting_undoes_is_undone_and_measured_so(world: World):
    found = ask(world, teacher_input=GREY_LEVELS)
    assert found.faults == ("normalisation",) and found.teacher["accuracy"] > 0.95
    assert found.overlay["teacher_input"]["mean"] == pytest.approx(list(world.spec.mean), abs=0.02)


def test_after_a_fault_that_no_setting_undoes_nothing_is_proposed(world: World):
    turned = ImageData(world.held.images.flip(1), world.held.labels, CLASSES)
    train = ImageData(world.train.images.flip(1), world.train.labels, CLASSES)
    found = ask(World(world.teacher, train, turned, world.spec))
    assert found.faults == ("channel_order",)
    assert not found.choices and not found.overlay and found.cost is None
    assert any(note.startswith("Nothing is proposed") for note in found.notes)
    assert "The proposal" not in markdown(found)


def test_a_teacher_that_gives_probabilities_is_noted(world: World):
    told = "The teacher returns probabilities, at least 0 and summing to 1"
    soft = nn.Sequential(copy.deepcopy(world.teacher), nn.Softmax(1))
    assert any(note.startswith(told) for note in ask(world, teacher=soft).notes)


def test_a_trained_student_is_measured_too(world: World):
    found = advise(
        world.teacher, world.teacher, world.train, world.held, trained=True, teacher_input=world.spec,
        student_input=world.spec, settings=SETTINGS, effort=QUICK,
    )  # fmt: skip
    assert found.student == found.teacher and any("Nobody here knows" in note for note in found.notes)


def test_measures_agree_with_numpy(world: World):
    here = case(world)
    with torch.no_grad():
        logits = world.teacher(prepare(here.validation.images, world.spec)).double().numpy()
    labels = here.validation.labels.numpy()
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    found = network_measures(here, world.teacher, world.spec)
    assert found["accuracy"] == pytest.approx((p.argmax(1) == labels).mean())
    assert found["entropy"] == pytest.approx(-(p * np.log(p)).sum(1).mean() / math.log(6), rel=1e-5)
    assert found["nll"] == pytest.approx(-np.log(p[np.arange(len(p)), labels]).mean(), rel=1e-5)
    soft, right = softness(here, world.spec, here.validation)
    q = np.exp(logits / 4)
    q /= q.sum(1, keepdims=True)
    assert soft[4.0] == pytest.approx(-(q * np.log(q)).sum(1).mean() / math.log(6), rel=1e-5)
    assert right == found["accuracy"]


def test_deviations_agree_with_numpy(world: World):
    here = case(world)
    found = deviations(here, world.spec)
    assert [one.name for one in found] == ["none", "trivialaugment", "mixup", "cutmix"]
    means = []
    for repeat in range(QUICK.repeats):
        stream = generator(0, "advice", "deviation", repeat)
        chosen = torch.randint(100, (QUICK.batch,), generator=stream)
        with torch.no_grad():
            logits = world.teacher(prepare(here.train.images[chosen], world.spec)).double()
        means.append(logits.softmax(1).mean(0).numpy())
    assert found[0].deviation == pytest.approx(np.std(means, axis=0, ddof=1).mean(), rel=1e-6)
    assert (found[0].ratio, found[0].low, found[0].high) == (1, 1, 1)
    for one in found[1:]:
        assert one.ratio == pytest.approx(one.deviation / found[0].deviation)
        assert one.low <= one.ratio <= one.high and (one.accuracy is None) == (one.kind == "mixing")


def test_a_ratio_of_deviations_is_paired():
    means = torch.rand(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    assert ratio_of(0.3 + 0.5 * means, means, 0) == pytest.approx((0.5, 0.5, 0.5))


def test_a_pull_is_the_ratio_of_two_gradients(world: World):
    # One step of one batch that holds every image: its order does not matter.
    here = case(world, settings=SETTINGS.changed(batch_size=100), effort=replace(QUICK, measures=1, steps=1))
    methods = [{"name": "kd", "temperature": 2.0, "weight": 0.7}]
    (found,) = pulls(here, world.spec, methods)
    network, batch = student().train(), prepare(here.train.images, world.spec)
    logits = network(batch)
    with torch.no_grad():
        softened = world.teacher(batch)
    own = functional.cross_entropy(logits, here.train.labels)
    soft = functional.kl_div((logits / 2).log_softmax(1), (softened / 2).softmax(1), reduction="batchmean") * 4 * 0.7
    norms = [_norm(loss, network) for loss in (own, soft)]
    assert found.measured == 1 and found.weight == 0.7 and found.ratio == pytest.approx(norms[1] / norms[0], rel=1e-4)


def _norm(loss: Tensor, network: nn.Module) -> float:
    gradients = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


def candidate(name: str, spread: float, accuracy: float | None = 0.9, kind: Any = "preset", entropy: float = 0.05):
    # Means over samples whose deviation is the spread, and which move alike.
    noise = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    ratio, low, high = ratio_of(spread * noise, noise, 0)
    return Candidate(name, kind, name, spread, ratio, low, high, accuracy, entropy, spread * noise)


NONE = candidate("none", 1.0, 0.95)


def test_the_temperature_follows_the_entropy_and_the_length():
    sharp = {1.0: 0.01, 2.0: 0.1, 4.0: 0.5, 8.0: 0.9}
    assert rules.temperature(sharp, 1000).value == 4
    assert rules.temperature(sharp, 60).value == 1
    smooth = rules.temperature({1.0: 0.35, 2.0: 0.7, 4.0: 0.9, 8.0: 0.97}, 1000)
    assert smooth.value == 1 and smooth.confidence == "medium" and "Chandrasegaran" in smooth.source


def test_labels_count_more_where_the_teacher_errs():
    assert (rules.label_weight(0.99).value, rules.label_weight(0.7).value) == (0.1, 0.5)


def test_hintons_method_rescales_logits_where_training_is_long_and_classes_are_many():
    given = [{"name": "attention"}, {"name": "kd", "temperature": 4, "weight": 0.9}]
    found, choice = rules.rescaled(given, 1000, 10)
    assert found == [{"name": "attention"}, rules.RESCALED]
    assert choice is not None and choice.setting == "distill.methods[1].name" and rules.FOUND_RESCALED in choice.reason
    pull = Pull("logit_standardisation", 9.0, 1000.0, 4)
    assert rules.weights([dict(rules.RESCALED)], [pull], 0.1) == ([rules.RESCALED], []), "its weight stays its authors'"
    moving = [{"name": "kd", "weight": {"start": 1.0, "end": 0.0}}]
    for methods, steps, classes in (
        (given, 60, 10),
        (given, 1000, 9),
        (moving, 1000, 10),
        ([*given, {"name": "logit_standardisation"}], 1000, 10),
        ([{"name": "dkd"}], 1000, 10),
    ):
        assert rules.rescaled(methods, steps, classes) == (methods, None)


def test_methods_whose_terms_have_names_of_their_own_are_read_as_others(world: World):
    big = {"method": "kd", "name": "big", "teacher": "teacher", "temperature": 4.0, "weight": 0.9}
    found, choice = rules.rescaled([{"name": "attention"}, big], 1000, 10)
    settings = {key: value for key, value in rules.RESCALED.items() if key != "name"}
    assert found[1] == {"method": "logit_standardisation", "name": "big", "teacher": "teacher", **settings}
    assert choice is not None and choice.setting == "distill.methods[1].method"
    assert rules.weights(found[1:], [Pull("big", 9.0, 1000.0, 4)], 0.1) == (found[1:], [])
    assert rules.rescaled([big, {"method": "logit_standardisation", "name": "other"}], 1000, 10)[1] is None
    assert rules.configured([big], 2.0, 0.5) == [{**big, "temperature": 2.0, "weight": 0.5}]
    weighed, (other,) = rules.weights([{**big, "weight": 3.0}], [Pull("big", 3.0, 600.0, 4)], 0.1)
    assert weighed[0]["weight"] == other.value == pytest.approx(0.015)
    mixes = [candidate("mixup", 0.8, None, "mixing")]
    unsound, section = image_rules.mixing([NONE, *mixes], 200, [{"method": "crd", "name": "mine"}], 0.5)
    assert section == {"method": "none"} and unsound.reason == "crd is not sound with mixed labels"
    # Two terms of one method, whose weights are measured apart.
    terms = [{"method": "kd", "name": name, "weight": weight} for name, weight in (("a", 0.5), ("b", 2.0))]
    asked = ask(world, methods=terms)
    assert [pull.name for pull in asked.pulls] == ["a", "b"]
    assert [one.setting for one in asked.choices][:3] == [
        "distill.methods.temperature",
        "distill.methods[0].weight",
        "distill.methods[1].weight",
    ]


def test_only_methods_that_soften_raw_logits_get_the_temperature():
    given = [{"name": "kd", "weight": 0.4}, {"name": "logit_standardisation"}, {"name": "attention"}, {"name": "ii_kd"}]
    found = rules.configured(given, 2.0, 0.5)
    assert found == [{"name": "kd", "weight": 0.5, "temperature": 2.0}, *given[1:]]
    moving = {"name": "kd", "weight": {"start": 1.0, "end": 0.0}}
    assert rules.configured([moving], 2.0, 0.1)[0]["weight"] == moving["weight"]


@pytest.mark.parametrize(("ratio", "weight"), [(1.0, 3.0), (0.001, 30.0), (600.0, 0.015)])
def test_weights_move_no_further_than_to_the_bound(ratio: float, weight: float):
    # At weight 3 beside labels of weight .1: the pull is ten times the ratio that was measured.
    methods, (choice,) = rules.weights([{"name": "attention", "weight": 3.0}], [Pull("attention", 3.0, ratio, 4)], 0.1)
    assert methods == [{"name": "attention", "weight": pytest.approx(weight)}] and choice.value == pytest.approx(weight)


def test_the_augmentation_has_the_lowest_deviation_of_those_that_the_teacher_knows():
    lost = candidate("cutout", 0.5, 0.4)
    found = image_rules.augmentation([NONE, candidate("standard", 0.9), candidate("randaugment", 0.8), lost], 200, 0)
    assert found.value == "randaugment" and "left out: cutout" in found.reason
    assert image_rules.augmentation([NONE, candidate("standard", 1.1), lost], 200, 0).value == "none"
    assert image_rules.augmentation([NONE, candidate("standard", 0.9)], 50, 0).value == "none"
    policy = candidate("random policy 1", 0.6, kind="policy")
    assert image_rules.augmentation([NONE, candidate("standard", 0.9), policy], 200, 0).value == "screen"
    assert image_rules.augmentation([NONE, policy], 200, 0).value == "none"


def test_mixing_follows_the_deviation_and_the_teachers_smoothness():
    kd = [{"name": "kd"}]
    mixes = [candidate("mixup", 0.8, None, "mixing"), candidate("cutmix", 0.7, None, "mixing")]
    choice, section = image_rules.mixing([NONE, *mixes], 200, kd, 0.5)
    assert section == {"method": "cutmix", "alpha": 1.0, "share": image_rules.SHARE} and "0.5 nats" in choice.reason
    smooth = candidate("none", 1.0, entropy=0.4)
    assert image_rules.mixing([smooth, *mixes], 200, kd, None)[1]["share"] == image_rules.LITTLE
    # Without a lower deviation anywhere it is mixup, of which gains are known; with one, the lowest.
    worse = [candidate("mixup", 1.2, None, "mixing"), candidate("cutmix", 1.1, None, "mixing")]
    assert image_rules.mixing([NONE, *worse], 200, kd, 0.5)[1]["method"] == "mixup"
    assert image_rules.mixing([NONE, *mixes], 200, [{"name": "rkd"}], 0.5)[1]["method"] == "cutmix"
    assert image_rules.mixing([NONE, *mixes], 50, kd, 0.5)[1] == {"method": "none"}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"methods": [{"name": "kdd"}]}, 'did you mean "kd"'),
        ({"augmentations": ["randaug"]}, 'did you mean "randaugment"'),
    ],
)
def test_names_that_are_wrong_are_refused_before_anything_is_measured(world: World, given: dict[str, Any], part: str):
    steps: list[str] = []
    with pytest.raises(InputError, match=part):
        ask(world, on_step=steps.append, **given)
    assert not steps


def test_images_that_are_no_source_are_refused(world: World):
    images, labels = world.train.images, world.train.labels
    with pytest.raises(
        InputError, match=r"images must be given as a source, such as rolewise.data.ImageData.*got tuple"
    ):
        advise(world.teacher, student(), (images, labels), world.train)


def test_a_large_teacher_is_measured_on_less_and_that_is_said(world: World, monkeypatch: pytest.MonkeyPatch):
    given = case(world)
    assert lighter(given, 10**5) is given
    full = Effort(images=1000, repeats=32, batch=64)
    light = lighter(replace(given, effort=full), 10**8)
    assert (light.effort.images, light.effort.repeats, light.effort.batch) == (256, 8, 32)
    assert light.train.whole == given.train.whole and len(light.train) == 100, "there are no more"
    for module in ("advice.case", "diagnosis.teacher_case"):
        monkeypatch.setattr(f"rolewise.{module}.LONG", 0)
    found = ask(world, teacher=world.teacher)
    assert any(note.startswith("The teacher is large: it is measured on at most 120 images") for note in found.notes)
    assert not found.faults and found.overlay


def test_effort_is_checked():
    with pytest.raises(InputError, match="repeats must be at least 2"):
        Effort(repeats=1)


def test_candidates_leave_colours_to_colour_images():
    assert "autoaugment" not in preset_candidates(("none", "autoaugment"), 1)
    assert isinstance(preset_candidates(("none",), 1)["none"][1], Schedule)
