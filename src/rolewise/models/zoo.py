"""Networks of other libraries by name: timm, torchvision, transformers and EfficientNet-Lite, with their own input."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from torch import nn

from rolewise.errors import InputError, near
from rolewise.foreign_code import ZOOS
from rolewise.models.zoo_card import IMAGENET, INTERPOLATIONS, ZooCard
from rolewise.models.zoo_efficientnet_lite import lite_card, lite_network, packages_of
from rolewise.models.zoo_hugging_face import hf_card, hf_network


def in_zoo(name: str) -> bool:
    """Returns whether a model's name is that of another library's network, such as ``timm:resnet18``."""
    zoo, colon, rest = name.partition(":")
    return bool(colon) and zoo in ZOOS and bool(rest)


def zoo_package(name: str) -> tuple[str, str]:
    """Returns the package of a network's library and its version.

    Raises:
        InputError: it is not installed.
    """
    module = ZOOS[name.partition(":")[0]]
    try:
        return module, importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(_missing(name, module)) from error


@functools.lru_cache(maxsize=64)
def zoo_card(name: str) -> ZooCard:
    """Returns the declaration of a network's library, which is imported for it.

    Args:
        name: such as ``timm:resnet18.a1_in1k``.

    Raises:
        InputError: the library is not installed or cannot be imported, or knows no such network.
    """
    zoo, _, rest = name.partition(":")
    return _CARDS[zoo](_imported(name), rest)


def zoo_network(name: str) -> Callable[..., nn.Module]:
    """Returns the function ``(num_classes, channels, vocabulary, **arguments)`` that builds an untrained network.

    Raises:
        InputError: as of `zoo_card`.
    """
    zoo, _, rest = name.partition(":")
    library = _imported(name)
    zoo_card(name)

    def network(num_classes: int, channels: int, vocabulary: int | None = None, **arguments: Any) -> nn.Module:
        if vocabulary is not None and zoo != "hf":
            raise InputError("it takes images, and the data are texts; take a network of texts")
        more = {"vocabulary": vocabulary} if zoo == "hf" else {}
        return _BUILDERS[zoo](library, rest, num_classes, channels, arguments, **more)

    return network


def _missing(name: str, module: str) -> str:
    extra, _, rest = name.partition(":")
    if extra == "efficientnet_lite":
        return f'"{name}" needs the package {module}, which is not installed; {packages_of(rest)}'
    return f'"{name}" needs the package {module}, which is not installed; pip install "rolewise[{extra}]"'


def _imported(name: str) -> ModuleType:
    module = ZOOS[name.partition(":")[0]]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise InputError(_missing(name, module)) from error
        raise InputError(f'"{name}": {module} cannot be imported ({error}); install what it needs') from error
    except Exception as error:  # of an extension that was built for another torch
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f'"{name}": {module} cannot be imported ({why}); install the version that belongs to this torch'
        ) from error


def _timm_card(timm: ModuleType, rest: str) -> ZooCard:
    known = timm.list_models()
    if rest.partition(".")[0] not in known:
        raise InputError(f'"timm:{rest}" is no network of timm{near(rest.partition(".")[0], known)}')
    found = timm.get_pretrained_cfg(rest)
    if found is None:
        tags = timm.list_pretrained(f"{rest.partition('.')[0]}.*")
        raise InputError(f'"timm:{rest}" names no weights of timm{near(rest, tags)}')
    _, height, width = found.input_size
    repository = str(found.hf_hub_id or "")
    file = str(found.hf_hub_filename or "model.safetensors") if repository else str(found.url or "").rpartition("/")[2]
    return ZooCard(
        mean=tuple(found.mean),
        std=tuple(found.std),
        size=(height, width),
        interpolation=found.interpolation if found.interpolation in INTERPOLATIONS else "bilinear",
        classes=found.num_classes if file else None,
        repository=repository,
        file=file,
        url="" if repository else str(found.url or ""),
    )


def _torchvision_card(torchvision: ModuleType, rest: str) -> ZooCard:
    models = importlib.import_module(f"{torchvision.__name__}.models")
    name, _, tag = rest.partition(".")
    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f'"torchvision:{rest}" is no classifier of torchvision{near(name, known)}')
    sets = models.get_model_weights(name)
    if tag and tag not in sets.__members__:
        raise InputError(f'"torchvision:{rest}" names no weights of {name}{near(tag, sets.__members__)}')
    found = sets[tag] if tag else getattr(sets, "DEFAULT", None)
    if found is None:
        return ZooCard(*IMAGENET, None, "bilinear", None)
    how = found.transforms()
    side = how.crop_size[0]
    interpolation = getattr(how.interpolation, "value", str(how.interpolation))
    return ZooCard(
        mean=tuple(how.mean),
        std=tuple(how.std),
        size=(side, side),
        interpolation=interpolation if interpolation in INTERPOLATIONS else "bilinear",
        classes=len(found.meta["categories"]),
        file=found.url.rpartition("/")[2],
        url=found.url,
    )


def _timm_network(timm: ModuleType, rest: str, classes: int, channels: int, arguments: Mapping[str, Any]) -> nn.Module:
    network: nn.Module = timm.create_model(rest, pretrained=False, num_classes=classes, in_chans=channels, **arguments)
    return network


def _torchvision_network(
    torchvision: ModuleType, rest: str, classes: int, channels: int, arguments: Mapping[str, Any]
) -> nn.Module:
    if channels != 3:
        raise InputError(f"it takes images of 3 channels, got {channels}; leave mean and std out, or give 3 numbers")
    models = importlib.import_module(f"{torchvision.__name__}.models")
    # Auxiliary heads are of no use here, and only some networks have them.
    more = {"aux_logits": False, "init_weights": True} if rest.startswith(("googlenet", "inception")) else {}
    network: nn.Module = models.get_model(
        rest.partition(".")[0], weights=None, num_classes=classes, **{**more, **arguments}
    )
    return network


_CARDS: dict[str, Callable[[ModuleType, str], ZooCard]] = {
    "timm": _timm_card,
    "torchvision": _torchvision_card,
    "hf": hf_card,
    "efficientnet_lite": lite_card,
}
_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "timm": _timm_network,
    "torchvision": _torchvision_network,
    "hf": hf_network,
    "efficientnet_lite": lite_network,
}
