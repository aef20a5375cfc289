"""The answers of a run's main networks to the test images: image by image, with hard ones as pictures, or by class."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import torch

from rolewise.data import batches
from rolewise.data.reading_rules import reads_texts
from rolewise.data.splits import Opened
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stages import WEIGHTS, find_stage, trained_network
from rolewise.files import digest_of, read_bytes
from rolewise.inputs import prepare
from rolewise.networks import evaluating
from rolewise.seals import top_product, write_product
from rolewise.statistics.answers import run_answers
from rolewise.statistics.class_answers import hard_images
from rolewise.tasks import class_info, class_values
from rolewise.train import evaluate

PREDICTIONS = "predictions.npz"
#: Images of each kind that are kept as pictures, for each student.
PICTURES = 8
#: Pixels of a picture's longer side; larger images are made smaller.
LARGEST = 96
#: Of the answers; it is raised when their form changes, so that they are written anew.
_FORM = 1


def write_predictions(run: RunFolder, results: Mapping[str, Any]) -> bool:
    """Writes ``predictions.npz`` of a finished run of images in classes, masks or boxes; else nothing.

    It is of each student with distillation and without, in the arms that the run leads with, and of their teacher, for
    every seed. Of classes it holds those that were named: ``answers/<stage>``, int32 [N]; ``labels``, int32 [N], and
    for the hard images ``index``, int32 [P], and ``pictures``, uint8 [P, C, H, W]. Of masks and boxes it holds the IoU
    or AP of each class, ``by_class/<stage>``, float64 [K], with its ``title``, and of masks the pixels of each class
    by the predicted one, ``confusion/<stage>``, int64 [K, K]. Nothing is evaluated anew where the file is of the same
    networks already.

    Args:
        run: the run, whose test set has been opened.
        results: content of its ``results.json``.

    Returns:
        Whether the file is there.

    Raises:
        InputError: the run's files are damaged.
    """
    config = run.config()
    task = builders.configured_task(config)
    whole = task.name == "classification"
    if reads_texts(config.data.name) or not (whole or class_info(task)):
        return False
    kinds = _networks(results)
    names = [f"seed{seed}/{name}" for seed in config.seeds for name in dict.fromkeys(chain(*kinds.values()))]
    key = digest_of([_FORM, {name: run.summary(name)["files"][WEIGHTS] for name in names}])
    if _is_of(run, key):
        return True
    arrays = _image_by_image(run, kinds, names) if whole else _class_by_class(run, names)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, key=np.array(key), **arrays)
    write_product(run.root / PREDICTIONS, buffer.getvalue())
    return True


def _networks(results: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns for each student its main network, the same without distillation, and the teacher, where they are."""
    found = {}
    for answer in run_answers(results):
        names = [next(arm["name"] for arm in results["arms"] if arm["student"] == answer.student)]
        teacher = None
        if (gain := answer.headline) is not None:
            names, teacher = [gain.arm, gain.control], gain.teacher
        found[answer.student] = [f"{answer.student}-{name}" for name in names]
        found[answer.student] += [f"teacher-{teacher}"] if teacher is not None else []
    return found


def _is_of(run: RunFolder, key: str) -> bool:
    path = run.root / PREDICTIONS
    if not path.is_file():
        return False
    try:
        with np.load(
            io.BytesIO(read_bytes(top_product(path), "predictions", largest=2**30)), allow_pickle=False
        ) as held:
            return str(held["key"]) == key
    except (InputError, ValueError, KeyError, OSError):
        # Damaged or of another form: it is made again from the networks.
        return False


def _image_by_image(run: RunFolder, kinds: Mapping[str, list[str]], names: list[str]) -> dict[str, Any]:
    """Returns the classes that networks name, the true ones, and pictures of the hard images."""
    config, answers = run.config(), {}
    for data, opened, mine in _tested(run, names):
        for name in mine:
            answers[name], labels = _answers(run, data, opened, name)
    chosen: list[int] = []
    for one in kinds.values():
        student, *rest = [np.stack([answers[f"seed{seed}/{name}"] for seed in config.seeds]) for name in one]
        teacher = rest[-1] if one[-1].startswith("teacher-") and rest else None
        hard = hard_images(labels, student, teacher, PICTURES)
        chosen += [*hard.hardest, *hard.teacher_right, *hard.student_right]
    index = sorted(set(chosen))
    arrays = {f"answers/{name}": found for name, found in answers.items()}
    return arrays | {"labels": labels, "index": np.array(index, np.int32), "pictures": _pictures(opened, index)}


def _class_by_class(run: RunFolder, names: list[str]) -> dict[str, Any]:
    """Returns the IoU or AP of each class of each network, and of masks the pixels that it takes for others."""
    task = builders.configured_task(run.config())
    arrays: dict[str, Any] = {}
    for data, opened, mine in _tested(run, names):
        for name in mine:
            stage = find_stage(data.config, name)
            found = evaluate(
                trained_network(run, data, stage),
                data.seen_by(stage.role, opened.source),
                opened.indices,
                data.spec(section_of(data.config, stage.role).model),
                device=data.device,
                task=task,
            )
            each = class_values(found.metric, len(data.source.classes))
            assert each is not None
            arrays["title"] = np.array(each.info.title)
            arrays[f"by_class/{name}"] = each.values.numpy()
            if each.confusion is not None:
                arrays[f"confusion/{name}"] = each.confusion.numpy()
    return arrays


def _tested(run: RunFolder, names: list[str]) -> Iterator[tuple[SeedData, Opened, list[str]]]:
    """Gives the data of each seed with its opened test set, the same for all, and its networks among those named."""
    config = run.config()
    for seed in config.seeds:
        data = seed_data_of(config, seed, builders.configured_device(config.device), run.root)
        opened = data.test.open(f"the answers image by image, seed {seed}")
        yield data, opened, [name for name in names if name.startswith(f"seed{seed}/")]


@torch.no_grad()
def _answers(run: RunFolder, data: SeedData, opened: Opened, name: str) -> tuple[Any, Any]:
    """Returns the classes that a network names, and the true ones, int32 [N] each."""
    stage = find_stage(data.config, name)
    task, model = builders.configured_task(data.config), trained_network(run, data, stage)
    spec = data.spec(section_of(data.config, stage.role).model)
    answers, labels = [], []
    with evaluating(model):
        for part in batches(opened.source, opened.indices, 512, device=data.device):
            images = prepare(part.images, spec) if spec is not None else part.images.float() / 255
            answers.append(task.run(model, images).logits.argmax(1).cpu())
            labels.append(part.labels.cpu())
    return torch.cat(answers).int().numpy(), torch.cat(labels).int().numpy()


def _pictures(opened: Opened, index: list[int]) -> Any:
    """Returns test images as uint8 [P, C, H, W], no larger than `LARGEST`."""
    images = opened.source.batch(opened.indices[torch.tensor(index, dtype=torch.long)])
    longest = max(images.shape[2:])
    if longest > LARGEST and len(images):
        size = [max(1, round(side * LARGEST / longest)) for side in images.shape[2:]]
        small = torch.nn.functional.interpolate(images.float(), size, mode="bilinear", antialias=True)
        images = small.round().clamp(0, 255).to(torch.uint8)
    return images.cpu().numpy()
