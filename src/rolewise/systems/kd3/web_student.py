"""The student of web pictures: its network, its losses, and its training with a choice of pictures in each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rolewise.augment.mix_draws import draw_ratios
from rolewise.augment.mixed_statistics import mixed_statistics
from rolewise.data.confident_choice import Confidence, joint_confidence, surest
from rolewise.distill.contrast import contrast_loss
from rolewise.distill.methods.kd import kd_loss
from rolewise.errors import Interrupted
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.seeds import derive_seed, generator
from rolewise.systems.digit_bench import STUDENT_WIDTHS, CosineAdam, eval_logits, small_network


@dataclass(frozen=True)
class WebRecipe:
    """The parts that a student's training has.

    Args:
        pictures: the networks that choose them: none (``random``), the ``teacher``, or ``both``.
        quota: whether each class has its number among those that are chosen.
        head: the student's ``own`` classifier; its own behind a ``projector`` to the teacher's width; or the
            teacher's, which is ``shared`` and frozen.
        features: whether the student's features behind the projector are drawn to the teacher's.
        weighted: whether each picture's features count by its score.
        mixed: whether features of mixed statistics are contrasted with the teacher's.
    """

    pictures: Literal["random", "teacher", "both"] = "both"
    quota: bool = True
    head: Literal["own", "projector", "shared"] = "shared"
    features: bool = True
    weighted: bool = True
    mixed: bool = True


PLAIN = WebRecipe(head="own", features=False, weighted=False, mixed=False)


def web_network(teacher: Any, recipe: WebRecipe, seed: int) -> Any:
    """Returns the student's network; equal seeds give equal weights of equal parts.

    Args:
        teacher: a small network of two stages; its classifier is copied where the recipe shares it.
        recipe: of the student.
        seed: of the repetition.
    """
    if recipe.head == "own":
        return small_network(seed, "web student")
    network: Any = build(
        "reused_head",
        num_classes=teacher.fc.out_features,
        channels=1,
        size=(8, 8),
        seed=derive_seed(seed, "web student", "projector"),
        body="small_cnn",
        body_arguments={"widths": list(STUDENT_WIDTHS)},
        width=teacher.fc.in_features,
    )
    if recipe.head == "shared":
        network.fc.load_state_dict(teacher.fc.state_dict())
    else:
        network.fc.requires_grad_(True)
    return network


def web_loss(
    network: Any, teacher: Any, images: Tensor, scores: Tensor, recipe: WebRecipe, settings: Any, draws: torch.Generator
) -> Tensor:
    """Returns the loss of a batch of pictures, a scalar.

    Args:
        network: the student, in training mode.
        teacher: in eval mode.
        images: [B, 1, H, W].
        scores: [B], of each picture.
        recipe: the parts of the loss.
        settings: temperatures and weights, of the system.
        draws: generator of partners and ratios.
    """
    with torch.no_grad():
        known = teacher.pool(teacher.stages(images))
        wanted = teacher.fc(known)
    first, rest = network.stages[0], network.stages[1:]
    maps, added = first(images), images.new_zeros(())
    if recipe.mixed:
        partners = torch.randperm(len(images), generator=draws)
        mixed = mixed_statistics(maps, partners, draw_ratios((len(images),), settings.mix_alpha, draws))
        contrast = contrast_loss(network.pool(rest(mixed)), known, settings.contrast_temperature)
        added = added + settings.contrast_weight * contrast.mean()
    features = network.pool(rest(maps))
    if recipe.features:
        # Weights of mean 1, so that weighted features count no less than others.
        weights = scores / scores.mean() if recipe.weighted else torch.ones_like(scores)
        apart = (features - known).square().mean(dim=1)
        added = added + settings.feature_weight * (weights * apart).mean()
    return kd_loss(network.fc(features), wanted, temperature=settings.temperature).mean() + added


def train_on_web(
    network: Any, teacher: Any, pool: Tensor, recipe: WebRecipe, settings: Any, seed: int, context: JobContext
) -> Tensor:
    """Trains a student on pictures that are chosen anew in each epoch, and returns how often each was chosen.

    Args:
        network: it is trained in place.
        teacher: in eval mode.
        pool: all pictures, [N, 1, H, W].
        recipe: the parts of the training.
        settings: of the system.
        seed: of the repetition: pictures at random, order, partners.
        context: the surroundings; a stop ends the training.

    Returns:
        int64 [N].
    """
    classes, batch = teacher.fc.out_features, settings.batch_size
    chosen_times = torch.zeros(len(pool), dtype=torch.int64)
    taught, steps = eval_logits(teacher, pool), -(-settings.chosen // batch)
    optimizer = CosineAdam(network, settings.learning_rate, settings.epochs * steps)
    for epoch in range(settings.epochs):
        if context.should_stop():
            raise Interrupted("stopped between two epochs")
        share = 0.5 * epoch / max(1, settings.epochs - 1) if recipe.pictures == "both" else 0.0
        confidence = joint_confidence(taught, eval_logits(network, pool) if share else None, share)
        draws = generator(seed, "web", "epoch", epoch)
        order = _order(confidence, recipe, settings.chosen, classes, draws)
        chosen_times += torch.bincount(order, minlength=len(pool)).clamp(max=1)
        network.train()
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            scores = confidence.score[rows]
            optimizer.step(web_loss(network, teacher, pool[rows], scores, recipe, settings, draws))
    network.eval()
    return chosen_times


def _order(confidence: Confidence, recipe: WebRecipe, count: int, classes: int, draws: torch.Generator) -> Tensor:
    """Returns ``count`` places in a random order; where fewer are chosen they come again, so that steps are equal."""
    total = len(confidence.score)
    if recipe.pictures == "random":
        return torch.randperm(total, generator=draws)[:count]
    chosen = surest(confidence, count, classes, quota=recipe.quota)
    shuffled = chosen[torch.randperm(len(chosen), generator=draws)]
    return shuffled[torch.arange(count) % len(shuffled)]
