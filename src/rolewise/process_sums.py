"""Sums over the processes that train together, with little waiting for the few numbers that a step adds up often.

A network with batch norms adds up a few hundred numbers at every layer. torch's gloo hands each sum to threads of its
own, and a thread that is woken while every processor core computes waits for the end of a time slice: some
milliseconds, which a whole layer takes. So processes of one machine exchange small tensors themselves, through local
sockets and without a further thread. Large tensors, those on other devices, and machines apart go through torch.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

#: Bytes of the largest tensor that is exchanged directly: a socket's buffer holds it, so that sending waits for nobody.
_LARGEST = 2**16
#: The most processes that exchange directly, each with every other.
_MOST = 8
_KINDS = (torch.float32, torch.float64, torch.int64)


def sum_over_processes(tensor: Tensor) -> None:
    """Replaces a tensor by its sum over the processes of the default group, the same bytes in each of them.

    Args:
        tensor: of the same shape and type in every process, contiguous.

    Raises:
        RuntimeError: another process ended, or does not answer.
    """
    _combine(tensor, torch.add, distributed.ReduceOp.SUM)


def greatest_of_processes(tensor: Tensor) -> None:
    """Replaces the numbers of a tensor by the greatest of all processes'; see `sum_over_processes`.

    Args:
        tensor: of the same shape and type in every process, contiguous.

    Raises:
        RuntimeError: another process ended, or does not answer.
    """
    _combine(tensor, torch.maximum, distributed.ReduceOp.MAX)


def _combine(tensor: Tensor, of_two: Callable[[Tensor, Tensor], Tensor], operation: Any) -> None:
    """Replaces a tensor by what an operation, one of two tensors and torch's name for it, makes of all processes'."""
    if (lines := _lines_for(tensor)) is None:
        distributed.all_reduce(tensor, operation)
    else:
        tensor.copy_(reduce(of_two, lines.exchange(tensor)))


class _Lines:
    """Sockets between this process and the others of its group; none where one of them cannot be reached so."""

    def __init__(self, group: Any) -> None:
        self.group = group
        self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        self.others: dict[int, socket.socket] = {}
        if distributed.get_backend() == "gloo" and self.world <= _MOST and hasattr(socket, "AF_UNIX"):
            self._connect()

    def exchange(self, own: Tensor) -> list[Tensor]:
        """Returns the tensors of all processes in the order of their ranks."""
        message = own.detach().contiguous().numpy().tobytes()
        found = {self.rank: own.detach()}
        try:
            for line in self.others.values():
                line.sendall(message)
            for other, line in self.others.items():
                found[other] = torch.frombuffer(_received(line, len(message)), dtype=own.dtype).view_as(own)
        except OSError as error:
            raise RuntimeError(f"a process that trains with this one ended or does not answer: {error}") from error
        return [found[rank] for rank in range(self.world)]

    def close(self) -> None:
        for line in self.others.values():
            line.close()
        self.others = {}

    def _connect(self) -> None:
        """Connects every process with every other, all of them in step, or none."""
        with contextlib.ExitStack() as stack:
            own = ""
            if self.rank == 0:
                with contextlib.suppress(OSError):  # no place for a folder: then there are no lines
                    own = stack.enter_context(tempfile.TemporaryDirectory(prefix="rolewise-"))
            folder = [own]
            distributed.broadcast_object_list(folder, 0)
            if not folder[0]:
                return
            place, door = Path(folder[0]), stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            if self._in_all(lambda: self._open(door, place)) and self._in_all(lambda: self._call(place)):
                for _ in range(self.rank + 1, self.world):
                    line, _ = door.accept()
                    self.others[line.recv(1)[0]] = line
            else:
                self.close()
            for line in self.others.values():
                line.settimeout(_seconds_to_wait(self.group))
            distributed.barrier()

    def _open(self, door: socket.socket, place: Path) -> None:
        door.bind(str(place / str(self.rank)))
        door.listen(self.world)

    def _call(self, place: Path) -> None:
        for other in range(self.rank):
            self.others[other] = line = socket.socket(socket.AF_UNIX)
            line.connect(str(place / str(other)))
            line.sendall(bytes([self.rank]))

    def _in_all(self, step: Callable[[], None]) -> bool:
        """Returns whether a step succeeded in every process; one of another machine does not find the folder."""
        failed = torch.zeros(1)
        try:
            step()
        except OSError:
            failed += 1
        distributed.all_reduce(failed)
        return not bool(failed)


_lines: _Lines | None = None


def _lines_for(tensor: Tensor) -> _Lines | None:
    """Returns the lines that a tensor goes through; None where torch adds it up."""
    global _lines
    if not _is_direct(tensor):
        return None
    if _lines is None or _lines.group is not distributed.group.WORLD:
        if _lines is not None:
            _lines.close()
        _lines = _Lines(distributed.group.WORLD)
    return _lines if _lines.others else None


def _is_direct(tensor: Tensor) -> bool:
    """Returns whether a tensor goes through sockets where there are any: the same in every process."""
    return tensor.device.type == "cpu" and tensor.dtype in _KINDS and 0 < tensor.nbytes <= _LARGEST


def _seconds_to_wait(group: Any) -> float:
    """Returns the seconds that a sum waits for another process: those of its group's sums by torch."""
    options = getattr(group._get_backend(torch.device("cpu")), "options", None)
    given = getattr(options, "_timeout", distributed.constants.default_pg_timeout)
    return float(given.total_seconds())


def _received(line: socket.socket, size: int) -> bytearray:
    """Returns so many bytes of another process."""
    found, at = bytearray(size), 0
    while at < size:
        count = line.recv_into(memoryview(found)[at:])
        if not count:
            raise ConnectionResetError("the connection was closed")
        at += count
    return found
