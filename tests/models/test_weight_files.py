"""Files of weights as people have them: read without running anything, unwrapped, renamed, left out, and told of."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.models.weight_file import read_weights
from rolewise.models.weight_names import WeightRules
from rolewise.models.weight_transfer import WeightReport, fitting_weights, take_weights


def network(classes: int = 3, seed: int = 1) -> nn.Module:
    return build("small_cnn", num_classes=classes, channels=1, size=(8, 8), widths=[4, 6], seed=seed)


STATE: dict[str, Tensor] = dict(network().state_dict())
NAMES = list(STATE)


def same(found: nn.Module, names: list[str] = NAMES) -> bool:
    return all(torch.equal(found.state_dict()[name], STATE[name]) for name in names)


def taken(path: Path, rules: WeightRules | None = None) -> WeightReport:
    """Loads into other weights; what a look at the head alone foretells must be what is done."""
    other = network(seed=2)
    assert not same(other)
    foretold = fitting_weights(other, path, rules or WeightRules())
    assert not same(other)
    report = take_weights(other, path, rules)
    assert report == foretold and same(other, list(report.loaded))
    return report


def refused(path: Path, rules: WeightRules | None = None, model: nn.Module | None = None) -> str:
    with pytest.raises(InputError) as caught:
        fitting_weights(model or network(), path, rules or WeightRules())
    return str(caught.value)


def prefixed(prefix: str, state: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in state.items()}


CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "bare": (STATE, ""),
    "state_dict": ({"state_dict": STATE, "epoch": 3, "optimizer": {"state": {}, "lr": 0.1}}, "state_dict"),
    "model": ({"model": STATE, "best": 0.9}, "model"),
    "model_state_dict": ({"model_state_dict": STATE}, "model_state_dict"),
    "ema": ({"ema": {"decay": 0.9, "state_dict": prefixed("module.")}}, "ema.state_dict"),
    "nested": ({"state_dict": {"model": STATE}}, "state_dict.model"),
    "parallel": (prefixed("module."), ""),
    "compiled": (prefixed("_orig_mod."), ""),
    "both": (prefixed("module._orig_mod."), ""),
    "averaged": ({"n_averaged": torch.tensor(3), **prefixed("module.")}, ""),
    "lightning": ({"state_dict": prefixed("model."), "pytorch-lightning_version": "2"}, "state_dict"),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("form", CHECKPOINTS)
def test_what_people_save_is_unwrapped(tmp_path: Path, form: str, legacy: bool) -> None:
    content, key = CHECKPOINTS[form]
    torch.save(content, tmp_path / "t.pth", _use_new_zipfile_serialization=not legacy)
    report = taken(tmp_path / "t.pth")
    assert report.key == key and report.loaded == tuple(NAMES) and not report.missing
    assert len(report.renamed) == (
        len(NAMES) if form in ("ema", "parallel", "compiled", "both", "averaged", "lightning") else 0
    )
    assert report.left_out == (("n_averaged",) if form == "averaged" else ())


def test_of_several_sets_of_tensors_the_key_decides_and_the_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    zeros = {name: torch.zeros_like(tensor) for name, tensor in STATE.items()}
    torch.save({"state_dict": zeros, "state_dict_ema": STATE}, path)
    first = fitting_weights(network(), path, WeightRules())
    assert first.key == "state_dict" and first.beside == ("state_dict_ema",)
    assert "state_dict_ema (take another by key: ...)" in first.table("teacher.weights")
    assert taken(path, WeightRules(key="state_dict_ema")).key == "state_dict_ema"
    assert "has no key 'state_dict_emma'; did you mean" in refused(path, WeightRules(key="state_dict_emma"))
    torch.save({"weights": STATE}, path)
    assert "name where they are by key, such as key: weights" in refused(path)
    taken(path, WeightRules(key="weights"))
    torch.save({"epoch": 3}, path)
    assert "has no tensors" in refused(path)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_read_as_one(tmp_path: Path, kind: str) -> None:
    parts = {f"m-{at}.{kind}": NAMES[at::2] for at in range(2)}
    for name, names in parts.items():
        tensors = {one: STATE[one].clone() for one in names}
        save_file(tensors, tmp_path / name) if kind == "safetensors" else torch.save(tensors, tmp_path / name)
    listed = {one: name for name, names in parts.items() for one in names}
    index = tmp_path / f"m.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": listed}), encoding="utf-8")
    assert set(taken(index).loaded) == set(NAMES)
    index.write_text(json.dumps({"weight_map": {**listed, "more": f"m-0.{kind}"}}), encoding="utf-8")
    assert "1 are in no shard (more)" in refused(index)
    index.write_text(json.dumps({"weight_map": {**listed, NAMES[0]: "../secret"}}), encoding="utf-8")
    assert "must name files beside it, got '../secret'" in refused(index)
    index.write_text(json.dumps({"weight_map": {**listed, NAMES[0]: f"m-7.{kind}"}}), encoding="utf-8")
    assert f"1 are not beside it (m-7.{kind})" in refused(index)
    index.write_text("{}", encoding="utf-8")
    assert "must hold a weight_map" in refused(index)


class Harm:
    """What a file of somebody else may hold: unpickling it would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_nothing_in_a_file_is_executed_and_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mark = tmp_path / "t.pt", tmp_path / "harm"
    for content, named in (
        ({"state_dict": STATE, "more": Harm(mark)}, "mkdir"),
        ({"model": STATE, "args": argparse.Namespace(lr=0.1)}, "argparse.Namespace"),
        (network(), "SmallCNN"),
    ):
        torch.save(content, path)
        text = refused(path)
        assert named in text.splitlines()[0] and "is not read" in text and not mark.exists()
    # The lines of the remedy, of a network that was saved whole.
    lines = [line.strip() for line in refused(path).splitlines()[1:]]
    assert max(map(len, lines)) < 120 + len(str(path))
    monkeypatch.chdir(tmp_path)
    exec("\n".join(lines))
    taken(tmp_path / "t-weights.pt")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_program_is_told_from_a_file_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.jit.trace(network().eval(), torch.zeros(1, 1, 8, 8)).save(tmp_path / "t.pt")
    text = refused(tmp_path / "t.pt")
    assert "is a TorchScript program" in text
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.strip() for line in text.splitlines()[1:]))
    taken(tmp_path / "t-weights.pt")


