"""The registry of quantisers: how weights and how activations are quantised, by name or by the user's own path."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.quant.affine import AffineActivation, AffineWeight
from rolewise.quant.dorefa import DorefaActivation, DorefaWeight
from rolewise.quant.lsq import LsqActivation, LsqWeight
from rolewise.quant.pact import PactActivation
from rolewise.registry import Registry


class Quantiser(NamedTuple):
    """Both parts of a quantiser.

    Args:
        weight: class of the weights' module, made of (weight, bits); see `rolewise.quant.layers.WeightQuantiser`.
        activation: class of the inputs' module, made of (bits); see `rolewise.quant.layers.ActivationQuantiser`.
    """

    weight: Callable[[Tensor, int], nn.Module]
    activation: Callable[[int], nn.Module]


def _adopt(path: str, found: Any) -> Quantiser:
    """Makes a quantiser of what an import path names: a pair, or a class of weights beside LSQ's activations."""
    if isinstance(found, tuple) and len(found) == 2 and all(map(callable, found)):
        return Quantiser(*found)
    if callable(found):
        try:
            inspect.signature(found).bind("weight", "bits")
        except (TypeError, ValueError) as error:
            raise InputError(
                f'"{path}" must take (weight, bits), as a quantiser of weights does ({error}); or name a '
                "rolewise.quant.Quantiser of two classes"
            ) from error
        return Quantiser(found, LsqActivation)
    raise InputError(
        f'"{path}" must be a class of (weight, bits), or a rolewise.quant.Quantiser of two classes, got '
        f"{type(found).__name__}"
    )


#: Every quantiser. PACT leaves weights open; its paper takes DoReFa's.
QUANTISERS: Registry[Quantiser] = Registry("quantiser", _adopt)
QUANTISERS.add("dorefa")(Quantiser(DorefaWeight, DorefaActivation))
QUANTISERS.add("pact")(Quantiser(DorefaWeight, PactActivation))
QUANTISERS.add("lsq")(Quantiser(LsqWeight, LsqActivation))
QUANTISERS.add("affine")(Quantiser(AffineWeight, AffineActivation))


def check_quantiser(module: object, name: str, *needed: str) -> nn.Module:
    """Returns a quantiser's module if it has what layers and exports call.

    Args:
        module: made by one of the two parts.
        name: of the quantiser, for the error.
        needed: attributes beside ``bits``.

    Raises:
        InputError: it is no module, or lacks one of them.
    """
    lacking = [attribute for attribute in ("bits", *needed) if not hasattr(module, attribute)]
    if not isinstance(module, nn.Module) or lacking:
        what = f"a module with {', '.join(lacking)}" if lacking else "a torch.nn.Module"
        raise InputError(f'quantiser "{name}" must make {what}, got {type(module).__name__}; add it')
    return module
