"""Files of weights as people have them: safetensors or torch.save, whole or in shards, bare or within a checkpoint."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rolewise.errors import InputError, near
from rolewise.files import AnyPath, as_path, open_regular, read_json
from rolewise.tensors import read_tensors, shapes_in

#: Where checkpoints keep a network's tensors; the first that is there is taken.
CONTAINERS = ("state_dict", "model_state_dict", "model", "ema", "state_dict_ema", "model_ema")
#: The end of the name of a file that lists shards.
INDEX = ".index.json"
#: Endings of files of torch.save.
_TORCH = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl")
#: How files of torch.save begin: as a zip archive, or, before 1.6, as a pickle.
_STARTS = (b"PK\x03\x04", b"\x80")
_META = torch.device("meta")


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a file.

    Args:
        path: the file; of shards, the list of them.
        tensors: by the names in the file; without content where only shapes were read.
        key: the dotted key of a checkpoint under which they were; empty for bare tensors.
        beside: other keys of the checkpoint that hold tensors too.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    key: str = ""
    beside: tuple[str, ...] = ()


def weight_files_of(path: AnyPath) -> list[Path]:
    """Returns the files that hold the weights of a path: itself, and the shards that it lists.

    Raises:
        InputError: the list of shards cannot be read, or names no files.
    """
    path = as_path(path)
    if not path.name.endswith(INDEX):
        return [path]
    listed = read_json(path, "list of shards")
    found = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise InputError(
            f"list of shards {path} must hold a weight_map of tensor to file; name a file of weights itself, or take "
            "the list anew from where the weights are from"
        )
    names = sorted(set(found.values()))
    if outside := [name for name in names if Path(name).name != name]:
        raise InputError(f"list of shards {path} must name files beside it, got {outside[0]!r}; put them there")
    shards = [path.parent / name for name in names]
    if missing := [shard.name for shard in shards if not shard.exists()]:
        raise InputError(
            f"list of shards {path} names {len(names)} files, of which {len(missing)} are not beside it "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}); put them there"
        )
    return [path, *shards]


def read_weights(path: AnyPath, key: str | None = None, *, content: bool = True) -> WeightFile:
    """Reads a file of weights; nothing in it is ever executed.

    Args:
        path: safetensors, a file of ``torch.save``, or a list of shards (``*.index.json``) of either.
        key: the dotted key of a checkpoint under which the tensors are; by default the first of `CONTAINERS`.
        content: whether the numbers are read; without them tensors have shapes and types alone.

    Raises:
        InputError: the file is missing, damaged, of another kind, or holds more than tensors and plain values.
    """
    path = as_path(path)
    first, *shards = weight_files_of(path)
    if not shards:
        return _read(first, key, content)
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        found = _read(shard, key, content)
        tensors |= found.tensors
    listed = read_json(path, "list of shards")["weight_map"]
    if missing := [name for name in listed if name not in tensors]:
        raise InputError(
            f"file of weights {path} lists {len(listed)} tensors, of which {len(missing)} are in no shard "
            f"({', '.join(missing[:3])}); take the files anew from where they are from"
        )
    return WeightFile(path, tensors, key or "")


def _read(path: Path, key: str | None, content: bool) -> WeightFile:
    where = f"file of weights {path}"
    with open_regular(path, "file of weights") as file:
        start = file.read(4)
    if not start.startswith(_STARTS):
        if path.suffix in _TORCH:
            raise InputError(f"{where} is damaged, or neither safetensors nor a file of torch.save; save it anew")
        return _of_safetensors(path, where, key, content)
    loaded = _loaded(path, where, content)
    if not isinstance(loaded, Mapping):
        raise InputError(
            f"{where} must hold tensors by name, got {_kind(loaded)}; save the network's state_dict() instead"
        )
    return _unwrapped(path, loaded, key)


def _of_safetensors(path: Path, where: str, key: str | None, content: bool) -> WeightFile:
    if content:
        tensors = read_tensors(path, where)[0]
    else:
        tensors = {name: torch.empty(shape, device=_META) for name, shape in shapes_in(path, where).items()}
    if key is not None:
        raise InputError(f"{where} is safetensors, which has tensors alone and no key {key!r}; leave key out")
    return WeightFile(path, tensors)


def _loaded(path: Path, where: str, content: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats
            return torch.load(path, map_location="cpu" if content else _META, weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"more than tensors and plain values ({named[1]})" if named else "what is no tensor and no plain value"
        raise InputError(
            f"{where} holds {what}, which could run code when it is read, and is not read. If you trust where it is "
            "from, convert it once:\n"
            "  import torch\n"
            f'  found = torch.load("{path}", map_location="cpu", weights_only=False)\n'
            '  found = found.get("state_dict", found.get("model", found)) if isinstance(found, dict) else found\n'
            "  found = found.state_dict() if isinstance(found, torch.nn.Module) else found\n"
            f'  torch.save(dict(found), "{path.stem}-weights.pt")'
        ) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise InputError(
                f"{where} is a TorchScript program, and no file of weights alone. Take its weights out:\n"
                "  import torch\n"
                f'  state = torch.jit.load("{path}", map_location="cpu").state_dict()\n'
                f'  torch.save(dict(state), "{path.stem}-weights.pt")'
            ) from error
        # A damaged archive fails in whatever way the bytes happen to lead to.
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{where} is damaged, or no file of torch.save ({why}); save it anew") from error


def _unwrapped(path: Path, loaded: Mapping[str, Any], key: str | None) -> WeightFile:
    """Returns the tensors of a checkpoint, wherever in it they are."""
    taken: list[str] = []
    content: Any = loaded
    for step in key.split(".") if key is not None else ():
        known = [str(name) for name in content] if isinstance(content, Mapping) else []
        if step not in known:
            have = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
            raise InputError(
                f"file of weights {path} has no key {'.'.join([*taken, step])!r}{near(step, known)}; it has "
                f"{have or 'none'}"
            )
        content = content[step]
        taken.append(step)
    beside: list[str] = []
    while isinstance(content, Mapping) and (inner := [name for name in CONTAINERS if _tensors_in(content.get(name))]):
        beside += [".".join([*taken, name]) for name in inner[1:]]
        content = content[inner[0]]
        taken.append(inner[0])
    entries = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value.detach() for name, value in entries if isinstance(value, Tensor)}
    if not tensors:
        inside = [str(name) for name, value in loaded.items() if _tensors_in(value)]
        remedy = (
            f"name where they are by key, such as key: {inside[0]}" if inside else "save the network's state_dict()"
        )
        place = f" under {'.'.join(taken)!r}" if taken else ""
        raise InputError(f"file of weights {path} has no tensors{place}; {remedy}")
    return WeightFile(path, tensors, ".".join(taken), tuple(beside))


def _tensors_in(value: Any) -> bool:
    """Returns whether a value is a mapping that holds tensors, itself or in a container within it."""
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(inner, Tensor) for inner in value.values()):
        return True
    return any(_tensors_in(value.get(name)) for name in CONTAINERS)


def _kind(value: Any) -> str:
    return f"one tensor {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