def test_damaged_files_are_told_from_others(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    for legacy in (False, True):
        torch.save(STATE, path, _use_new_zipfile_serialization=not legacy)
        path.write_bytes(path.read_bytes()[:-40])
        assert "is damaged, or no file of torch.save" in refused(path)
    path.write_bytes(b"hello, no weights")
    assert "neither safetensors nor a file of torch.save" in refused(path)
    torch.save(torch.zeros(3), path)
    assert "must hold tensors by name, got one tensor [3]" in refused(path)
    assert "cannot be read: No such file" in refused(tmp_path / "none.pt")
    assert "must be a regular file, got a folder" in refused(tmp_path)
    torch.save({**STATE, NAMES[0]: STATE[NAMES[0]] * float("nan")}, path)
    with pytest.raises(InputError, match="must be finite"):
        take_weights(network(), path)


def test_names_are_mapped_by_pattern(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save({**prefixed("backbone."), "criterion.weight": torch.ones(2)}, path)
    text = refused(path)
    assert 'add rename: {"backbone.*": "*"}, and except: ["criterion.weight", ...]' in text
    report = taken(path, WeightRules({"backbone.*": "*"}, ("criterion.*",)))
    assert report.renamed[0] == (f"backbone.{NAMES[0]}", NAMES[0]) and report.left_out == ("criterion.weight",)
    # The pattern with most letters counts, in whatever order they are.
    torch.save(prefixed("a.") | {"a.head.bias": STATE["fc.bias"], "a.head.weight": STATE["fc.weight"]}, path)
    content = torch.load(path)
    for name in ("fc.bias", "fc.weight"):
        del content[f"a.{name}"]
    torch.save(content, path)
    for rename in ({"a.*": "*", "a.head.*": "fc.*"}, {"a.head.*": "fc.*", "a.*": "*"}):
        taken(path, WeightRules(rename))
    assert "'b.*' fits none" in refused(path, WeightRules({"a.*": "*", "b.*": "*"}))
    assert "both become 'x'" in refused(path, WeightRules({"a.*": "x"}))
    assert "no more stars on the right" in refused(path, WeightRules({"a.*": "*.*"}))
    # A wrapper's prefix may be written or not.
    torch.save(prefixed("module.net."), path)
    for pattern in ("net.*", "module.net.*"):
        taken(path, WeightRules({pattern: "*"}))


def test_all_but_the_head_is_loaded_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save(network(classes=7).state_dict(), path)
    text = refused(path)
    assert "fc.weight [7, 6] in the file, [3, 6] in the network" in text
    assert 'leave it out by except: ["fc.*"]' in text
    other = network(seed=2)
    before = other.state_dict()["fc.weight"].clone()
    report = take_weights(other, path, WeightRules(leave_out=("fc.*",)))
    assert report.left_out == ("fc.bias", "fc.weight") and report.missing == ("fc.weight", "fc.bias")
    assert torch.equal(other.state_dict()["fc.weight"], before)
    assert "'fcc.*' fits none" in refused(path, WeightRules(leave_out=("fcc.*",)))
    assert "patterns that fit all" in refused(path, WeightRules(leave_out=("*",)))
    lines = report.table("teacher.weights").replace(str(path), "t.pt").splitlines()
    assert lines[0] == "teacher.weights: t.pt" and max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:]] == ["loaded", "left", "missing"]
    assert "  missing       2  fc.weight, fc.bias" in lines
    assert report.as_json()["loaded"]["count"] == len(NAMES) - 2


