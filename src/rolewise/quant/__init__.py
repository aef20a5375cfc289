"""Few bits: quantisers with straight-through gradients, conversion of any network, folding, counting."""

from rolewise.quant.affine import AffineActivation, AffineWeight, symmetric_scale
from rolewise.quant.codes import Codes, Grid
from rolewise.quant.conversion import float_layers, quantise, quantised_layers, restore
from rolewise.quant.dorefa import DorefaActivation, DorefaWeight, dorefa_activation, dorefa_weight
from rolewise.quant.folded_norms import fold_batch_norm
from rolewise.quant.layers import Quantised
from rolewise.quant.lsq import LsqActivation, LsqWeight, first_step
from rolewise.quant.network_cost import NetworkCost, operations, size_in_bytes
from rolewise.quant.packed_file import load_packed, pack, save_packed, unpack
from rolewise.quant.pact import PactActivation, pact_activation
from rolewise.quant.quantisers import QUANTISERS, Quantiser
from rolewise.quant.sensitivity import LayerSensitivity, Sensitivity, sensitivity
from rolewise.quant.straight_through import cut_to_grid, on_grid, round_through

__all__ = [
    "QUANTISERS",
    "AffineActivation",
    "AffineWeight",
    "Codes",
    "DorefaActivation",
    "DorefaWeight",
    "Grid",
    "LayerSensitivity",
    "LsqActivation",
    "LsqWeight",
    "NetworkCost",
    "PactActivation",
    "Quantised",
    "Quantiser",
    "Sensitivity",
    "cut_to_grid",
    "dorefa_activation",
    "dorefa_weight",
    "first_step",
    "float_layers",
    "fold_batch_norm",
    "load_packed",
    "on_grid",
    "operations",
    "pack",
    "pact_activation",
    "quantise",
    "quantised_layers",
    "restore",
    "round_through",
    "save_packed",
    "sensitivity",
    "size_in_bytes",
    "symmetric_scale",
    "unpack",
]
