"""Maximum pooling with channels last against torch's own: the same bytes and strides, whatever asks for them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rolewise.models.pooling import MaxPool2d

#: Shape of the inputs, and what the pooling is given.
CASES: dict[str, tuple[tuple[int, ...], tuple[Any, ...]]] = {
    "halves": ((5, 8, 8, 6), (2,)),
    "rows left over": ((3, 4, 7, 5), (2,)),
    "thirds": ((2, 4, 9, 9), (3,)),
    "stem": ((2, 4, 9, 11), (3, 2, 1)),
    "overlapping": ((2, 4, 6, 6), (3, 1)),
    "holes": ((2, 4, 9, 9), (2, 2, 0, 2)),
    "not square": ((2, 4, 8, 9), ((2, 3),)),
    "ceiling": ((2, 4, 7, 7), (2, 2, 0, 1, False, True)),
    "one channel": ((4, 1, 6, 6), (2,)),
    "no batch": ((3, 6, 6), (2,)),
    "no images": ((0, 4, 6, 6), (2,)),
}


def drawn(shape: tuple[int, ...]) -> Tensor:
    """Returns values with many ties, among them zeros, and one that is not a number."""
    values = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 2).round().relu() / 2
    if values.numel():
        values.view(-1)[values.numel() // 2] = float("nan")
    return values


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("form", ["channels first", "channels last", "strided", "double"])
def test_values_and_gradients_are_torch_s(name: str, form: str) -> None:
    shape, given = CASES[name]
    values = drawn(shape)
    if form == "channels last" and values.ndim == 4:
        values = values.contiguous(memory_format=torch.channels_last)
    elif form == "strided":
        values = values.repeat_interleave(2, dim=-1)[..., ::2]
    elif form == "double":
        values = values.double()
    found = []
    for pool in (MaxPool2d(*given), nn.MaxPool2d(*given)):
        with torch.no_grad():
            still = pool(values)
        inputs = values.clone(memory_format=torch.preserve_format).requires_grad_()
        maxima = pool(inputs)
        gradient = torch.arange(1.0, maxima.numel() + 1, dtype=maxima.dtype).view_as(maxima) / 7
        found.append((still, maxima, *torch.autograd.grad(maxima, inputs, gradient)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1)) and one.stride() == other.stride()


def test_every_way_to_run_a_network_gives_the_same() -> None:
    """Several at once, traced, and differentiated twice: each asks a layer for something else."""
    pool, values = MaxPool2d(2), drawn((4, 6, 8, 8)).nan_to_num()
    expected = nn.functional.max_pool2d(values, 2)
    stacked = torch.func.vmap(pool)(values.view(2, 2, 6, 8, 8))
    assert torch.equal(stacked.flatten(0, 1), expected)
    traced = torch.fx.symbolic_trace(nn.Sequential(pool))
    assert torch.equal(traced(values), expected)
    assert "max_pool2d" in traced.code and "gather" not in traced.code
    exported = torch.export.export(nn.Sequential(pool), (values,))
    assert torch.equal(exported.module()(values), expected)
    assert not any("gather" in str(node.target) for node in exported.graph.nodes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of TorchScript
        for compiled in (torch.jit.script(nn.Sequential(pool)), torch.jit.trace(nn.Sequential(pool), values)):
            assert torch.equal(compiled(values), expected) and "gather" not in str(compiled.inlined_graph)
    slope = torch.func.grad(lambda given: (pool(given) ** 2).sum())(values)
    assert torch.equal(slope, torch.func.grad(lambda given: (nn.functional.max_pool2d(given, 2) ** 2).sum())(values))
    inputs = values.clone().requires_grad_()
    (first,) = torch.autograd.grad((pool(inputs) ** 3).sum(), inputs, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), inputs)
    other = values.clone().requires_grad_()
    (plain,) = torch.autograd.grad((nn.functional.max_pool2d(other, 2) ** 3).sum(), other, create_graph=True)
    assert torch.equal(second, torch.autograd.grad(plain.square().sum(), other)[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pool(values.bfloat16()), expected.bfloat16())
