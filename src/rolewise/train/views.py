"""What each network sees in a step: augmented, mixed, and the teacher as the view says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.augment import MixPlan, Schedule, apply, mix_images, mix_labels
from rolewise.augment.mix_pick import keep_highest, unix_plan
from rolewise.augment.mix_plan import after_clean, join
from rolewise.data import Source
from rolewise.data.source_batches import Batch
from rolewise.distill import Distiller, Pairs
from rolewise.seeds import generator
from rolewise.train.mixing import Mixing, entropies
from rolewise.train.settings import TrainSettings

#: Large images are augmented fewer at once: the work takes several times their bytes.
CHUNK_BYTES = 1 << 24


def at_once(source: Source, settings: TrainSettings) -> int:
    """Returns how many images are augmented at once: whole batches, since tiny ones are mostly overhead."""
    height, width = source.size
    count = min(settings.chunk, CHUNK_BYTES // (source.channels * height * width))
    return max(1, count // settings.batch_size) * settings.batch_size


@dataclass(frozen=True)
class Given:
    """What one step is given.

    Args:
        images: [M, C, H, W] as the student sees them: uint8, or float32 in [0, 1] where whole images are blended.
        labels: int64 [M], or soft [M, K] where images are mixed.
        teacher_images: as the teacher sees them; None where it sees the student's, or is not asked.
        pairs: how they were mixed, where the teacher's outputs are to be made to fit.
    """

    images: Tensor
    labels: Tensor
    teacher_images: Tensor | None = None
    pairs: Pairs | None = None


class Views:
    """What the networks see in one epoch.

    Mixing comes after augmentation and before normalisation, so that it is the same for networks that are normalised
    differently. Under ``clean`` and ``own`` the teacher sees the same mix, pairs, ratios and boxes, of its own images.

    Args:
        distiller: student and teacher, which pairs by entropy ask.
        settings: of the training.
        num_classes: K.
        augmentation: what the student sees, over training.
        teacher_augmentation: what the teacher sees under ``own``.
        view: ``shared``, ``clean`` or ``own``.
        mixing: how images are mixed; None for not at all.
        progress: the fraction of training done at the epoch's beginning.
        seed: of all draws.
        epoch: whose streams they are: the images', the teacher's own and that of mixing, none of which moves another.
    """

    def __init__(
        self,
        distiller: Distiller,
        settings: TrainSettings,
        num_classes: int,
        *,
        augmentation: Schedule,
        teacher_augmentation: Schedule | None,
        view: str,
        mixing: Mixing | None,
        progress: float,
        seed: int,
        epoch: int,
    ) -> None:
        self._distiller, self._settings, self._classes = distiller, settings, num_classes
        self._schedules, self._view, self._progress = (augmentation, teacher_augmentation), view, progress
        self._mixing, self._mix = mixing, mixing.at(progress) if mixing is not None else None
        self.stream = generator(seed, "epoch", epoch)
        self._teacher_stream = generator(seed, "epoch", epoch, "teacher")
        self._mix_stream = generator(seed, "epoch", epoch, "mix")
        self._rows, self._mixed = 0, 0

    @property
    def mixed_share(self) -> float | None:
        """The share of the images so far that were mixed in effect; None where nothing is to be mixed."""
        return self._mixed / max(1, self._rows) if self._mixing is not None else None

    def steps(self, chunk: Batch) -> Iterator[Given]:
        """Gives what the steps see, out of the images of several."""
        student, teacher = self._augmented(chunk.images)
        parts = _parts(len(student), self._settings.batch_size)
        if self._mixing is None:
            for part in parts:
                shown = self._laid_out(teacher[part]) if teacher is not None else None
                yield Given(self._laid_out(student[part]), chunk.labels[part], shown)
            return
        plans = [] if self._mixing.unix else self._draw(chunk)
        if self._mixing.by is None and not self._mixing.clean_too:
            # Of many batches at once: on small images drawing and blending are mostly overhead.
            yield from self._given(student, teacher, chunk.labels, plans[0], parts)
            return
        for part in parts:
            local = [plan[part].shifted(-part.start) for plan in plans]
            one = student[part], teacher[part] if teacher is not None else None
            yield from self._given(*one, chunk.labels[part], self._decided(*one, local), None)

    def _draw(self, chunk: Batch) -> list[MixPlan]:
        """Returns a plan for the chunk, or two of which a network picks."""
        assert self._mix is not None and self._mixing is not None
        size, batch = (chunk.images.shape[2], chunk.images.shape[3]), self._settings.batch_size
        # Classes are read off the device only where pairs depend on them.
        labels = torch.zeros(len(chunk.labels)).long() if self._mix.pairs == "any" else chunk.labels.cpu()
        draws = 1 if self._mixing.by is None else 2
        return [self._mix.draw(labels, size, self._mix_stream, batch_size=batch) for _ in range(draws)]

    def _decided(self, student: Tensor, teacher: Tensor | None, drawn: list[MixPlan]) -> MixPlan:
        """Returns the plan of one batch: as drawn, or as a network's entropy decides; after the clean images or not."""
        mixing, mix = self._mixing, self._mix
        assert mixing is not None and mix is not None
        if mixing.unix:
            scores = self._scores(student, teacher, None)
            settings = {"alpha": mix.alpha, "ratio": mix.ratio, "fold": mix.fold, "sharpness": mixing.sharpness}
            plan = unix_plan(scores, self._mix_stream, **settings)  # type: ignore[arg-type]
        elif mixing.by is not None:
            pool = join(drawn)
            plan = keep_highest(pool, self._scores(student, teacher, pool), len(student))
        else:
            plan = drawn[0]
        return after_clean(plan, len(student)) if mixing.clean_too else plan

    def _scores(self, student: Tensor, teacher: Tensor | None, plan: MixPlan | None) -> Tensor:
        """Returns the entropies that the deciding network has for a batch, mixed by a plan or as it is."""
        distiller = self._distiller
        assert self._mixing is not None
        if self._mixing.by == "teacher_entropy":
            assert distiller.teacher is not None
            network, images, spec = distiller.teacher, student if teacher is None else teacher, distiller.teacher_input
        else:
            network, images, spec = distiller.student, student, distiller.student_input
        shown = images if plan is None else mix_images(images, plan.to(images.device))
        return entropies(network, self._laid_out(shown), spec)

    def _given(
        self, student: Tensor, teacher: Tensor | None, labels: Tensor, plan: MixPlan, parts: list[slice] | None
    ) -> Iterator[Given]:
        """Applies a plan, and gives its parts; all of it as one where there are none."""
        assert self._mixing is not None
        self._rows, self._mixed = self._rows + len(plan), self._mixed + int(plan.mixed.sum())
        here, targets = plan.to(student.device), self._mixing.targets
        images, soft = mix_images(student, here), mix_labels(labels, here, self._classes)
        unmixed = student if teacher is None else teacher
        mixed = mix_images(teacher, here) if teacher is not None and targets != "outputs" else None
        corrects = targets != "image" and bool(self._distiller.methods)
        for part in parts or [slice(0, len(plan))]:
            shown, pairs = mixed[part] if mixed is not None else None, None
            if corrects:
                base = part if parts else slice(0, len(student))
                local = here[part].shifted(-part.start)
                pairs = Pairs(local.sources, local.partners, local.ratios, labels[base], targets)
                shown = unmixed[base] if targets == "outputs" else shown
            yield Given(
                self._laid_out(images[part]), soft[part], self._laid_out(shown) if shown is not None else None, pairs
            )

    def _augmented(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the student's images, and the teacher's; None where it sees the student's, or is not asked."""
        augmentation, teacher_augmentation = self._schedules
        seen = self._apply(images, augmentation, self.stream)
        if self._view == "shared" or not self._distiller.methods:
            return seen, None
        if self._view == "clean":
            return seen, images
        assert teacher_augmentation is not None
        return seen, self._apply(images, teacher_augmentation, self._teacher_stream)

    def _apply(self, images: Tensor, schedule: Schedule, stream: torch.Generator) -> Tensor:
        size = (images.shape[1], images.shape[2], images.shape[3])
        plan = schedule.at(self._progress).draw(len(images), size, stream)
        if not plan.ops.shape[1]:
            return images
        return apply(images, plan, interpolation=self._settings.interpolation, fill=self._settings.fill)

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self._settings.channels_last else images


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
