"""A teacher of other classes: its outputs for the data's are checked first, and seen by methods."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rolewise.config import ConfigError, as_values
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.pipeline import run
from rolewise.experiment.seed_data import seed_data_of
from rolewise.models import build
from rolewise.models.class_selection import select_classes
from rolewise.study.keys import stage_keys

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
SETTINGS = ("seeds=[0]", "arms={teacher: [none], student: [none]}", "students[0].train.epochs=1")
#: The data's classes 0 to 9 among 13 of the teacher's.
PLACES = [12, 0, 3, 5, 7, 9, 11, 2, 4, 6]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "t.pt"
    torch.save(build("small_cnn", num_classes=13, channels=1, size=(8, 8), widths=[8, 12], seed=3).state_dict(), path)
    return path


def settings(weights: Path, label_map: object) -> list[str]:
    return [*SETTINGS, f"teacher.weights={weights}", f"teacher.label_map={json.dumps(label_map)}"]


def fault(weights: Path, label_map: object, *more: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, [*settings(weights, label_map), *more])
    assert caught.value.faults[0].path.startswith("teacher.label_map"), caught.value
    return caught.value.faults[0].message


def test_methods_see_the_shared_classes_in_the_data_s_order(weights: Path, tmp_path: Path) -> None:
    config = load(QUICK, settings(weights, {"classes": 13, "to": PLACES}))
    results = run(config, tmp_path / "r")
    data = seed_data_of(config, 0, torch.device("cpu"))
    network = data.network(config.teacher.model, "teacher")
    network.load_state_dict(torch.load(weights))
    whole = build("small_cnn", num_classes=13, channels=1, size=(8, 8), widths=[8, 12])
    whole.load_state_dict(torch.load(weights))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network.eval()(images), whole.eval()(images)[:, PLACES])
    assert results["teachers"][0]["metrics"]["accuracy"]["0"] < 0.5
    assert (tmp_path / "r/stages/seed0/small-none+distill/weights.safetensors").is_file()


def test_a_file_and_the_classes_names_say_the_same(weights: Path, tmp_path: Path) -> None:
    names = {str(digit): place for digit, place in enumerate(PLACES)}
    for name, content in (("list.json", PLACES), ("names.json", names)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    found = set()
    for to in (PLACES, names, str(tmp_path / "list.json"), str(tmp_path / "names.json")):
        config = load(QUICK, settings(weights, {"classes": 13, "to": to}))
        data = seed_data_of(config, 0, torch.device("cpu"))
        (hook,) = data.network(config.teacher.model, "teacher")._forward_hooks.values()
        found.add(hook.indices)
    assert found == {tuple(PLACES)}


def test_what_is_wrong_with_a_map_is_told_before_anything(weights: Path, tmp_path: Path) -> None:
    def of(to: object) -> dict[str, object]:
        return {"classes": 13, "to": to}

    assert "must have the number of the teacher's classes" in fault(weights, PLACES)
    assert "for each of the data's 10 classes, in their order, got 9" in fault(weights, of(PLACES[:9]))
    assert "must have numbers below 13, that of the teacher's classes, got 13" in fault(weights, of([13, *PLACES[1:]]))
    assert "must have each class of the teacher once, got 0 for 0, 1" in fault(weights, of([0, *PLACES[1:]]))
    names = {str(digit): place for digit, place in enumerate(PLACES)}
    assert "has none for 9" in fault(weights, of({name: names[name] for name in names if name != "9"}))
    assert "must name classes of the data, got 'ten'" in fault(weights, of({**names, "ten": 1}))
    assert "must be a JSON file where it is a path" in fault(weights, of(str(tmp_path / "none.json")))
    (tmp_path / "odd.json").write_text('["a"]', encoding="utf-8")
    assert "must hold a list of class numbers" in fault(weights, of(str(tmp_path / "odd.json")))
    assert "must be left out where the teacher is trained here" in fault(weights, of(PLACES), "teacher.weights=null")
    with pytest.raises(ConfigError, match="of the teacher's network"):
        load(QUICK, settings(weights, {"classes": 14, "to": PLACES}))
    with pytest.raises(ConfigError, match="or map its classes by label_map"):
        load(QUICK, [*SETTINGS, f"teacher.weights={weights}"])


def test_the_map_is_in_the_keys_and_without_one_nothing_changes(weights: Path, tmp_path: Path) -> None:
    def keys(to: object) -> dict[str, str]:
        return stage_keys(load(QUICK, settings(weights, {"classes": 13, "to": to})))

    teacher, taught, alone = "seed0/teacher-none", "seed0/small-none+distill", "seed0/small-none"
    first, other = keys(PLACES), keys(PLACES[::-1])
    assert first[teacher] != other[teacher] and first[taught] != other[taught] and first[alone] == other[alone]
    path = tmp_path / "map.json"
    path.write_text(json.dumps(PLACES), encoding="utf-8")
    before = keys(str(path))
    path.write_text(json.dumps(PLACES[::-1]), encoding="utf-8")
    assert keys(str(path))[taught] != before[taught]
    values = as_values(load(QUICK, ["seeds=[0]"]))
    assert "label_map" not in values["teacher"] and "interpolation" not in values["teacher"]["model"]


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 5)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": self.fc(inputs)}


def test_a_network_with_a_selection_can_be_copied_and_pickled() -> None:
    network = select_classes(Named(), [4, 1])
    inputs = torch.ones(3, 2)
    wanted = network.get_submodule("fc")(inputs)[:, [4, 1]]
    for other in (network, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(inputs), wanted)
    assert set(network.state_dict()) == {"fc.weight", "fc.bias"}
    with pytest.raises(InputError, match="must name classes of the network, got 5"):
        select_classes(Named(), [5, 0])(inputs)
