"""The registry of networks, and building one with weights that depend on a given seed alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, RolewiseError, near
from rolewise.foreign_code import failed, import_path
from rolewise.models.zoo import in_zoo, zoo_network
from rolewise.registry import Registry
from rolewise.seeds import check_seed

#: Functions ``(num_classes, channels, size, **arguments) -> nn.Module``.
MODELS: Registry[Callable[..., nn.Module]] = Registry("model")
#: What a network's function gets and nobody configures, and where it comes from. ``size`` may be another thing for it.
GIVEN = {
    "num_classes": "which is the data's number of classes",
    "channels": "which is that of the images, or of mean and std",
}


def build(
    name: str | Callable[..., nn.Module],
    *,
    num_classes: int,
    channels: int = 3,
    size: tuple[int, int] = (32, 32),
    seed: int | torch.Generator = 0,
    vocabulary: int | None = None,
    **arguments: Any,
) -> nn.Module:
    """Builds a network.

    The initial weights are a function of ``seed`` alone; torch's global random state is left as it was.

    Args:
        name: a registered name; a network of another library, such as ``timm:resnet18`` (see `rolewise.models.zoo`);
            or ``package.module:callable``, or a callable, which gets those of ``num_classes``, ``channels`` and
            ``size`` that it names, and ``arguments``; one with ``**anything`` gets ``num_classes``.
        num_classes: K, at least 1.
        channels: C, at least 1.
        size: (H, W) in pixels.
        seed: of the initial weights; a generator gives one number.
        vocabulary: number of the tokenizer's tokens, for a network of texts.
        arguments: the network's own.

    Returns:
        The network, on the CPU, in training mode.

    Raises:
        InputError: the name or an argument is unknown, the import fails, or no module comes of it.
    """
    given = {"num_classes": num_classes, "channels": channels, "size": size, "seed": seed, "vocabulary": vocabulary}
    return construct(name, arguments, **given)  # type: ignore[arg-type]


def construct(
    name: str | Callable[..., nn.Module],
    arguments: Mapping[str, Any],
    *,
    num_classes: int,
    channels: int,
    size: tuple[int, int],
    seed: int | torch.Generator,
    vocabulary: int | None = None,
) -> nn.Module:
    """Builds a network whose own arguments may be called anything, ``seed`` and ``name`` included (see `build`).

    A network of texts gets ``vocabulary``, the number of its tokenizer's tokens.

    Raises:
        InputError: as of `build`.
        ForeignError: a network's function that is not Rolewise's raised.
    """
    for key, number in (("num_classes", num_classes), ("channels", channels)):
        if number < 1:
            raise InputError(f"{key} must be at least 1, got {number}")
    function = _function(name)
    title = name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
    given: dict[str, Any] = {"num_classes": num_classes, "channels": channels, "size": size}
    if vocabulary is not None:
        given["vocabulary"] = vocabulary
    settings = _arguments(title, function, given, arguments)
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
    check_seed("seed", seed)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would move the GPUs' streams too, and those are not forked.
        torch.default_generator.manual_seed(seed)
        try:
            model = function(**settings)
        except MemoryError:
            raise  # nobody's code is at fault
        except (Exception, SystemExit) as error:
            if isinstance(error, RolewiseError) or (isinstance(name, str) and (":" not in name or in_zoo(name))):
                raise InputError(f'model "{title}": {error}') from error
            raise failed(f'model "{title}"', getattr(function, "__module__", None) or title, error) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f'model "{title}" must give a torch.nn.Module, got {type(model).__name__}; let it return the network'
        )
    lazy = [key for key, weight in (*model.named_parameters(), *model.named_buffers()) if nn.parameter.is_lazy(weight)]
    if lazy:
        raise InputError(
            f'model "{title}" must have weights of known shapes, got {lazy[0]}, which is made by the first batch; '
            "run one batch through the network in its function, or give its layers their numbers of inputs"
        )
    return model


def _function(name: str | Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    if not isinstance(name, str):
        return name
    if in_zoo(name):
        return zoo_network(name)
    return import_path(name) if ":" in name else MODELS[name]


def _arguments(
    title: str, function: Callable[..., nn.Module], given: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the arguments of a network's function: those of ``given`` that it names, and all of ``own``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise InputError(f'model "{title}" must have a signature ({error}); wrap it in a function') from error
    for key in own:
        if key in GIVEN:
            raise InputError(f'arguments of model "{title}" must not hold {key!r}, {GIVEN[key]}; leave it out')
    if "vocabulary" in given and "vocabulary" in own:
        raise InputError(f'arguments of model "{title}" must not hold vocabulary, that of the tokenizer; leave it out')
    needed = parameters.get("vocabulary")
    if needed is not None and needed.default is needed.empty and "vocabulary" not in {**given, **own}:
        raise InputError(f'model "{title}" takes texts, and the data are images; take a network of images')
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in own:
        if key not in parameters and not takes_any:
            known = [parameter for parameter in parameters if parameter not in given]
            raise InputError(f'no such setting of model "{title}": {key!r}{near(key, known)}')
    taken = {key: value for key, value in given.items() if key in parameters or (takes_any and key == "num_classes")}
    return {**taken, **own}


def initialise_convolutions(network: nn.Module) -> None:
    """Draws the weights of all convolutions for ReLUs behind them (He et al., 2015, by fan out); their biases are 0.

    The draws come from torch's own stream, which `build` seeds for each network.

    Args:
        network: changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@torch.no_grad()
def init_from(student: nn.Module, teacher: nn.Module) -> list[str]:
    """Copies every weight and statistic of equal name and shape from teacher to student.

    A student that is a part of its teacher, such as some of its layers, names what it takes by ``names_in``.

    Returns:
        The names copied.

    Raises:
        InputError: nothing fits, or nothing but biases, norms and counters; the student stays as it is.
    """
    source: dict[str, Tensor] = teacher.state_dict()
    fitting: dict[str, tuple[Tensor, Tensor]] = {}
    names_in: Callable[[list[str]], dict[str, str]] | None = getattr(student, "names_in", None)
    names = names_in(list(source)) if names_in is not None else {}
    for name, target in student.state_dict().items():
        origin = names.get(name, name)
        if origin in source and source[origin].shape == target.shape:
            fitting[name] = target, source[origin]
    # Counters of batch norms and the head's bias fit between any two networks of a family, and are no initialisation.
    if not any(target.ndim > 1 for target, _ in fitting.values()):
        alone = f"none but {', '.join(list(fitting)[:3])}" if fitting else "none"
        raise InputError(
            f'init "teacher" must find weights of equal name and shape in student and teacher, got {alone}; '
            'use the teacher\'s architecture, or init "random"'
        )
    for target, value in fitting.values():
        target.copy_(value)
    return list(fitting)
