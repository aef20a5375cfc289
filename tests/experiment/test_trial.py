"""What is wrong between networks, images, methods and bits is found before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from rolewise.config import ConfigError
from rolewise.config.network_sections import ModelSection
from rolewise.experiment import load, run
from rolewise.experiment.trial import network_memory, network_trial
from rolewise.experiment.trial.image_facts import ImageFacts, image_facts_of
from rolewise.machine_memory import total_memory
from rolewise.study import load_study

HERE = Path(__file__).parent
QUICK = HERE / "quick.yaml"
CONFIGS = HERE.parent.parent / "configs"
KD = "distill.methods=[{name: kd}]"


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


def faults(*settings: str) -> dict[str, str]:
    """Returns the faults of a config by path."""
    with pytest.raises(ConfigError) as caught:
        load(QUICK, settings)
    return {fault.path: fault.message for fault in caught.value.faults}


def teacher(name: str) -> str:
    return f"teacher.model={{name: 'trial_toys:{name}'}}"


def test_every_shipped_experiment_passes() -> None:
    paths = sorted(CONFIGS.glob("digits*.yaml"))
    assert len(paths) > 5
    for path in paths:
        load(path)


def test_misspelt_taps_are_found_with_method_key_and_near_names(tmp_path: Path) -> None:
    path = tmp_path / "taps.yaml"
    path.write_text(
        f"extends: {QUICK}\ndistill:\n  methods:\n"
        "    - {name: fitnets, student_taps: stag2, teacher_taps: stage2}\n"
        "    - {name: nst,\n       student_taps: [stage1, zzz],\n       teacher_taps: [stage1, stage2]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    first, second = caught.value.faults
    assert (first.path, first.place.line) == ("distill.methods[0].student_taps", 4)
    assert '"fitnets": the student "small" has no tap' in first.message and '"stage2"' in first.message
    assert (second.path, second.place.line) == ("distill.methods[1].student_taps[1]", 6)
    assert "its taps are stage1, stage2, penultimate, logits" in second.message
    assert "2 faults; nothing was started" in str(caught.value)


def test_all_faults_of_networks_methods_and_bits_come_in_one_go_with_those_of_names() -> None:
    found = faults(
        "students[0].quantise={weights: 2, keep: [nothing]}",
        "students[0].init=teacher",
        "students[0].model.arguments={widths: [5, 7]}",
        "distill.methods=[{name: attention, student_taps: [fc], teacher_taps: [fc]}, {name: kd, temprature: 2}]",
        "search.members=1",
    )
    assert "must match layers" in found["students[0].quantise.keep"]
    assert '"attention" must fit the teacher and the student "small"' in found["distill.methods[0]"]
    assert '"temperature"' in found["distill.methods[1].temprature"]
    assert "at least 2" in found["search.members"]
    # All that is equal in name and shape are counters and the classifier's bias.
    assert "num_batches_tracked" in found["students[0].init"] and "fc.bias" in found["students[0].init"]


@pytest.mark.parametrize(
    ("quantise", "path"),
    [
        ("{weights: 2, layers: {nothing: {weights: 4}}}", "students[0].quantise.layers"),
        ("{weights: 2, keep: ['*']}", "students[0].quantise.keep"),
    ],
)
def test_bits_that_no_layer_takes_are_a_fault_of_their_setting(quantise: str, path: str) -> None:
    assert list(faults(f"students[0].quantise={quantise}")) == [path]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("three", r"must take images of 1 channel and 8x8 pixels, and raised RuntimeError.* mean and std of 3 numbers"),
        ("photographs", r"set its mean and std of 3 numbers .* and size: \[32, 32\]"),
        ("double", r"must be in single precision \(float32\), got 1.weight in float64; end its function with .float"),
        ("half", "got 1.weight in float16"),
        ("nowhere", 'must have its weights in memory, got 1.weight on "meta"'),
        ("lazy", "must have weights of known shapes, got 1.weight, which is made by the first batch; run one"),
        ("empty", "must have parameters, got a network without any"),
        ("frozen", "must have parameters to train, got none that require a gradient"),
        ("seven", r"must give logits \[B, 10\], one for each class of the data, got \[B, 7\]"),
        ("raising", r"model \"trial_toys:raising\" raised KeyError: 'first' \(trial_toys.py, line \d+\)"),
        ("huge", r"must fit into the memory of .*B, got weights of 4,00\d TB, in training at least 16,0"),
        ("Auxiliary", "got a tuple of .*; wrap it .*, and this is what it returns in training mode"),
        ("raisin", "has no 'raisin'; did you mean \"raising\""),
    ],
)
def test_a_network_that_cannot_be_trained_on_the_images_is_refused(name: str, part: str) -> None:
    found = faults(teacher(name), KD)
    assert list(found) == ["teacher.model.name"]
    assert re.search(part, found["teacher.model.name"])


@pytest.mark.parametrize(
    ("settings", "path", "part"),
    [
        (["data.test=5000"], "data.test", "must leave some of the 1,797 examples to train on, got 5,000"),
        (["data.limit=1600"], "data.limit", "must be at most the 1,497 training examples, got 1,600"),
        (
            ["data.limit=100", "students[0].images=null"],
            "data.validation",
            "the 100 examples to train on, got 100; lower",
        ),
        (["data.validation=1400"], "teacher.images", "at most the 97 examples that may be trained on, got 200"),
        (["students[0].images=1398"], "students[0].images", "at most the 1,397 examples that may be trained on"),
        (["search.student_images=1398"], "search.student_images", "at most the 1,397 examples"),
        (
            ["data={name: cifar10, test: 10001}"],
            "data.test",
            "must be 1 to 10,000, the size of the set's own test part",
        ),
    ],
)
def test_more_images_than_there_are_is_a_fault_of_its_setting(settings: list[str], path: str, part: str) -> None:
    found = faults(*settings, KD)
    assert part in found[path]


def test_more_images_than_a_file_holds_is_a_fault_too(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(40) % 10)
    for setting, key in (
        ("limit: 60, test: 10", "limit"),
        ("test: 40", "test"),
        ("test: 10, validation: 30", "validation"),
    ):
        found = faults(f"data={{name: npz, root: {tmp_path}, {setting}}}", KD)
        assert next(iter(found)) == f"data.{key}", found


def test_the_remedy_of_a_network_of_three_channels_is_one(tmp_path: Path) -> None:
    three = "{name: 'trial_toys:three', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"
    settings = [
        f"teacher.model={three}",
        f"students[0].model={three}",
        "students[0].quantise={weights: 4, keep: []}",
        KD,
    ]
    short = ["seeds=[0]", "arms.student=[none]", "arms.teacher=[none]", "teacher.train.epochs=1"]
    results = run(load(QUICK, [*settings, *short, "students[0].train.epochs=1"]), tmp_path / "r")
    # As it is fed: 3 channels into 4 of 3x3 on 6x6 places, and the classifier.
    assert results["teachers"][0]["macs"] == results["arms"][0]["macs"] == 6 * 6 * 4 * 27 + 4 * 10


def test_what_looks_at_its_numbers_is_tried_with_numbers() -> None:
    assert load(QUICK, [teacher("Numbers"), KD]).teacher.model.name == "trial_toys:Numbers"


def test_probabilities_are_worth_a_note() -> None:
    notes: list[str] = []
    load(QUICK, [teacher("probabilities"), KD], on_note=notes.append)
    assert len(notes) == 1 and "teacher.model (trial_toys:probabilities) returns probabilities" in notes[0]
    with pytest.warns(UserWarning, match="returns probabilities"):
        load(QUICK, [teacher("probabilities"), KD])
    load(QUICK, [teacher("flat"), KD])


@pytest.mark.parametrize(
    ("data", "numbers", "part"),
    [
        ("digits", [0.5, 0.5], "must both have 1 or 3 values, got 2 and 2"),
        (
            "cifar100",
            [0.5],
            "must have 3 numbers, as std, for images of 3 channels, got 1; only grey images are repeated",
        ),
    ],
)
def test_mean_and_std_must_fit_the_images(data: str, numbers: list[float], part: str) -> None:
    model = f"teacher.model={{name: small_cnn, mean: {numbers}, std: {numbers}}}"
    assert part in faults(f"data={{name: {data}, validation: 100, test: 300}}", model)["teacher.model.mean"]


def test_a_side_of_an_image_is_bounded() -> None:
    assert "at most 8,192" in faults("teacher.model.size=[32, 1000000000]")["teacher.model.size[1]"]


@pytest.mark.parametrize("key", ["num_classes", "channels"])
def test_arguments_that_the_data_give_are_a_fault_of_the_config(key: str) -> None:
    model = f"teacher.model={{name: 'trial_toys:flat', arguments: {{{key}: 3}}}}"
    assert "must be left out" in faults(model, KD)[f"teacher.model.arguments.{key}"]


def test_arguments_may_be_called_as_those_of_rolewise() -> None:
    model = "teacher.model={name: 'trial_toys:named', arguments: {seed: 3, name: mine}}"
    load(QUICK, [model, KD, "data.name='trial_toys:images'", "data.arguments={root: elsewhere}"])


def test_a_data_function_is_a_fault_where_it_raises_or_takes_other_arguments() -> None:
    data = "data.name='trial_toys:images'"
    failing = faults(data, "data.arguments={fail: true}")
    assert "raised ZeroDivisionError: no images to divide (trial_toys.py, line" in failing["data.name"]
    assert "unexpected keyword" in faults(data, "data.arguments={fial: true}")["data.arguments"]


def test_data_that_are_elsewhere_leave_the_networks_untried_and_say_so(tmp_path: Path) -> None:
    notes: list[str] = []
    load(QUICK, ["data={name: npz, validation: 10, root: " + str(tmp_path) + "}"], on_note=notes.append)
    assert len(notes) == 1 and notes[0].startswith("The networks were not tried, since the data are not here")


def test_data_that_are_there_and_wrong_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "fashion_mnist").mkdir()
    images = np.zeros((40, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", train_images=images, train_labels=np.arange(40) % 2 * 1000)
    found = faults("data={name: npz, validation: 10, root: " + str(tmp_path) + "}")
    assert list(found) == ["data"] and "labels" in found["data"] and "data.npz" in found["data"]
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"none")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"none")
    found = faults("data={name: fashion_mnist, validation: 10, root: " + str(tmp_path) + "}")
    assert list(found) == ["data"] and "train-images-idx3-ubyte" in found["data"]


def test_sets_that_are_always_the_same_need_not_be_there(tmp_path: Path) -> None:
    for data, wanted in (
        ("cifar100", ImageFacts(3, (32, 32), 100, (50_000, 10_000))),
        ("fashion_mnist", ImageFacts(1, (28, 28), 10, (60_000, 10_000))),
    ):
        config = load(QUICK, [f"data={{name: {data}, validation: 10, root: {tmp_path}}}"])
        assert image_facts_of(config) == wanted
    coarse = load(QUICK, ["data={name: cifar100, validation: 10, arguments: {labels: coarse, size: 16}}"])
    assert (image_facts_of(coarse).classes, image_facts_of(coarse).size) == (20, (16, 16))


def test_an_experiment_from_code_is_tried_before_its_folder_is_made(tmp_path: Path) -> None:
    config = load(QUICK)
    wrong = config.model_copy(
        update={"teacher": config.teacher.model_copy(update={"model": ModelSection(name="trial_toys:seven")})}
    )
    with pytest.raises(ConfigError, match=r"teacher.model.name: must give logits \[B, 10\]"):
        run(wrong, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_study_tries_each_distinct_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    real = network_trial.built

    def counted(model, images, place):
        built.append(f"{model.name} {model.arguments} {place}")
        return real(model, images, place)

    monkeypatch.setattr(network_trial, "built", counted)
    path = tmp_path / "study.yaml"
    grid = "grid: {students.0.model.arguments.widths: [[4, 6], [8, 8]], distill.label_weight: [0.1, 0.2, 0.3]}"
    path.write_text(f"name: two\nbase: {QUICK}\n{grid}\n")
    assert len(load_study(path).cells) == 6
    assert len(built) == 6 == len(set(built))  # one teacher, two students: weighed without weights, then run
    path.write_text(f"name: two\nbase: {QUICK}\ngrid: {{distill.methods.0.name: [kd, fitnets, rdk]}}\n")
    with pytest.raises(ConfigError, match="rdk"):
        load_study(path)


def test_a_large_network_is_tried_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_trial, "_SMALL", 0)
    places: list[str] = []
    real = network_trial.built
    monkeypatch.setattr(
        network_trial, "built", lambda model, images, place: places.append(place.type) or real(model, images, place)
    )
    taps = "{name: fitnets, student_taps: stage1, teacher_taps: stage1}, {name: kd}, {name: rkd}"
    load(QUICK, [f"distill.methods=[{taps}]", "students[0].quantise={weights: 2, keep: [first]}"])
    assert places == ["meta", "meta"]


def test_the_size_of_a_network_counts_shared_weights_once() -> None:
    layer = torch.nn.Linear(3, 5)
    assert network_memory.bytes_of(torch.nn.Sequential(layer, layer)) == 80
    assert network_memory.machine_memory(torch.device("cpu")) == total_memory()
    assert [network_memory.shown(number) for number in (999, 12_300, 5e12)] == ["999 bytes", "12.3 kB", "5 TB"]
