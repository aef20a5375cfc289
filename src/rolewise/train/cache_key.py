"""All that a teacher's cached outputs depend on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.config.cache_section import CacheSection
from rolewise.data import fingerprint
from rolewise.distill import Distiller
from rolewise.distill.teacher_digest import TeacherDigests
from rolewise.files import digest_of
from rolewise.foreign_code import is_import_path
from rolewise.own_sources import sources_behind
from rolewise.train.source_feed import SourceFeed

#: The form of the files; another one is another key.
_VERSION = 2


def cache_dependencies(
    settings: CacheSection, distiller: Distiller, role: str, feed: SourceFeed, indices: Tensor
) -> dict[str, Any]:
    """Returns all that a teacher's outputs depend on, as plain values.

    Args:
        settings: of the cache.
        distiller: with the teacher.
        role: the teacher's.
        feed: of the training.
        indices: int64 [N], the examples in rising order.
    """
    network = distiller.network(role)
    fields: dict[str, Any] = {
        "version": _VERSION,
        "weights": TeacherDigests({role: network}).all()[0].numpy().tobytes().hex(),
        "network": digest_of([str(network), _attributes(network)]),
        "code": sources_behind(type(part) for part in (*network.modules(), distiller.task)),
        "input": str(distiller.specs[role]),
        "source": fingerprint(feed.source),
        "examples": digest_of(indices.tolist()),
        "precision": settings.precision,
        "top": settings.top,
        "views": settings.views,
        # Each rounds in other places: whichever training came first would be found in the results of the others.
        "arithmetic": [torch.device(feed.device).type, feed.settings.channels_last, feed.settings.compile],
    }
    if settings.views != "clean":
        own = feed.teacher_augmentation if feed.view == "own" else None
        shown = [None if one is None else one.to_json() for one in (feed.augmentation, own)]
        fields |= {
            "view": feed.view,
            "seed": feed.seed,
            "batch_size": feed.settings.batch_size,
            "epochs": feed.settings.epochs if settings.views == "replay" else None,
            "augmentation": shown,
            "pixels": [feed.settings.interpolation, feed.settings.fill],
        }
        fields["code"] |= sources_behind(name for name in set(_texts(shown)) if is_import_path(name))
    return fields


def _attributes(network: nn.Module) -> list[Any]:
    """Returns the plain attributes of all parts and the buffers that are not saved: a network may compute with them."""
    own = vars(nn.Module()).keys()
    saved = network.state_dict().keys()
    found: list[Any] = [
        [path, {name: value for name, value in sorted(vars(part).items()) if name not in own and _is_plain(value)}]
        for path, part in network.named_modules()
    ]
    return [
        *found,
        *([name, digest_of(value.tolist())] for name, value in network.named_buffers() if name not in saved),
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(one) for name, one in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _texts(value: Any) -> Iterable[str]:
    """Gives every text within plain values, names of mappings among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(name)
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
