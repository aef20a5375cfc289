"""Checkpoints: weights as safetensors, the rest loadable without executing anything; whole or not there."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path, sha256, write_bytes
from rolewise.models.weight_fit import check_fit
from rolewise.sealed_bytes import seal_bytes, unseal_bytes
from rolewise.tensors import read_head, read_head_first, read_tensors, shapes_in

#: How many generations are kept: a damaged one falls back to the one before.
KEPT = 2


def save_weights(model: nn.Module, path: AnyPath) -> None:
    """Writes a network's state dict as safetensors."""
    write_bytes(path, save(_flat(model.state_dict())))


def load_weights(model: nn.Module, path: AnyPath) -> None:
    """Loads a file of `save_weights` into a network of the same kind.

    Raises:
        InputError: the file is missing, damaged, or of another network.
    """
    path = as_path(path)
    where = f"file of weights {path}"
    # The head first: of another network's file nothing else is read.
    check_fit({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}, shapes_in(path, where), path)
    weights, _ = read_tensors(path, where)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"weights {path} are those of another network: {str(error).splitlines()[-1]}") from error


def save_checkpoint(folder: AnyPath, epoch: int, state: dict[str, Any], *, step: int = 0) -> None:
    """Writes one generation and removes those that are too old.

    Args:
        folder: of the checkpoints.
        epoch: the number of epochs done, which names the generation.
        state: of `Trainee.state_dict`.
        step: the number of steps done within the next epoch, which names it too.
    """
    folder = as_path(folder, "folder")
    rest = {name: value for name, value in state.items() if name not in ("weights", "average")}
    tensors = {f"weights/{name}": tensor for name, tensor in state["weights"].items()}
    tensors |= {f"average/{name}": tensor for name, tensor in state.get("average", {}).items()}
    weights = save(_flat(tensors))
    buffer = io.BytesIO()
    torch.save({**rest, "sha256": hashlib.sha256(weights).hexdigest()}, buffer)
    # Sealed too: the zip reader of torch takes no notice of wrong checksums.
    name = f"epoch-{epoch:06d}" + (f"-step-{step:09d}" if step else "")
    write_bytes(folder / f"{name}.safetensors", weights)
    # Second and last: a generation without this file does not count.
    write_bytes(folder / f"{name}.pt", seal_bytes(buffer.getvalue()))
    kept = {path.stem for path in _generations(folder)[-KEPT:]}
    # Temporary files and halves of generations are what a killed process left.
    leftovers = [path for path in folder.glob("epoch-*") if path.stem not in kept]
    for old in [*leftovers, *folder.glob(".epoch-*.tmp")]:
        old.unlink(missing_ok=True)


def load_checkpoint(folder: AnyPath, take: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any] | None:
    """Returns the newest generation that is whole, or None where there is none at all.

    Args:
        folder: of the checkpoints.
        take: is given the state; where it raises, as it does on the state of another network, the generation before
            is tried.

    Raises:
        InputError: there are checkpoints and none can be used.
    """
    folder = as_path(folder, "folder")
    faults = []
    for path in reversed(_generations(folder)):
        try:
            state = _read(path)
            if take is not None:
                take(state)
            return state
        except Exception as error:
            # A damaged archive fails in whatever way the bytes happen to lead to.
            faults.append(f"{path.name}: {error}")
    if faults:
        raise InputError(
            f"no checkpoint in {folder} can be used ({'; '.join(faults)}); delete the folder to start this stage anew"
        )
    return None


def _generations(folder: Path) -> list[Path]:
    """Returns the generations from the oldest on."""
    # By the stem: an epoch's end comes before the steps of the next epoch, whatever the suffix.
    return sorted(folder.glob("epoch-*.pt"), key=lambda path: path.stem)


def _read(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        # Of damaged bytes torch first warns that they look like another protocol's, then fails.
        warnings.simplefilter("ignore")
        state = torch.load(
            io.BytesIO(unseal_bytes(read_head_first(path, "checkpoint"))), map_location="cpu", weights_only=True
        )
    if not isinstance(state, dict) or "sha256" not in state:
        raise InputError("it is no checkpoint")
    weights = path.with_suffix(".safetensors")
    read_head(weights, f"weights {weights}")
    if sha256(weights, "weights") != state.pop("sha256"):
        raise InputError("its weights are damaged")
    for name, tensor in load(weights.read_bytes()).items():
        part, _, key = name.partition("/")
        state.setdefault(part, {})[key] = tensor
    return state


def _flat(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
