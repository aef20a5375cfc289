"""The mixing of one epoch's batches: plans drawn or decided by a network, images, labels and mixtures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rolewise.augment import MixPlan, mix_images, mix_labels
from rolewise.augment.mix_pick import keep_highest, unix_plan
from rolewise.augment.mix_plan import after_clean, join
from rolewise.batch import Batch, Mixture
from rolewise.data.source_batches import ImageBatch
from rolewise.distill import Distiller
from rolewise.seeds import generator
from rolewise.train.mixing import Mixing, entropies

#: Batches whose plans share a stream. It is part of every byte that is trained on mixed images, and no setting.
GROUP = 8
Images = tuple[Tensor, Tensor | None]


class Mixer:
    """Mixes the augmented images of one epoch.

    Mixing comes after augmentation and before normalisation, so that it is the same for networks that are normalised
    differently. Under the views ``clean`` and ``own`` the teacher sees the same mix, pairs, ratios and boxes, of its
    own images.

    Args:
        distiller: student and teacher; pairs by entropy are decided by one of them.
        mixing: the rule of mixing.
        progress: the fraction of training done at the epoch's beginning.
        batch_size: B.
        num_classes: K.
        channels_last: memory layout of the images.
        labels: int64 [M], the classes of the epoch's images in their order.
        size: (H, W) of the images in pixels.
        seed: of all draws.
        names: of the epoch's stream. `GROUP` batches share a stream, whatever the chunks are.
    """

    def __init__(
        self,
        distiller: Distiller,
        mixing: Mixing,
        *,
        progress: float,
        batch_size: int,
        num_classes: int,
        channels_last: bool,
        labels: Tensor,
        size: tuple[int, int],
        seed: int,
        names: Sequence[str | int],
    ) -> None:
        self._channels_last = channels_last
        self._distiller, self._mixing, self._mix = distiller, mixing, mixing.at(progress)
        self._batch_size, self._classes, self._size = batch_size, num_classes, size
        self._seed, self._names = seed, tuple(names)
        # Classes are read off the device only where pairs depend on them.
        self._labels = torch.zeros(len(labels)).long() if self._mix.pairs == "any" else labels.cpu()
        self._group: tuple[int, list[MixPlan]] | None = None

    def batches(
        self, chunk: ImageBatch, student: Tensor, teacher: Tensor | None, first: int
    ) -> Iterator[tuple[Batch, int]]:
        """Gives the batches of a chunk of whole ones, and the number of mixed rows of each.

        Args:
            chunk: classes and indices.
            student: images as the student sees them, [M, C, H, W].
            teacher: images as the teacher sees them; None where it sees the student's, or is not run.
            first: the number of the chunk's first batch in the epoch.
        """
        parts = parts_of(len(student), self._batch_size)
        plans = [] if self._mixing.unix else self._drawn(first, len(student))
        if self._mixing.by is None and not self._mixing.clean_too:
            # Of many batches at once: on small images drawing and blending are mostly overhead.
            yield from self._applied(chunk, (student, teacher), plans[0], parts, parts)
            return
        for number, part in enumerate(parts, first):
            local = [plan[part].shifted(-part.start) for plan in plans]
            images = student[part], teacher[part] if teacher is not None else None
            plan = self._decided(*images, local, number)
            small = ImageBatch(chunk.images[part], chunk.labels[part], chunk.indices[part])
            # More rows than images where the clean ones come first.
            yield from self._applied(small, images, plan, [slice(0, len(images[0]))], [slice(0, len(plan))])

    def _drawn(self, first: int, count: int) -> list[MixPlan]:
        """Returns a plan for a chunk, or two of which a network picks, out of those of its groups of batches."""
        start, pieces = first * self._batch_size, list[list[MixPlan]]()
        rows = GROUP * self._batch_size
        for number in range(start // rows, -(-(start + count) // rows)):
            begin = number * rows
            part = slice(max(start - begin, 0), min(start + count - begin, rows))
            pieces.append([plan[part].shifted(begin - start) for plan in self._of_group(number)])
        return [join(list(same)) for same in zip(*pieces, strict=True)]

    def _of_group(self, number: int) -> list[MixPlan]:
        """Returns the plans of a group of batches; the last one is kept, as the next chunk may begin within it."""
        if self._group is None or self._group[0] != number:
            rows = GROUP * self._batch_size
            labels, stream = self._labels[number * rows : (number + 1) * rows], self._stream("group", number)
            draws = 1 if self._mixing.by is None else 2
            plans = [self._mix.draw(labels, self._size, stream, batch_size=self._batch_size) for _ in range(draws)]
            self._group = number, plans
        return self._group[1]

    def _stream(self, *names: str | int) -> torch.Generator:
        return generator(self._seed, *self._names, *names)

    def _decided(self, student: Tensor, teacher: Tensor | None, drawn: list[MixPlan], number: int) -> MixPlan:
        """Returns the plan of one batch: as drawn, or as a network's entropy decides; after the clean images or not."""
        if self._mixing.unix:
            mix, sharpness = self._mix, self._mixing.sharpness
            settings = {"alpha": mix.alpha, "ratio": mix.ratio, "fold": mix.fold, "sharpness": sharpness}
            plan = unix_plan(self._scores(student, teacher, None), self._stream("batch", number), **settings)  # type: ignore[arg-type]
        elif self._mixing.by is not None:
            pool = join(drawn)
            plan = keep_highest(pool, self._scores(student, teacher, pool), len(student))
        else:
            plan = drawn[0]
        return after_clean(plan, len(student)) if self._mixing.clean_too else plan

    def _scores(self, student: Tensor, teacher: Tensor | None, plan: MixPlan | None) -> Tensor:
        """Returns the deciding network's entropies of a batch, mixed by a plan or as it is."""
        distiller = self._distiller
        if self._mixing.by == "teacher_entropy":
            assert distiller.teacher is not None
            network, images, spec = distiller.teacher, student if teacher is None else teacher, distiller.teacher_input
        else:
            first = next(iter(distiller.students.values()))
            network, images, spec = first, student, distiller.student_input
        shown = images if plan is None else mix_images(images, plan.to(images.device))
        return entropies(network, laid_out(shown, self._channels_last), spec)

    def _applied(
        self, chunk: ImageBatch, images: Images, plan: MixPlan, bases: list[slice], rows: list[slice]
    ) -> Iterator[tuple[Batch, int]]:
        """Applies a plan and gives its rows, batch by batch.

        Args:
            chunk: classes and indices of the unmixed images.
            images: the unmixed images of student and teacher.
            plan: of M rows.
            bases: for each batch the unmixed images that its rows are made of.
            rows: for each batch its rows.
        """
        (student, teacher), targets = images, self._mixing.targets
        here = plan.to(student.device)
        blended, soft = mix_images(student, here), mix_labels(chunk.labels, here, self._classes)
        unmixed = student if teacher is None else teacher
        mixed = mix_images(teacher, here) if teacher is not None and targets != "outputs" else None
        corrects = targets != "image" and bool(self._distiller.methods)
        for base, part in zip(bases, rows, strict=True):
            shown, mixture, local = mixed[part] if mixed is not None else None, None, here[part]
            if corrects:
                own = local.shifted(-base.start)
                mixture = Mixture(own.sources, own.partners, own.ratios, chunk.labels[base], targets)
                shown = unmixed[base] if targets == "outputs" else shown
            views = {} if shown is None else {"teacher": laid_out(shown, self._channels_last)}
            inputs, indices = laid_out(blended[part], self._channels_last), chunk.indices[local.sources]
            yield Batch(inputs, soft[part], indices, views, mixture), int(plan.mixed[part].sum())


def laid_out(images: Tensor, channels_last: bool) -> Tensor:
    """Returns images in the memory layout that the networks want."""
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images


def parts_of(count: int, size: int) -> list[slice]:
    """Returns the slices of ``size`` that ``count`` rows are divided into; the last one may be smaller."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
