"""The signs of masked gradients: absent on a plain network, present where gradients were spoilt on purpose."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.instruments.robustness import MaskingCheck, masking_check


class Around(nn.Module):
    """A network with something around it."""

    def __init__(self, inner: nn.Module, *, levels: int | None = None, factor: float = 1.0) -> None:
        super().__init__()
        self.inner, self.levels, self.factor = inner, levels, factor

    def forward(self, images: Tensor) -> Tensor:
        if self.levels is not None:
            images = (images * self.levels).round() / self.levels
        logits: Tensor = self.inner(images) * self.factor
        return logits


def check(model: nn.Module, unseen: tuple[Tensor, Tensor], **settings: Any) -> MaskingCheck:
    generator = torch.Generator().manual_seed(0)
    return masking_check(model, [unseen], epsilon=0.1, generator=generator, **{"steps": 10, "draws": 16, **settings})


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.6)])
def test_a_plain_network_is_sound(network: nn.Module, unseen: tuple[Tensor, Tensor], norm: Any, epsilon: float) -> None:
    found = masking_check(
        network,
        [(unseen[0][:60], unseen[1][:60]), (unseen[0][60:], unseen[1][60:])],
        epsilon=epsilon,
        norm=norm,
        generator=torch.Generator().manual_seed(0),
        draws=16,
        surrogate=network,
    )
    assert found.suspicious == ()
    assert found.accuracy["clean"] > 0.9 and found.accuracy["pgd_unbounded"] == 0
    assert found.accuracy["pgd"] < found.accuracy["noise"]
    names = [finding.name for finding in found.findings]
    assert names == [
        *("one_step", "more_steps", "larger_bound", "unbounded", "noise", "black_box", "transfer", "vanishing"),
    ]


def test_rounding_pixels_is_seen(network: nn.Module, unseen: tuple[Tensor, Tensor]) -> None:
    found = check(Around(network, levels=4), unseen, surrogate=network)
    by_name = {finding.name: finding for finding in found.findings}
    assert by_name["vanishing"].measured == 1 and not by_name["vanishing"].sound
    # Nothing moves the attack, so that any other attack is stronger, and no bound is enough.
    assert {"unbounded", "black_box", "transfer", "vanishing"} <= set(found.suspicious)
    assert by_name["unbounded"].measured == found.accuracy["pgd_unbounded"] > 0.1
    assert by_name["transfer"].limit == found.accuracy["transfer"] < found.accuracy["pgd"]


def test_large_logits_mask_the_raw_head_alone(network: nn.Module, unseen: tuple[Tensor, Tensor]) -> None:
    large = Around(network, factor=1e4)
    raw, standardised = check(large, unseen), check(large, unseen, logit_scale="standardised")
    assert {"vanishing", "unbounded", "black_box"} <= set(raw.suspicious)
    assert raw.accuracy["pgd_margin"] < raw.accuracy["pgd"] - 0.2
    # Dividing by the deviation takes the size off, to the last rounding: as if the logits had not been enlarged.
    assert standardised.accuracy == check(network, unseen, logit_scale="standardised").accuracy
    assert standardised.suspicious == ()


def test_wrong_arguments_are_named(network: nn.Module, unseen: tuple[Tensor, Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match="epsilon must be positive"):
        masking_check(network, [unseen], epsilon=0, generator=generator)
    with pytest.raises(InputError, match="at least one image"):
        masking_check(network, [], epsilon=0.1, generator=generator)
