"""Packed files: every bit accounted for, the same outputs after reading, damage named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import QUANTISERS, Codes, Grid, load_packed, pack, quantise, quantised_layers, save_packed, unpack
from rolewise.quant.fixed import fix


def network(name: str = "small_cnn") -> torch.nn.Module:
    return build(name, num_classes=10, channels=1, size=(8, 8), seed=0)


def test_bits_by_hand() -> None:
    # 1, 2, 3, 0 at two bits, lowest first: 00 11 10 01.
    assert pack(torch.tensor([1, 2, 3, 0], dtype=torch.uint8), 2).tolist() == [0b00111001]
    # 5, 3, 6 at three bits: 110 011 101 over two bytes.
    assert pack(torch.tensor([5, 3, 6], dtype=torch.uint8), 3).tolist() == [0b10011101, 0b1]


@settings(max_examples=80)
@given(st.integers(1, 8), st.integers(0, 70), st.integers(0, 999))
def test_unpacking_undoes_packing(bits: int, count: int, seed: int) -> None:
    codes = torch.randint(0, 2**bits, (count,), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    stream = pack(codes, bits)
    assert len(stream) == -(-count * bits // 8)
    assert torch.equal(unpack(stream, bits, count), codes)


@pytest.mark.parametrize("quantiser", list(QUANTISERS))
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_network_computes_the_same_after_reading(quantiser: str, bits: int, tmp_path: Path) -> None:
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = quantise(network("resnet8"), bits, quantiser=quantiser).train()
    model(images)
    model.eval()
    save_packed(model, tmp_path / "model.safetensors")
    again = load_packed(network("resnet8"), tmp_path / "model.safetensors")
    assert torch.allclose(again(images), model(images), atol=1e-4)
    assert [layer.weight_bits for _, layer in quantised_layers(again)] == [bits] * len(list(quantised_layers(model)))
    assert next(layer.activation_bits for _, layer in quantised_layers(again)) == bits
    # What was read can be written again, bit for bit.
    save_packed(again, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


class Shared(nn.Module):
    """One layer by two names, and two that share a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(6, 6)
        self.again, self.tied, self.head = self.one, nn.Linear(6, 6), nn.Linear(6, 6)
        self.head.weight = self.tied.weight

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.again(self.one(values).relu()).relu()
        return self.head(self.tied(values).relu())


# Inputs alone at few bits; a layer of two names; a weight that both, one or none of its layers has at few bits.
MIXED: list[tuple[dict[str, int | None], dict[str, dict[str, int | None]], tuple[str, ...]]] = [
    ({"activations": 2}, {}, ()),
    ({"weights": 2, "activations": 2}, {"tied": {"activations": 3}}, ()),
    ({"weights": 2}, {}, ()),
    ({"weights": 2}, {}, ("tied",)),
    ({"weights": 2}, {}, ("tied", "head")),
]


@pytest.mark.parametrize(("bits", "layers", "keep"), MIXED)
def test_mixed_bits_and_shared_layers_compute_the_same_after_reading(
    bits: dict[str, int | None], layers: dict[str, dict[str, int | None]], keep: tuple[str, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    plain, values = Shared(), torch.randn(20, 6)
    model = quantise(plain, bits, layers=layers, keep=keep).train()
    model(values)
    model.eval()
    assert not torch.allclose(model(values), plain(values), atol=1e-3)
    save_packed(model, tmp_path / "model.safetensors")
    again = load_packed(Shared(), tmp_path / "model.safetensors")
    torch.testing.assert_close(again(values), model(values))
    pairs = [
        [(layer.weight_bits, layer.activation_bits) for _, layer in quantised_layers(net)] for net in (model, again)
    ]
    assert pairs[0] == pairs[1]


def test_a_network_of_one_layer(tmp_path: Path) -> None:
    plain, values = nn.Linear(6, 3), torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    model = quantise(plain, 2, keep=()).train()
    model(values)
    save_packed(model.eval(), tmp_path / "model.safetensors")
    torch.testing.assert_close(load_packed(plain, tmp_path / "model.safetensors")(values), model(values))


def test_what_is_read_goes_where_the_network_is() -> None:
    layer = nn.Linear(4, 3, device="meta")
    fix(layer, Codes(torch.zeros(3, 4, dtype=torch.uint8), torch.ones(()), torch.zeros(()), 2), Grid(0.5, 0, 0, 3))
    devices = {tensor.device.type for tensor in (*layer.parameters(), *layer.buffers())}
    assert devices == {"meta"} and layer(torch.ones(2, 4, device="meta")).shape == (2, 3)


def test_two_bits_take_a_sixteenth(tmp_path: Path) -> None:
    model = quantise(network(), {"weights": 2})
    save_packed(model, tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    path = next(path for path, _ in quantised_layers(model))
    assert tensors[f"{path}.weight.codes"].numel() * 16 == model.state_dict()[f"{path}.weight"].numel() * 4


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match="got none"):
        save_packed(network(), path)
    assert not path.exists()
    with pytest.raises(InputError, match="cannot be read"):
        load_packed(network(), path)
    save_packed(quantise(network(), {"weights": 4}).eval(), path)
    with pytest.raises(InputError, match="another network"):
        load_packed(network("resnet8"), path)
    whole = path.read_bytes()
    for content in (b"", whole[:40], whole[: len(whole) // 2], b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(InputError, match="packed file"):
            load_packed(network(), path)
