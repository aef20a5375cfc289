"""One network by itself: built without weights, weighed, fed one batch, and looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rolewise.config.network_sections import ModelSection
from rolewise.errors import InputError, RolewiseError
from rolewise.experiment.declared_models import declared
from rolewise.experiment.trial.detector_trial import detector_output
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_memory import Unfilled, bytes_of, weigh
from rolewise.experiment.trial.network_outputs import RETURNED, SHAPES, Returning, fits
from rolewise.foreign_code import failed, is_import_path
from rolewise.inputs import InputSpec, call
from rolewise.logits import are_probabilities
from rolewise.models import construct
from rolewise.models.class_selection import select_classes
from rolewise.models.zoo import in_zoo
from rolewise.seeds import generator
from rolewise.tasks import build_task

#: Where tensors have shapes and no content.
NOWHERE = torch.device("meta")
CPU = torch.device("cpu")
#: Bytes of weights that are made and run in no time.
_SMALL = 2**26
#: Images of a trial: enough for a batch norm.
BATCH = 2
#: Sizes that networks of one fixed size usually want.
_SIZES = ((32, 32), (28, 28), (64, 64), (96, 96), (224, 224))


@dataclass(frozen=True)
class Network:
    """A network that takes the images and gives logits of the right shape.

    Args:
        module: itself.
        place: the device on which it was tried: ``meta``, or the CPU where it only works with content.
        probabilities: whether its outputs are probabilities and no logits; False where that is unknown.
    """

    module: nn.Module
    place: torch.device
    probabilities: bool = False


def input_fault(model: ModelSection, images: ImageFacts) -> str | None:
    """Returns the fault in the numbers of ``mean`` and ``std`` beside the images; None where there is none."""
    if images.texts is not None:
        return None
    model = declared(model)
    if model.mean is None or model.std is None:
        return None
    try:
        spec = InputSpec(model.mean, model.std, model.size)
    except InputError as error:
        return f"must be what images can be normalised with: {error}"
    if spec.channels != images.channels and images.channels != 1:
        return (
            f"must have {images.channels} numbers, as std, for images of {images.channels} channels, got "
            f"{spec.channels}; only grey images are repeated"
        )
    return None


def built(model: ModelSection, images: ImageFacts, place: torch.device) -> nn.Module:
    """Returns a network as training builds it, on a device.

    Raises:
        InputError: it cannot be built.
    """
    channels, height, width = images.fed(model)
    mapped = images.mapped
    with place, Unfilled():
        network = construct(
            model.name,
            model.arguments,
            num_classes=images.classes if mapped is None else mapped.classes,
            channels=channels,
            size=(height, width),
            seed=0,
            vocabulary=None if images.texts is None else images.texts.of(images.role).vocabulary,
        )
    return network if mapped is None else select_classes(network, mapped.indices)


def try_network(
    model: ModelSection, images: ImageFacts, *, trained: bool, device: torch.device, moments: int
) -> Network:
    """Builds a network and runs it once.

    It is weighed without content. A large network of Rolewise's own is run so, too; a small one as it is, since torch
    loads its compiler, for seconds, to run one without content; and so is code of somebody else, which may look at
    numbers, and only numbers show whether they are probabilities.

    Args:
        model: the network's section.
        images: facts of the data's images.
        trained: whether it is to be trained, rather than read from a file.
        device: that it will live on.
        moments: numbers that the optimiser keeps beside each weight and its gradient.

    Raises:
        InputError: it cannot be built, is too large for the machine, or cannot be trained on these images.
        ForeignError: code that is not Rolewise's raised.
    """
    try:
        module = built(model, images, NOWHERE)
    except Exception:
        # Perhaps it looks at its weights while it makes them: the CPU decides.
        module, weighed = built(model, images, CPU), True
    else:
        weighed = False
    weigh(module, device, 2 + moments if trained else 1)
    if ":" not in model.name and not weighed and bytes_of(module) > _SMALL:
        try:
            return _fed(module, model, images, NOWHERE, trained)
        except Exception:
            # As above: what goes wrong without content need not go wrong with it.
            pass
    return _fed(module if weighed else built(model, images, CPU), model, images, CPU, trained)


def _fed(module: nn.Module, model: ModelSection, images: ImageFacts, place: torch.device, trained: bool) -> Network:
    _check_weights(module, place, trained)
    if images.texts is not None:
        for longest in (None, images.texts.longest):
            texts = images.texts.example(images.role, place, longest)
            _logits(module.eval(), texts, model, images)
        if trained:
            _logits(module.train(), texts, model, images)
        return Network(module, place)
    channels, height, width = images.fed(model)
    # Pixels in [0, 1] as they come, and as a normalisation spreads them.
    batch = torch.zeros(BATCH, channels, height, width, device=place)
    if place == CPU:
        batch = torch.randn(batch.shape, generator=generator(0, "trial"))
    found = _logits(module.eval(), batch, model, images)
    if trained:
        _logits(module.train(), batch, model, images)
    return Network(module.eval(), place, place == CPU and images.kind == "classes" and are_probabilities(found))


def _check_weights(module: nn.Module, place: torch.device, trained: bool) -> None:
    parameters = dict(module.named_parameters())
    if not parameters:
        raise InputError("must have parameters, got a network without any; register them in its modules")
    if trained and not any(parameter.requires_grad for parameter in parameters.values()):
        raise InputError("must have parameters to train, got none that require a gradient; unfreeze some")
    for name, tensor in (*parameters.items(), *module.named_buffers()):
        if tensor.is_meta and place != NOWHERE:
            raise InputError(f'must have its weights in memory, got {name} on "meta"; build it on the CPU')
        if (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(
                f"must be in single precision (float32), got {name} in {kind}; end its function with .float(), and "
                "set train.precision for half precision while training"
            )


@torch.no_grad()
def _logits(module: nn.Module, batch: Tensor | dict[str, Tensor], model: ModelSection, images: ImageFacts) -> Tensor:
    """Returns the logits of a network for a batch, checked."""
    try:
        boxes = images.kind == "boxes" and isinstance(batch, Tensor)
        output = detector_output(module, batch) if boxes else call(module, batch)  # type: ignore[arg-type]
    except RolewiseError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if images.texts is not None:
            what = f"must take texts of {images.text}, by the keywords {', '.join(batch)}"
            why = f"raised {type(error).__name__}: {text[:200]}"
            raise InputError(f"{what}, and {why}; take a network of texts") from error
        remedy = _remedy(model, images, module.training)
        if remedy is None and ":" in model.name and not in_zoo(model.name):
            raise failed(f"must take images of {images.text}, and", model.name.partition(":")[0], error) from error
        raise InputError(
            f"must take images of {images.text}, and raised {type(error).__name__}: {text[:200]}; "
            + (remedy or "take another network, or set size and the numbers of mean and std to what it takes")
        ) from error
    how = " in training mode" if module.training else ""
    try:
        outputs_of = build_task(images.task).run(Returning(output), batch)
    except InputError as error:
        raise InputError(f"{error}{how and ', and this is what it returns' + how}") from error
    logits, (outputs, thing) = outputs_of.first, RETURNED[images.kind]
    own = is_import_path(images.task if isinstance(images.task, str) else images.task.get("name"))
    # What networks of a user's own task return is the task's matter.
    count = BATCH if isinstance(batch, dict) else len(batch)
    if not own and not fits(outputs_of, images, count):
        wanted = SHAPES.get(images.kind, "[B, {0}]").format(images.classes)
        raise InputError(
            f"must give {outputs} {wanted}{how}, one for each {thing} of the data, got "
            f"{['B', *logits.shape[1:]] if len(logits) == count else list(logits.shape)}".replace("'", "")
            + ("; set its pooling to tokens" if images.kind == "tags" else "; let it take num_classes")
        )
    return logits


def _remedy(model: ModelSection, images: ImageFacts, training: bool) -> str | None:
    """Returns settings with which a network takes the images, tried; None where nothing usual helps."""
    means = [None, (0.5,) * 3] if images.channels == 1 and model.mean is None else [None]
    sizes = [None, *_SIZES] if model.size is None else [None]
    for size in sizes:
        for mean in means:
            if size is None and mean is None:
                continue
            other = model.model_copy(update={"mean": mean or model.mean, "std": mean or model.std, "size": size})
            if _works(other, images, training):
                parts = ["mean and std of 3 numbers (grey images are then repeated to 3 channels)"] if mean else []
                parts += [f"size: [{size[0]}, {size[1]}]"] if size else []
                return "set its " + " and ".join(parts)
    return None


def _works(model: ModelSection, images: ImageFacts, training: bool) -> bool:
    try:
        module = built(model, images, CPU).train(training)
        batch = torch.zeros(BATCH, *images.fed(model))
        return fits(build_task(images.task).run(module, batch), images, BATCH)
    except Exception:
        return False
