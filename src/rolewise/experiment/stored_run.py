"""A run whose stages workers find in a store, by their content keys: they share no folder with the main process."""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import util
from pathlib import Path

from rolewise.experiment.replaced_stages import settle_names
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stage_store import StageStore
from rolewise.files import digest_of, write_bytes

#: What makes a folder that of a run; `run.json` last, because a folder with it is whole.
_MADE = ("config.yaml", "environment.json", "run.json")


@dataclass(frozen=True)
class StoredRun:
    """All that a worker needs to carry out a stage wherever it is: a run's own files, its stages' keys, their store.

    The data and the user's own code are on each machine at the same place.

    Args:
        store: the store.
        files: the contents of the files that make the run's folder, by name.
        keys: content keys by the name of a stage.
        linked: whether a stage's folder is a link to that of its key, as in a study.
    """

    store: StageStore
    files: Mapping[str, bytes]
    keys: Mapping[str, str]
    linked: bool = False

    @classmethod
    def of(cls, store: StageStore, run: RunFolder, keys: Mapping[str, str], *, linked: bool = False) -> StoredRun:
        """Returns the run of a folder.

        Args:
            store: the store.
            run: the run folder, or that of a study's cell.
            keys: content keys by the name of a stage.
            linked: whether it is of a study.
        """
        files = {name: (run.root / name).read_bytes() for name in _MADE if (run.root / name).is_file()}
        return cls(store, files, keys, linked)

    def settle(self, run: RunFolder, stages: Sequence[Stage]) -> None:
        """Gives a run folder what the store has of its stages, and the store what the folder alone has.

        Args:
            run: the run folder, or that of a study's cell.
            stages: stages of it.

        Raises:
            InputError: a file of a finished stage is damaged in the store.
        """
        self.store.settle((self.keys[stage.name], run.stage(stage.name)) for stage in stages)
        for stage in stages:
            self._rename(run, stage)

    def take(self, run: RunFolder, stage: Stage) -> None:
        """Copies what the store has of a stage into its folder, unless the folder holds the finished stage.

        Args:
            run: the run folder, or that of a study's cell.
            stage: the stage.

        Raises:
            InputError: a file of a finished stage is damaged in the store.
        """
        self.store.take(self.keys[stage.name], run.stage(stage.name))
        self._rename(run, stage)

    def give(self, run: RunFolder, stage: Stage) -> None:
        """Copies what a folder has of a stage into the store.

        Args:
            run: the run folder, or that of a study's cell.
            stage: the stage.
        """
        self.store.give(self.keys[stage.name], run.stage(stage.name))

    def here(self, stage: Stage) -> RunFolder:
        """Returns a folder of this process's own for the run, with all that a stage needs.

        Args:
            stage: the stage.

        Raises:
            InputError: a file of a finished stage is damaged in the store.
        """
        mark = digest_of([sorted((name, content.hex()) for name, content in self.files.items()), dict(self.keys)])
        run = RunFolder(_own_folder() / "runs" / mark[:16])
        for name in _MADE:
            if name in self.files and not (run.root / name).exists():
                write_bytes(run.root / name, self.files[name])
        stages = {one.name: one for one in stages_of(run.config())}
        waiting = list(stage.needs)
        while waiting:
            need = stages[waiting.pop()]
            waiting.extend(need.needs)
            self._place(run, need)
            self.take(run, need)
        self._place(run, stage)
        return run

    def carry_out(
        self, stage: Stage, work: Callable[[RunFolder, Callable[[], bool]], object], should_stop: Callable[[], bool]
    ) -> None:
        """Carries out a stage in this process's own folder, from where the store has it, and gives the store the rest.

        Args:
            stage: the stage.
            work: does it, in the run folder that it is given; its second argument is to be called between two steps.
            should_stop: whether to stop.

        Raises:
            Interrupted: the work was stopped; the store has its checkpoint.
        """
        run = self.here(stage)
        between = run.config().checkpoint_seconds
        self.take(run, stage)
        given = time.monotonic()

        def stopping() -> bool:
            nonlocal given
            if time.monotonic() - given > between:
                self.give(run, stage)
                given = time.monotonic()
            return should_stop()

        try:
            if not run.is_done(stage.name):
                work(run, stopping)
        finally:
            self.give(run, stage)

    def _rename(self, run: RunFolder, stage: Stage) -> None:
        if not self.linked:  # in a study nothing has the name of its stage
            settle_names(run.stage(stage.name), stage)  # another run may have made it

    def _place(self, run: RunFolder, stage: Stage) -> None:
        """Makes a stage's folder; in a study it is a link, by which what several cells share is there once."""
        folder = run.stage(stage.name)
        if not self.linked:
            folder.mkdir(parents=True, exist_ok=True)
            return
        target = _own_folder() / "store" / self.keys[stage.name]
        target.mkdir(parents=True, exist_ok=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_symlink():
            folder.symlink_to(target, target_is_directory=True)


def run_at(place: Path | StoredRun, stage: Stage) -> RunFolder:
    """Returns the run folder in which a worker does a stage's work.

    Args:
        place: a folder that all workers reach, or a run in a store.
        stage: the stage.
    """
    return place.here(stage) if isinstance(place, StoredRun) else RunFolder(place)


@functools.cache
def _own_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rolewise-"))
    # Not by atexit, which worker processes leave out.
    util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=0)
    return folder
