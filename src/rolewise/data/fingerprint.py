"""Fingerprints of data: what tells whether images and labels are still those that a run was made from."""

from __future__ import annotations

import hashlib

import torch

from rolewise.data.images import ImageData, Source, StreamedFiles
from rolewise.files import sha256

#: Images that are read at once.
_BATCH = 1024


def fingerprint(source: Source) -> dict[str, str]:
    """Returns SHA-256 digests of a source's content: its ``pixels``, and its ``labels`` with the names of the classes.

    Images in memory or in an array are read a batch at a time; of image files the bytes on disk count, undecoded.

    Args:
        source: the images.
    """
    pixels = hashlib.sha256(f"{len(source)} {source.channels} {source.size}".encode())
    if isinstance(source, StreamedFiles):
        for path in source.paths:
            pixels.update(bytes.fromhex(sha256(path, "image")))
    else:
        for part in torch.split(torch.arange(len(source)), _BATCH):
            batch = source.images[part[0] : part[-1] + 1] if isinstance(source, ImageData) else source.batch(part)
            pixels.update(batch.detach().cpu().contiguous().numpy().data)
    labels = hashlib.sha256(repr(tuple(source.classes)).encode())
    labels.update(source.labels.detach().cpu().to(torch.int64).contiguous().numpy().tobytes())
    return {"pixels": pixels.hexdigest(), "labels": labels.hexdigest()}
