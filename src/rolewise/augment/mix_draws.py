"""The draws of a plan of mixing: partners, ratios, which images are mixed, and boxes. Each may be given instead."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def draw_partners(
    labels: Tensor, generator: torch.Generator | None, *, pairs: str = "any", draws: Tensor | None = None
) -> Tensor:
    """Draws for each image another one of its batch, each allowed one as likely.

    Args:
        labels: int64 [G, B], the classes in G batches.
        generator: of the draws.
        pairs: ``any``, ``within`` the class, or ``across`` classes.
        draws: [G, B] in [0, 1), instead of the generator's.

    Returns:
        [G, B] int64, places in the batch; its own place where no image is allowed.
    """
    shape, count = labels.shape, labels.shape[1]
    u = torch.rand(shape, generator=generator, dtype=torch.double) if draws is None else draws.double()
    place = torch.arange(count).expand(shape)
    if pairs == "any":
        return (place + (u * (count - 1)).long() + (count > 1)) % max(1, count)
    # In the order of classes, those that are allowed stand beside one another, in a circle.
    ranked, order = labels.sort(dim=1, stable=True)
    first = torch.searchsorted(ranked, ranked, right=False)
    after = torch.searchsorted(ranked, ranked, right=True)
    u = u.gather(1, order)
    if pairs == "within":
        among = after - first
        found = first + (place - first + 1 + (u * (among - 1)).long()) % among
    else:
        among = count - (after - first)
        found = torch.where(among > 0, (after + (u * among).long()) % count, place)
    return torch.empty_like(order).scatter_(1, order, order.gather(1, found))


def draw_ratios(shape: tuple[int, ...], alpha: float, generator: torch.Generator, *, fold: bool = False) -> Tensor:
    r"""Draws ratios of Beta(alpha, alpha), double precision.

    .. math:: r = \sigma(\log g - \log g'), \quad g = h \, u^{1 / \alpha}, \quad h \sim \Gamma(\alpha + 1)

    with u even in (0, 1]: then g is Gamma(alpha), also where alpha is so small that it underflows.

    Args:
        shape: of the result.
        alpha: above 0.
        generator: of the draws.
        fold: whether r becomes max(r, 1 - r).
    """
    u = torch.rand((2, *shape) if alpha != 1 else shape, generator=generator, dtype=torch.double)
    if alpha != 1:
        # The one draw of gamma variables that takes a generator.
        gamma = torch._standard_gamma(torch.full_like(u, alpha + 1), generator=generator)
        logs = gamma.log_().add_((1 - u).log_(), alpha=1 / alpha)
        u = (logs[0] - logs[1]).sigmoid_()
    return torch.maximum(u, 1 - u) if fold else u


def draw_mixed(
    allowed: Tensor,
    mixed_fraction: float,
    generator: torch.Generator | None,
    *,
    kind: str = "exact",
    draws: Tensor | None = None,
) -> Tensor:
    """Draws the images that are mixed.

    Args:
        allowed: bool [G, B], whether an image can be mixed.
        mixed_fraction: in [0, 1].
        generator: of the draws.
        kind: ``exact``: in each batch mixed_fraction x B of them (rounded, one half up), or all that can be if these
            are fewer; ``legacy``: all but those that int(B (1 - mixed_fraction)) draws with replacement hit.
        draws: instead of the generator's, in [0, 1): [G, B], or [G, int(B (1 - mixed_fraction))] for ``legacy``.

    Returns:
        bool [G, B].
    """
    groups, count = allowed.shape
    if kind == "legacy":
        # The released code's own count, save that 1 - mixed_fraction may fall short of what was meant by a rounding.
        hits = int(count * (1 - mixed_fraction) + 1e-9)
        u = torch.rand(groups, hits, generator=generator, dtype=torch.double) if draws is None else draws.double()
        return torch.ones_like(allowed).scatter_(1, (u * count).long(), False)
    if mixed_fraction == 1:
        return allowed
    u = torch.rand(allowed.shape, generator=generator, dtype=torch.double) if draws is None else draws.double()
    rank = (u + 2.0 * ~allowed).argsort(1).argsort(1)
    return allowed & (rank < math.floor(mixed_fraction * count + 0.5))


def draw_boxes(ratios: Tensor, size: tuple[int, int], places: Tensor) -> tuple[Tensor, Tensor]:
    """Returns boxes, and the ratios that they exactly have.

    Args:
        ratios: [..., ] in [0, 1], the mixed_fraction that is wanted outside the box.
        size: (H, W) in pixels.
        places: [..., 2] in [0, 1), where the middle is along y and x.

    Returns:
        int64 [..., 4] (top, left, bottom, right), and double [...]: one minus the box's part of the area.
    """
    sides = torch.tensor(size)
    cut = ((1 - ratios.double()).sqrt().unsqueeze(-1) * sides).long().clamp_(min=1)
    start = (places.double() * sides).long() - cut // 2
    low, high = start.clamp(min=0), torch.minimum(start + cut, sides)
    area = (high - low).prod(-1)
    return torch.cat([low, high], -1), 1 - area.double() / (size[0] * size[1])
