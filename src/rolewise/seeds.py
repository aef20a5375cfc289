"""Seeds: every random stream is named, so that adding one never moves another."""

from __future__ import annotations

import hashlib

import torch

from rolewise.errors import InputError

#: The largest seed: torch's generators take signed numbers of 64 bits.
LARGEST_SEED = 2**63 - 1


def check_seed(name: str, seed: object) -> None:
    """Raises InputError unless a seed is a whole number from 0 to 2^63 - 1.

    Args:
        name: its name in the error.
        seed: the value.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"{name} must be a whole number from 0 to 2^63 - 1, got {seed!r}")


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


def uniform_rows(
    stream: torch.Generator, examples: int, *shape: int, part: tuple[int, int] | None = None
) -> torch.Tensor:
    """Returns numbers in [0, 1) for each example, [B, ...], on the CPU.

    Several processes that train together draw what one would for all of their rows, and each has those of its own.

    Args:
        stream: it moves on by what the whole batch draws.
        examples: B, this process's rows, or all of them.
        shape: of what is drawn for an example.
        part: of a training's `rolewise.batch.Context`: the first of this process's rows, and the number of all rows.
    """
    first, whole = part or (0, examples)
    numbers = torch.rand(whole, *shape, generator=stream)
    return numbers if examples == whole else numbers[first : first + examples]