def test_another_architecture_is_told_by_a_few_names(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save(build("resnet20", num_classes=3).state_dict(), path)
    text = refused(path)
    assert "another network" in text and len(text) < 700 and text.count("\n") == 0
    torch.save(prefixed("stages.", build("resnet20", num_classes=3).state_dict()), path)
    assert "rename" not in refused(path)


def test_half_precision_is_taken_as_the_network_s(tmp_path: Path) -> None:
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in STATE.items()}
    torch.save(halved, tmp_path / "t.pt")
    other = network(seed=2)
    take_weights(other, tmp_path / "t.pt")
    assert all(tensor.dtype == STATE[name].dtype for name, tensor in other.state_dict().items())
    assert torch.equal(other.state_dict()[NAMES[0]], STATE[NAMES[0]].half().float())
    torch.save({**STATE, NAMES[0]: STATE[NAMES[0]].long()}, tmp_path / "t.pt")
    with pytest.raises(InputError, match="as int64, and the network as float32"):
        take_weights(other, tmp_path / "t.pt")


def test_a_network_whose_own_names_begin_as_a_wrapper_s_keeps_them(tmp_path: Path) -> None:
    wrapped = nn.Module()
    wrapped.model = network()
    torch.save(wrapped.state_dict(), tmp_path / "t.pt")
    assert not fitting_weights(wrapped, tmp_path / "t.pt", WeightRules()).renamed
    torch.save(STATE, tmp_path / "t.pt")
    assert 'add rename: {"*": "model.*"}' in refused(tmp_path / "t.pt", model=wrapped)
    fitting_weights(wrapped, tmp_path / "t.pt", WeightRules({"*": "model.*"}))


def test_reading_without_content_gives_shapes_alone(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "t.pt")
    save_file(prefixed(""), tmp_path / "t.safetensors")
    for name in ("t.pt", "t.safetensors"):
        found = read_weights(tmp_path / name, content=False).tensors
        assert all(tensor.is_meta and tensor.shape == STATE[one].shape for one, tensor in found.items())
    assert "no key 'ema'" in refused(tmp_path / "t.safetensors", WeightRules(key="ema"))
