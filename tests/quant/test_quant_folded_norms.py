"""Folding of batch norms where a network hides what follows what: right, or left alone, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.quant import fold_batch_norm


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lived(model: nn.Module) -> nn.Module:
    """Gives norms statistics and weights that make a difference."""
    for number, module in enumerate(module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        size = module.num_features
        module.running_mean, module.running_var = draws(size, seed=number), draws(size, seed=number).abs() + 0.3
        module.weight.data, module.bias.data = draws(size, seed=number + 50), draws(size, seed=number + 90)
    return model.eval()


def norms(model: nn.Module) -> int:
    return Counter(type(module) for module in model.modules())[nn.BatchNorm2d]


def pair() -> list[nn.Module]:
    return [nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)]


class Branching(nn.Module):
    """Chooses by its data, which no trace can."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*pair())
        self.ran = 0

    def forward(self, values: Tensor) -> Tensor:
        hidden: Tensor = self.body(values)
        return hidden if bool(hidden.sum() > 0) else -hidden


class Around(nn.Module):
    """A network of its own code around a branching block."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.block, self.after = nn.Sequential(*pair()), Branching(), nn.Sequential(*pair())

    def forward(self, values: Tensor) -> Tensor:
        hidden: Tensor = self.before(values)
        return self.after(self.block(hidden) + hidden)


class Deep(nn.Module):
    """Uses a layer of a block that nothing is known of, with a norm of its own behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.norm = Branching(), nn.BatchNorm2d(3)

    def forward(self, values: Tensor) -> Tensor:
        return self.norm(self.block.body[0](self.block(values)))


class Both(nn.Module):
    """Reads what a layer gives before the norm and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = pair()

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.conv(values)
        return self.norm(hidden) + hidden


class Alias(nn.Module):
    """Calls a layer by another name than it was first given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = pair()
        self.same = self.conv

    def forward(self, values: Tensor) -> Tensor:
        return self.norm(self.same(values))


class Twice(nn.Module):
    """Uses one layer with a norm behind it, and without."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = pair()

    def forward(self, values: Tensor) -> Tensor:
        return self.norm(self.conv(values)) + self.conv(-values)


class Remembers(nn.Module):
    """Keeps what it saw last."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*pair())
        self.last: object = None

    def forward(self, values: Tensor) -> Tensor:
        self.last = values
        return self.body(values)


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda: nn.Sequential(*pair(), Branching(), nn.Sequential(*pair(), nn.ReLU())), 1),
        (lambda: nn.Sequential(nn.Sequential(Branching(), *pair()), *pair()), 1),
        (Around, 1),
        (Deep, 2),
        (Both, 1),
        (Alias, 1),
        (Twice, 1),
        (Remembers, 0),
    ],
)
def test_outputs_stay(make: Callable[[], nn.Module], left: int) -> None:
    model = lived(make())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert norms(folded) == left
    for sign in (1.0, -1.0):
        values = draws(2, 3, 6, 6, seed=7) * sign
        torch.testing.assert_close(folded(values), model(values), atol=1e-5, rtol=1e-4)
    assert not folded.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_nothing_of_the_tracing_is_left_behind() -> None:
    assert fold_batch_norm(lived(Remembers())).last is None


def test_a_norm_over_another_axis_stays() -> None:
    # [B, 5, 3] of a linear layer: the norm is over the axis of 5, the layer's outputs are 3.
    model: Any = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(5)).eval()
    model[1].running_mean.fill_(2.0)
    folded: Any = fold_batch_norm(model)
    values = draws(2, 5, 4)
    assert isinstance(folded[1], nn.BatchNorm1d) and torch.equal(folded(values), model(values))


def test_an_untraceable_network_names_the_way_out() -> None:
    model: Any = Branching()
    with pytest.raises(InputError, match=r"fold the parts that are, each by itself: model.part = fold_batch_norm"):
        fold_batch_norm(model)
    lived(model)
    values = draws(2, 3, 6, 6)
    expected = model(values)
    model.body = fold_batch_norm(model.body)
    assert norms(model) == 0 and torch.allclose(model(values), expected, atol=1e-5)
