"""Processes that decode images by their index into memory that they share with the process that wants the images."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import torch

from rolewise.data.image_decoder import FaultyImageError
from rolewise.errors import RunError
from rolewise.freed_memory import keep_freed_memory
from rolewise.jobs.worker_process import start_context
from rolewise.processes import tie_to_parent

#: Gives uint8 images [n, C, H, W] of some indices, and the fault of each that cannot be read, by its place among them.
DecodeRows = Callable[[Sequence[int], np.ndarray], dict[int, str]]
#: How often a batch is given again after its processes died; more is no accident.
_ATTEMPTS = 3
#: Where Linux keeps shared memory; containers often have little.
_SHARED = Path("/dev/shm")
#: Images of one task: few, so that processes end together, and enough to make up for the message.
_TASK = 16


def default_decoders() -> int:
    """Returns the number of decoding processes where none is set: one for each core that torch does not compute on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(16, max(1, cores - torch.get_num_threads()))


def process_pool(count: int) -> ProcessPoolExecutor:
    """Returns processes that leave Ctrl-C to this one, and end when it does, however that is.

    Args:
        count: the number of processes.
    """
    return ProcessPoolExecutor(count, mp_context=start_context(__name__), initializer=_begin)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tie_to_parent()
    keep_freed_memory()
    torch.set_num_threads(1)


class DecodingProcesses:
    """A pool of processes, started when it is first used. It has no state that images depend on.

    A process that dies is replaced and its batch decoded again.

    Args:
        count: the number of processes.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._block: SharedMemory | None = None
        self._lock = threading.Lock()

    def decode(self, rows: bytes, indices: Sequence[int], shape: tuple[int, ...]) -> tuple[np.ndarray, dict[int, str]]:
        """Decodes images.

        Args:
            rows: a pickled `DecodeRows`; each process opens it once.
            indices: of the images.
            shape: (C, H, W).

        Returns:
            uint8 [n, C, H, W], and the fault of each image that cannot be read, by its place among them.

        Raises:
            RunError: the processes died again and again.
        """
        images = np.empty((len(indices), *shape), np.uint8)
        faults: dict[int, str] = {}
        with self._lock:
            done, attempts = 0, _ATTEMPTS
            while done < len(indices):
                try:
                    part = indices[done : done + self._room(len(indices) - done, images[0].nbytes)]
                    found = self._decode_part(rows, part, images[done : done + len(part)])
                except BrokenProcessPool as error:
                    self._close()
                    attempts -= 1
                    if not attempts:
                        raise RunError(
                            f"the processes that decode images died {_ATTEMPTS} times over the same images; is there "
                            "enough memory? data.decoders: 0 decodes in the process that trains"
                        ) from error
                    continue
                faults |= {done + place: fault for place, fault in found.items()}
                done, attempts = done + len(part), _ATTEMPTS
        return images, faults

    def close(self) -> None:
        """Ends the processes, and waits for that."""
        with self._lock:
            self._close(wait=True)

    def _close(self, *, wait: bool = False) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=True)
        if self._block is not None:
            self._block.close()
            with contextlib.suppress(FileNotFoundError):
                self._block.unlink()
        self._pool = self._block = None

    def _room(self, wanted: int, size: int) -> int:
        """Returns the number of images that are decoded at once, up to so many, and makes a block of memory for them.

        Args:
            wanted: the number of images, at least 1.
            size: bytes of one image.
        """
        if self._block is not None and self._block.size >= wanted * size:
            return wanted
        held = 0 if self._block is None else self._block.size
        free = shutil.disk_usage(_SHARED).free + held if _SHARED.is_dir() else wanted * size
        # What is taken and not there ends a process without a word.
        fitting = max(1, min(wanted, free // 2 // size))
        if self._block is None or self._block.size < fitting * size:
            if self._block is not None:
                self._block.close()
                self._block.unlink()
            self._block = SharedMemory(create=True, size=fitting * size)
        return min(fitting, self._block.size // size)

    def _decode_part(self, rows: bytes, indices: Sequence[int], images: np.ndarray) -> dict[int, str]:
        assert self._block is not None
        if self._pool is None:
            self._pool = process_pool(self.count)
        step = max(1, min(_TASK, -(-len(indices) // self.count)))
        starts = range(0, len(indices), step)
        futures = [
            self._pool.submit(
                _decode_task, rows, indices[at : at + step], self._block.name, at * images[0].nbytes, images.shape[1:]
            )
            for at in starts
        ]
        try:
            parts = [future.result() for future in futures]
        finally:
            # Whatever went wrong: nobody may still write when the memory is used again.
            wait(futures)
        found = {at + place: fault for at, part in zip(starts, parts, strict=True) for place, fault in part.items()}
        images[:] = _pixels_in(self._block, images.shape)
        return found


#: What a process has opened: rows by their pickled form, and the block of shared memory by its name. Of each the last.
_ROWS: dict[bytes, DecodeRows] = {}
_BLOCKS: dict[str, SharedMemory] = {}


def _decode_task(rows: bytes, indices: Sequence[int], name: str, start: int, shape: tuple[int, ...]) -> dict[int, str]:
    """Decodes images into shared memory, from byte ``start`` on; returns the fault of each that cannot be read."""
    if rows not in _ROWS:
        if len(_ROWS) > 3:  # the parts of a data set or two
            _ROWS.clear()
        _ROWS[rows] = pickle.loads(rows)
    if name not in _BLOCKS:
        for block in _BLOCKS.values():
            block.close()
        _BLOCKS.clear()
        _BLOCKS[name] = SharedMemory(name)
    return _ROWS[rows](indices, _pixels_in(_BLOCKS[name], (len(indices), *shape), start))


def _pixels_in(block: SharedMemory, shape: tuple[int, ...], start: int = 0) -> np.ndarray:
    """Returns uint8 pixels in shared memory, from byte ``start`` on."""
    assert block.buf is not None
    return np.frombuffer(block.buf, np.uint8, int(np.prod(shape)), start).reshape(shape)


def decode_each(
    contents: Sequence[bytes], names: Sequence[str], images: np.ndarray, decode: Callable[[bytes], np.ndarray]
) -> dict[int, str]:
    """Decodes the content of image files one after the other.

    Args:
        contents: of the files.
        names: their places, for faults.
        images: uint8 [n, C, H, W], filled.
        decode: from a file's content to pixels, uint8 [C, H, W].

    Returns:
        The fault of each that cannot be read, by its place.
    """
    faults: dict[int, str] = {}
    for place, (content, name) in enumerate(zip(contents, names, strict=True)):
        try:
            images[place] = decode(content)
        except FaultyImageError as error:
            faults[place] = str(error).replace("the picture", name, 1)
    return faults


_POOLS: dict[int, DecodingProcesses] = {}


def _end_pools() -> None:
    for pool in _POOLS.values():
        pool.close()


def shared_pool(count: int) -> DecodingProcesses:
    """Returns this process's pool of so many decoding processes, which all its data sets share.

    Args:
        count: the number of processes.
    """
    if not _POOLS:
        # Not atexit, which worker processes leave without. Before queues are closed, by which processes learn of the
        # end: a worker waits for them, until it is killed, and its shared memory is reported as lost.
        Finalize(None, _end_pools, exitpriority=100)
    return _POOLS.setdefault(count, DecodingProcesses(count))
