"""Threads that share a machine: how many torch computes with, and that they sleep while they wait."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

#: What OpenMP reads when torch is loaded, and no later.
WAIT_POLICY = "OMP_WAIT_POLICY"


def wait_passively() -> None:
    """Lets OpenMP's threads sleep while they wait for each other, here and in processes that this one starts.

    By default they spin. On a machine whose cores other processes use too, that takes the time from the thread that is
    waited for, and torch becomes many times slower. Where the user has set a policy, it stays. It must be called before
    torch is loaded; in a process that has torch already, only those that it starts have the policy.
    """
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Lets torch compute with so many threads inside the block.

    Args:
        count: the number of threads, at least 1.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
