"""The answers of a run's main networks to the test images, image by image, with pictures of those that are hard."""

from __future__ import annotations

import io
from collections.abc import Mapping
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

PREDICTIONS = "predictions.npz"
#: Images of each kind that are kept as pictures, for each student.
PICTURES = 8
#: Pixels of a picture's longer side; larger images are made smaller.
LARGEST = 96
#: Of the answers; it is raised when their form changes, so that they are written anew.
_FORM = 1


def write_predictions(run: RunFolder, results: Mapping[str, Any]) -> bool:
    """Writes ``predictions.npz`` of a finished run of classification of images; of another task, or of texts, nothing.

    It holds the classes that each student named with distillation and without, in the arms that the run leads with,
    and those that their teacher named, for every seed: ``answers/<stage>``, int32 [N]; ``labels``, int32 [N], and for
    the hard images ``index``, int32 [P], and ``pictures``, uint8 [P, C, H, W]. Nothing is evaluated anew where the
    file is of the same networks already.

    Args:
        run: the run, whose test set has been opened.
        results: content of its ``results.json``.

    Returns:
        Whether the file is there.

    Raises:
        InputError: the run's files are damaged.
    """
    config = run.config()
    if builders.configured_task(config).name != "classification" or reads_texts(config.data.name):
        return False
    kinds = _networks(results)
    names = [f"seed{seed}/{name}" for seed in config.seeds for name in dict.fromkeys(chain(*kinds.values()))]
    key = digest_of([_FORM, {name: run.summary(name)["files"][WEIGHTS] for name in names}])
    if _is_of(run, key):
        return True
    answers: dict[str, Any] = {}
    for seed in config.seeds:
        data = seed_data_of(config, seed, builders.configured_device(config.device), run.root)
        # The same test set for every seed.
        opened = data.test.open(f"the answers image by image, seed {seed}")
        for name in (name for name in names if name.startswith(f"seed{seed}/")):
            answers[name], labels = _answers(run, data, opened, name)
    chosen: list[int] = []
    for mine in kinds.values():
        student, *rest = [np.stack([answers[f"seed{seed}/{name}"] for seed in config.seeds]) for name in mine]
        teacher = rest[-1] if mine[-1].startswith("teacher-") and rest else None
        hard = hard_images(labels, student, teacher, PICTURES)
        chosen += [*hard.hardest, *hard.teacher_right, *hard.student_right]
    index = sorted(set(chosen))
    arrays = {f"answers/{name}": found for name, found in answers.items()}
    arrays |= {"labels": labels, "index": np.array(index, np.int32), "pictures": _pictures(opened, index)}
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
