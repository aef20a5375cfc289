"""Bytes that carry their own digest, such as a checkpoint's: a bit that flips is found when they are read again."""

from __future__ import annotations

import hashlib

from rolewise.errors import InputError

_MARK, _TAIL = b"rolewise", 8 + hashlib.sha256().digest_size


def seal_bytes(content: bytes) -> bytes:
    """Returns bytes with their digest behind them."""
    return content + _MARK + hashlib.sha256(content).digest()


def unseal_bytes(content: bytes) -> memoryview:
    """Returns the bytes in front of their digest.

    Raises:
        InputError: it does not fit them.
    """
    view = memoryview(content)
    if content[-_TAIL:] != _MARK + hashlib.sha256(view[:-_TAIL]).digest():
        raise InputError("it is damaged: its digest does not fit its content")
    return view[:-_TAIL]
