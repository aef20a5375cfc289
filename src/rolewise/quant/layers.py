"""Layers that compute with quantised weights and inputs: the float layers' own classes with two quantisers beside."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.quant.codes import Codes, Grid


class WeightQuantiser(Protocol):
    """A quantiser of a layer's weight."""

    bits: int

    def __call__(self, weight: Tensor) -> Tensor:
        """Returns the weights that the layer computes with."""
        ...

    def codes(self, weight: Tensor) -> Codes:
        """Returns them as whole numbers."""
        ...


class ActivationQuantiser(Protocol):
    """A quantiser of a layer's input."""

    bits: int

    def __call__(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with."""
        ...

    def grid(self) -> Grid:
        """Returns the levels."""
        ...


class Quantised:
    """The base of the quantised layers. A layer without one of its quantisers keeps that part in floating point."""

    path = ""  # in the network, for what an error says
    weight: Tensor
    weight_quantiser: WeightQuantiser | None
    activation_quantiser: ActivationQuantiser | None

    @property
    def weight_bits(self) -> int:
        """Bits of the weights; 32 for floating point."""
        return self.weight_quantiser.bits if self.weight_quantiser is not None else 32

    @property
    def activation_bits(self) -> int:
        """Bits of the input; 32 for floating point."""
        return self.activation_quantiser.bits if self.activation_quantiser is not None else 32

    def quantised_weight(self) -> Tensor:
        """Returns the weights that the layer computes with."""
        return self.weight_quantiser(self.weight) if self.weight_quantiser is not None else self.weight

    def codes(self) -> Codes | None:
        """Returns the weights as whole numbers; None where they stay in floating point."""
        return self.weight_quantiser.codes(self.weight) if self.weight_quantiser is not None else None

    def grid(self) -> Grid | None:
        """Returns the input's levels; None where it stays in floating point.

        Raises:
            InputError: they begin with the data, and no training batch has set them.
        """
        if self.activation_quantiser is None:
            return None
        try:
            return self.activation_quantiser.grid()
        except InputError as error:
            raise InputError(f"layer {self.path}: {error}") from error

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
        super()._load_from_state_dict(state, prefix, *arguments)  # type: ignore[misc]
        own = any(name.startswith(f"{prefix}weight_quantiser.") for name in state)
        begin = getattr(self.weight_quantiser, "begin", None)
        if begin is not None and f"{prefix}weight" in state and not own:
            # A float checkpoint: the step of the weights that were there before would not fit these.
            begin(self.weight.detach())

    def quantised_input(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with.

        Raises:
            InputError: its quantiser has no levels for such values.
        """
        if self.activation_quantiser is None:
            return values
        try:
            return self.activation_quantiser(values)
        except InputError as error:
            raise InputError(f"layer {self.path}: {error}") from error


class QuantisedLinear(Quantised, nn.Linear):
    """A linear layer at few bits."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns [..., out]."""
        return nn.functional.linear(self.quantised_input(input), self.quantised_weight(), self.bias)


class QuantisedConv1d(Quantised, nn.Conv1d):
    """A convolution over one axis at few bits, grouped ones included."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns [B, C, L]."""
        output: Tensor = self._conv_forward(self.quantised_input(input), self.quantised_weight(), self.bias)
        return output


class QuantisedConv2d(Quantised, nn.Conv2d):
    """A convolution over two axes at few bits, grouped ones included."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns [B, C, H, W]."""
        output: Tensor = self._conv_forward(self.quantised_input(input), self.quantised_weight(), self.bias)
        return output


#: The quantised class of each float one.
CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: QuantisedLinear,
    nn.Conv1d: QuantisedConv1d,
    nn.Conv2d: QuantisedConv2d,
}
