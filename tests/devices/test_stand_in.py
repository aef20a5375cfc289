"""The stand-in for a GPU computes what the CPU does, and refuses what CUDA refuses; so do networks on two devices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from stand_in import GPU, MixedDevices, stand_in_gpu
from torch import nn

from rolewise.batch import Batch, Mixture, Outputs
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    with stand_in_gpu(monkeypatch) as device:
        yield device


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=(4, 6), seed=seed)


def test_it_computes_what_the_cpu_does_and_says_where_it_is(gpu: torch.device) -> None:
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for place in (torch.device("cpu"), gpu):
        net = network(1).to(place)
        net(images.to(place)).square().mean().backward()
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        optimizer.step()
        weights = list(net.parameters())
        assert all(
            weight.device == place and weight.grad is not None and weight.grad.device == place for weight in weights
        )
        found.append(torch.cat([weight.detach().cpu().flatten() for weight in weights]))
    assert torch.equal(*found)
    assert torch.zeros(2, device=gpu).tolist() == torch.tensor([0.0, 0.0], device="cuda").tolist()


def test_it_refuses_to_mix_devices_and_to_be_read_by_numpy(gpu: torch.device) -> None:
    there, here = torch.arange(4.0, device=gpu), torch.arange(4.0)
    for mixed in (lambda: there + here, lambda: here[there.long()], lambda: nn.functional.mse_loss(here, there)):
        with pytest.raises(MixedDevices, match=r"\[4\] on cuda:0"):
            mixed()
    with pytest.raises(TypeError, match="to numpy"):
        there.numpy()
    # CUDA takes a number of the host's, and places.
    assert (there * torch.tensor(2.0))[torch.tensor([1, 3])].cpu().numpy().tolist() == [2.0, 6.0]


def test_networks_on_two_devices_are_named_before_anything_is_trained(gpu: torch.device) -> None:
    images, teacher = torch.rand(2, 1, 8, 8), network(2).to(gpu)
    with pytest.raises(InputError, match=r"must be on one device, got teacher on cuda:0, student on cpu; move them"):
        Distiller(teacher, network(1), [configure("kd")], example=images)
    # The example goes where the networks are.
    Distiller(teacher, network(1).to(gpu), [configure("similarity")], example=images)


def test_a_batch_moves_with_all_that_is_in_it(gpu: torch.device) -> None:
    rows = torch.arange(2)
    outputs = Outputs({"logits": torch.ones(2, 3)}, features={"a": torch.ones(2)}, views={"b": Outputs({"c": rows})})
    mixture = Mixture(rows, rows, torch.ones(2), rows)
    targets = [{"boxes": torch.ones(1, 4)}, {"boxes": torch.ones(0, 4)}]
    given = Batch({"ids": rows}, targets, rows, {"teacher": [rows, rows]}, mixture, {"teacher": outputs})
    moved = given.to(gpu)
    found = [moved.inputs["ids"], moved.indices, *moved.views["teacher"], moved.targets[1]["boxes"]]
    inner = moved.outputs["teacher"]
    found += [moved.mixture.ratios, inner.logits, inner.features["a"], inner.views["b"].values["c"]]
    assert all(tensor.device == GPU for tensor in found)
    assert moved.mixture.targets == "image" and given.inputs["ids"].device.type == "cpu"
