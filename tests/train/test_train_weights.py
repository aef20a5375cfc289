"""Files of weights: what is no safetensors is said, with what converts it; of another network a few names suffice."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import load_weights, save_weights
from rolewise.train.checkpoint import load_checkpoint, save_checkpoint


def network(widths: tuple[int, int] = (4, 6)) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=list(widths), seed=1)


def said(path: Path, model: nn.Module | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_weights(model or network(), path)
    return str(caught.value)


def remedy(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()[1:]]


@pytest.mark.parametrize("how", ["plain", "in a checkpoint", "wrapped", "legacy", "script"])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_lines_that_the_message_of_a_pickle_gives_convert_it(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    path = tmp_path / "t.pth"
    state = dict(model.state_dict())
    if how == "script":
        torch.jit.trace(model.eval(), torch.zeros(1, 1, 8, 8)).save(path)
    elif how == "wrapped":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        content = {"state_dict": state, "epoch": 3} if how == "in a checkpoint" else state
        torch.save(content, path, _use_new_zipfile_serialization=how != "legacy")
    text = said(path)
    assert str(path) in text and "save_file" in text and "which hold no code" in text
    assert ("TorchScript" if how == "script" else "PyTorch pickle") in text
    lines = remedy(text)
    assert len(lines) == 4 and max(len(line.replace(str(path), "t.pth")) for line in lines) < 110
    monkeypatch.chdir(tmp_path)
    exec("\n".join(lines))
    other = network((4, 6))
    with torch.no_grad():
        next(other.parameters()).zero_()
    load_weights(other, tmp_path / "t.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_names_with_a_wrapper_s_prefix_are_recognised(
    tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = network(), tmp_path / "t.safetensors"
    save_file({prefix + name: tensor.clone() for name, tensor in model.state_dict().items()}, path)
    text = said(path)
    assert f'"{prefix}"' in text and "of this network" in text
    monkeypatch.chdir(tmp_path)
    exec("\n".join(remedy(text)))
    load_weights(network(), tmp_path / "t-bare.safetensors")
    assert set(load_file(tmp_path / "t-bare.safetensors")) == set(model.state_dict())


def test_of_another_network_a_few_names_are_said_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_weights(build("resnet20", num_classes=10), path)
    text = said(path)
    assert "another network" in text and len(text) < 700 and text.count("\n") == 0
    names = len(network().state_dict())
    assert f"of {names} tensors, " in text and ", ..." in text
    save_weights(network((4, 8)), path)
    text = said(path)
    shapes = re.findall(r"(\S+) (\[[\d, ]*\]) in the file, (\[[\d, ]*\]) in the network", text)
    assert len(shapes) == 3 and "have another shape" in text and "not in the file" not in text


def test_what_is_no_file_of_weights_takes_no_memory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with (tmp_path / "sparse.safetensors").open("wb") as file:
        file.truncate(2**40)
    with (tmp_path / "head.safetensors").open("wb") as file:
        file.write((90_000_000).to_bytes(8, "little"))
        file.truncate(2**40)
    cases = {
        Path("/dev/zero"): "must be a regular file, got a device",
        tmp_path / "pipe.safetensors": "must be a regular file, got a pipe",
        tmp_path: "must be a regular file, got a folder",
        tmp_path / "sparse.safetensors": "has no head of safetensors",
        tmp_path / "head.safetensors": "head cannot be read",
        tmp_path / "none.safetensors": "cannot be read: No such file",
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path, rule in cases.items():
        text = said(path)
        assert rule in text and text.count(str(path)) == 1, text
    # KiB: the largest head that is read, some of it twice, and no body.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000


def test_a_file_that_is_longer_or_shorter_than_its_head_says_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_weights(network(), path)
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"\0"):
        path.write_bytes(damaged)
        assert "is damaged: its head announces" in said(path)


def test_a_bit_of_a_checkpoint_s_other_half_is_noticed_too(tmp_path: Path) -> None:
    weights = {"a": torch.arange(4.0)}
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, {"weights": weights, "momentum": torch.full((64,), float(epoch))})
    path = tmp_path / "epoch-000002.pt"
    content = bytearray(path.read_bytes())
    at = content.index(torch.full((64,), 2.0).numpy().tobytes())
    content[at + 5] ^= 1  # a number of the optimiser's, in the midst of the archive
    path.write_bytes(bytes(content))
    state = load_checkpoint(tmp_path)
    assert state is not None and torch.equal(state["momentum"], torch.ones(64))
