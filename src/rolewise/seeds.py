"""Seeds: every random stream is named, so that adding one never moves another."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Returns the seed of the stream that ``names`` calls, out of an experiment's seed.

    The same arguments give the same seed on every machine and Python version.

    Args:
        seed: the experiment's seed, any integer.
        names: the stream's name, part by part.

    Returns:
        An integer in [0, 2^63).
    """
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Returns a generator for the stream that ``names`` calls (see `derive_seed`)."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))
