"""Pretrained weights of other libraries' networks: from their caches, fetched where there is a network, or named."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from rolewise.errors import InputError
from rolewise.models.zoo import in_zoo, zoo_card
from rolewise.models.zoo_card import ZooCard
from rolewise.models.zoo_efficientnet_lite import lite_file
from rolewise.reach import hub_address, is_reachable, why_not
from rolewise.text_packages import text_folder

#: The word that stands for a file where a network's library has weights of its own.
PRETRAINED = "pretrained"


def pretrained_file(name: str) -> Path:
    """Returns the file of a network's pretrained weights, from the cache of its library, or fetched into it.

    Args:
        name: of the network, such as ``timm:resnet18``.

    Raises:
        InputError: the network is of no library, has no such weights, or they are not there and cannot be fetched; the
            file that is wanted is named.
    """
    if not in_zoo(name):
        raise InputError(
            f'"{PRETRAINED}" are weights of a network of timm, torchvision or hf, got model {name!r}; name a file'
        )
    card = zoo_card(name)
    if not card.file:
        raise InputError(f'"{name}" has no pretrained weights; name a file, or another network')
    if name.startswith("efficientnet_lite:"):
        return lite_file(name)
    folder = Path(text_folder(name.partition(":")[2]) if name.startswith("hf:") else name.partition(":")[2])
    if name.startswith("hf:") and folder.is_dir():
        return _in_folder(name, folder, card)
    return _of_hub(name, card) if card.repository else _of_address(name, card)


def _in_folder(name: str, folder: Path, card: ZooCard) -> Path:
    for file in _names(card):
        if (folder / file).is_file():
            return folder / file
    raise InputError(f'"{name}" needs one of the files {", ".join(_names(card))} in {folder}; put it there')


def _names(card: ZooCard) -> list[str]:
    return list(
        dict.fromkeys([card.file, "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"])
    )


def _of_hub(name: str, card: ZooCard) -> Path:
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InputError(
            f'"{name}" has its weights on the Hugging Face hub, whose package is not installed; '
            "pip install huggingface_hub, or name a file"
        ) from error
    fault = ""
    for local in (True, False):  # the cache alone first: it needs no network
        if not local and not is_reachable(hub_address()):
            fault = why_not(hub_address(), OSError())
            break
        for file in _names(card)[: None if local else 1]:
            try:
                found = Path(hub.hf_hub_download(card.repository, file, local_files_only=local))
            except Exception as error:
                fault = why_not(hub_address(), error)
                continue
            return found
    raise InputError(
        f'"{name}" needs the file {card.file} of {card.repository}, which is not in the cache of the Hugging Face hub '
        f"and could not be fetched ({fault}); fetch it where there is a network by: hf download {card.repository} "
        f"{card.file}, and name the file"
    )


def _of_address(name: str, card: ZooCard) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / card.file
    if path.is_file():
        return path
    try:
        if not is_reachable(card.url):
            raise OSError("no network")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written under another name first, by torch.
        torch.hub.download_url_to_file(card.url, str(path), _digest(card.file), progress=False)
    except Exception as error:
        raise InputError(
            f'"{name}" needs the file {path}, which is not there and could not be fetched from {card.url} '
            f"({why_not(card.url, error)}); fetch it where there is a network, and put it there or name it"
        ) from error
    return path


def _digest(file: str) -> str | None:
    """Returns the beginning of the SHA-256 that torch's files have in their names; None where there is none."""
    end = Path(file).stem.rpartition("-")[2]
    return end if len(end) >= 8 and all(letter in "0123456789abcdef" for letter in end) else None
