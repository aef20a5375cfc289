"""A cache of teachers' outputs on disk: computed once for each view, read for every batch that shows it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolewise.batch import Batch
from rolewise.config.cache_section import CacheSection
from rolewise.data import TextData, batches
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path, digest_of, read_json, write_json
from rolewise.train.cache_key import cache_dependencies
from rolewise.train.cached_outputs import check_cached, columns_of, packed, rows_of, size_fault, spread, teacher_values
from rolewise.train.source_feed import SourceFeed
from rolewise.train.view_file import ViewFile

#: Examples that a teacher sees at once where it sees them as they are.
_CLEAN = 256


class TeacherCache:
    """The outputs of a training's frozen teachers, by view and example.

    A view is computed whole before the first batch that shows it, from the batches of one fixed epoch, without
    autocast, so that the numbers are the same whichever training computed them and however often it was interrupted.
    Its folder is named by all that it depends on: the teacher's weights and input, the examples, and the plans of
    augmentation.

    Source: Shen and Xing (2022), https://arxiv.org/abs/2112.01528, which keeps several views of each image and their
    largest probabilities.
    Differs from source: views are drawn by a schedule of augmentation, and recur in turn.

    Args:
        settings: of the cache.
        folder: of the files; made when the first is written.
        distiller: students, teachers and methods.
        feed: of the training; its number of views becomes that of the settings.

    Raises:
        InputError: a method reads more than is kept, the images are mixed, a teacher is not frozen or sees no such
            view, or the outputs take more than ``limit_gb``.
    """

    def __init__(self, settings: CacheSection, folder: AnyPath, distiller: Distiller, feed: SourceFeed) -> None:
        check_cached(settings, distiller, feed)
        self.settings, self.folder, self.distiller, self.feed = settings, as_path(folder, "cache"), distiller, feed
        self.indices = feed.indices.sort().values
        feed.views = settings.views if isinstance(settings.views, int) else None
        # Once: to take them the weights and all examples are read.
        self._fields = {
            role: cache_dependencies(settings, distiller, role, feed, self.indices) for role in distiller.teaching
        }
        self.files = {role: self.folder / digest_of(fields)[:32] for role, fields in self._fields.items()}
        self._columns = {role: self._form(role) for role in distiller.teaching}
        self._views: dict[str, tuple[int, ViewFile]] = {}
        if fault := size_fault(settings, self.views, len(self.indices), self.bytes):
            raise InputError(f"distill.cache: {fault}")

    @property
    def views(self) -> int:
        """The number of views of the whole training."""
        return self.settings.views_over(self.feed.settings.epochs)

    @property
    def bytes(self) -> int:
        """The bytes of all files of the training."""
        return self.views * sum(self._file(role, 0).bytes for role in self.files)

    def __str__(self) -> str:
        views = "view" if self.views == 1 else "views"
        return f"teacher's outputs: {self.views} {views}, {self.bytes / 1e6:,.3g} MB in all, in {self.folder}"

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch with the teachers' outputs; a view that is not there is computed before.

        A batch with an example that the view lacks, as one that an epoch leaves out, has none: its teachers run.

        Args:
            epoch: from 0.
            start: the number of batches that are left out.
        """
        view = self._view(epoch)
        for role in self.files:
            file = self._file(role, view)
            while not (done := file.done)[1]:  # again where it is deleted meanwhile
                self._fill(role, file, view, done[0])
            if self._views.get(role, (None, file))[0] != view:
                self._views[role] = (view, file)
        for batch in self.feed.batches(epoch, start):
            found = {role: self._read(role, batch) for role in self.files}
            kept = {role: values for role, values in found.items() if values is not None}
            yield replace(batch, outputs=kept)

    def _view(self, epoch: int) -> int:
        if self.settings.views == "clean":
            return 0
        return (
            epoch
            if self.settings.views == "replay"
            else min(epoch, self.feed.settings.epochs - 1) % self.settings.views
        )

    def _file(self, role: str, view: int) -> ViewFile:
        return ViewFile(self.files[role] / f"view-{view:05d}.bin", len(self.indices), self._columns[role])

    def _fill(self, role: str, file: ViewFile, view: int, first: int) -> None:
        key = file.path.parent / "key.json"
        fields = json.loads(json.dumps(self._fields[role]))
        if not key.exists():
            write_json(key, fields)
        elif (found := read_json(key, "key of a teacher's cache")) != fields:
            given = found if isinstance(found, dict) else {}
            differing = sorted(name for name in {**given, **fields} if given.get(name) != fields.get(name))
            raise InputError(f"{key} must be of this training, got other {', '.join(differing)}; delete the folder")
        file.write(
            first,
            (
                (self._places(rows), packed(teacher_values(self.distiller, role, inputs), self.settings))
                for rows, inputs in self._shown(role, view, first)
            ),
        )

    def _shown(self, role: str, view: int, first: int) -> Iterator[tuple[Tensor, Any]]:
        """Gives the rows and a teacher's inputs of a view's batches from number ``first`` on."""
        if self.settings.views != "clean":
            for batch in self.feed.batches(view, first):
                yield rows_of(batch), batch.view(role, "teacher")
            return
        # In one order whichever training it is, since a network's last bits depend on what else a batch holds.
        source = self.feed.source
        source = source.for_role("teacher") if isinstance(source, TextData) else source
        for chunk in batches(source, self.indices[first * _CLEAN :], _CLEAN, device=self.feed.device):
            yield chunk.indices, chunk.images

    def _read(self, role: str, batch: Batch) -> Any:
        values = self._views[role][1].read(self._places(rows_of(batch)))
        if values is None:
            return None
        if self.settings.top is not None:
            largest, left = values["largest"].float(), values["left"].float()
            values = {"logits": spread(largest, left, values["classes"].long(), self._classes)}
        placed = {name: value.float().to(self.feed.device) for name, value in values.items()}
        return placed if len(placed) > 1 else next(iter(placed.values()))

    def _places(self, rows: Tensor) -> NDArray[np.int64]:
        return torch.searchsorted(self.indices, rows.cpu()).numpy()

    def _form(self, role: str) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Returns the arrays of a teacher's outputs, from those for the first examples."""
        values = teacher_values(self.distiller, role, next(self._shown(role, 0, 0))[1])
        top = self.settings.top
        if top is not None:
            logits = values.get("logits")
            if set(values) != {"logits"} or logits is None or logits.ndim != 2 or top >= logits.shape[1]:
                raise InputError(
                    f"distill.cache.top must be below the number of classes of logits [B, K], got {top}; leave it out"
                )
            self._classes = logits.shape[1]
        return columns_of(packed(values, self.settings))
