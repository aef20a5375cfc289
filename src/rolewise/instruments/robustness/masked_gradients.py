"""Whether robustness comes of gradients that mislead: the signs of it, each by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.prediction import LogitScale, batches_on
from rolewise.instruments.robustness.attacks import check_bound, fgsm, pgd
from rolewise.instruments.robustness.balls import Norm, diameter
from rolewise.instruments.robustness.curves import correct, fraction_right
from rolewise.instruments.robustness.gradient_free import nes, random_search
from rolewise.instruments.robustness.objectives import gradient_of, pixels_of
from rolewise.networks import device_of, evaluating
from rolewise.seeds import generator as stream


@dataclass(frozen=True)
class Finding:
    """One sign of masked gradients, present or not.

    Args:
        name: of the sign.
        sound: whether the measurement keeps the rule.
        rule: the rule that holds where gradients are of use.
        measured: a share of images in [0, 1].
        limit: the value that it must not exceed, beyond the tolerance.
    """

    name: str
    sound: bool
    rule: str
    measured: float
    limit: float


@dataclass(frozen=True)
class MaskingCheck:
    """All signs, and the accuracies that they come from.

    Args:
        accuracy: accuracy in [0, 1] under each attack, and ``clean``.
        findings: the signs, in a fixed order.
    """

    accuracy: dict[str, float]
    findings: tuple[Finding, ...]

    @property
    def suspicious(self) -> tuple[str, ...]:
        """Names of the signs that are present. Where there is none, masking is not excluded, only not seen."""
        return tuple(finding.name for finding in self.findings if not finding.sound)


def masking_check(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    epsilon: float,
    generator: torch.Generator,
    norm: Norm = "linf",
    steps: int = 20,
    draws: int = 32,
    surrogate: nn.Module | None = None,
    surrogate_spec: InputSpec | None = None,
    tolerance: float = 0.02,
    spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    device: torch.device | str | None = None,
) -> MaskingCheck:
    """Looks for the signs that a network is robust only because its gradient leads attacks astray.

    | finding | the rule that a sound network keeps |
    |---|---|
    | ``one_step`` | PGD leaves no more images right than FGSM |
    | ``more_steps`` | five times the steps leave no more images right |
    | ``larger_bound`` | twice the radius leaves no more images right |
    | ``unbounded`` | in a ball that holds every image, no image stays right |
    | ``noise`` | random points break no image that PGD does not |
    | ``black_box`` | a gradient estimated from answers (`nes`) leaves no fewer images right than PGD |
    | ``transfer`` | PGD on another network, given as ``surrogate``, leaves no fewer images right than PGD |
    | ``vanishing`` | no image has a gradient that is zero or not finite |

    Source: Athalye, Carlini, Wagner (2018), section 3.1, https://arxiv.org/abs/1802.00420.
    Differs from source: ``more_steps`` and ``vanishing`` are added; the black-box attack is one of differences, beside
    that by transfer. Accuracy under PGD on the margin stands beside the findings: where it is far below that on the
    cross-entropy, attack the margin.

    Args:
        model: a classifier of images in [0, 1]. It is not moved.
        batches: of (images [B, C, H, W], uint8 or in [0, 1]; labels int64 [B]), read once.
        epsilon: radius of the ball, positive.
        generator: of all draws.
        norm: ``linf`` or ``l2``.
        steps: of PGD, at least 1.
        draws: random points for each image, and directions of each estimated gradient.
        surrogate: another classifier of the same images; None to leave ``transfer`` out.
        surrogate_spec: its normalisation.
        tolerance: share of images, in [0, 1], by which a rule may be missed.
        spec: the network's normalisation.
        logit_scale: the scale of the attacked logits. Large logits make the cross-entropy's gradient vanish on the raw
            logits alone.
        device: the images' device; None for the network's own.

    Raises:
        InputError: there is no image, an argument is out of its range, or the logits are not finite.
    """
    check_bound(epsilon, norm)
    if not epsilon > 0 or not 0 <= tolerance <= 1:
        raise InputError(f"epsilon must be positive and tolerance in [0, 1], got {epsilon} and {tolerance}")
    where = torch.device(device) if device is not None else device_of(model)
    right: dict[str, list[Tensor]] = {}
    vanishing: list[Tensor] = []
    for images, labels in batches_on(batches, where):
        pixels = pixels_of(images)
        common: dict[str, Any] = {"norm": norm, "spec": spec, "logit_scale": logit_scale}
        # Every climb begins at the same random points, so that chance parts them less.
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))

        def climb(seed: int = seed, common: dict[str, Any] = common, **changes: Any) -> dict[str, Any]:
            own = stream(seed, "masking", device=generator.device)
            return {**common, "generator": own, "epsilon": epsilon, "steps": steps, **changes}

        everything = diameter(pixels[:1].numel(), norm)
        attacked = {
            "clean": pixels,
            "fgsm": fgsm(model, pixels, labels, epsilon=epsilon, **common),
            "pgd": pgd(model, pixels, labels, **climb()),
            "pgd_more_steps": pgd(model, pixels, labels, **climb(steps=5 * steps)),
            "pgd_double": pgd(model, pixels, labels, **climb(epsilon=min(2 * epsilon, max(epsilon, everything)))),
            "pgd_unbounded": pgd(model, pixels, labels, **climb(epsilon=everything, steps=5 * steps)),
            "pgd_margin": pgd(model, pixels, labels, **climb(objective="margin")),
            "noise": random_search(model, pixels, labels, epsilon=epsilon, generator=generator, draws=draws, **common),
            "black_box": nes(model, pixels, labels, **climb(draws=draws)),
        }
        if surrogate is not None:
            attacked["transfer"] = pgd(surrogate, pixels, labels, **climb(spec=surrogate_spec))
        clean = correct(model, pixels, labels, spec)
        for name, moved in attacked.items():
            right.setdefault(name, []).append(clean & correct(model, moved, labels, spec))
        with evaluating(model):
            gradient = gradient_of(model, labels, spec, logit_scale)(pixels).flatten(1)
        vanishing.append(((gradient == 0).all(1) | ~gradient.isfinite().all(1)).cpu())
    if not vanishing or not sum(map(len, vanishing)):
        raise InputError("batches must give at least one image, got none")
    hits = {name: torch.cat(parts) for name, parts in right.items()}
    accuracy = {name: fraction_right(values) for name, values in hits.items()}
    white = accuracy["pgd"]
    rows = [
        ("one_step", "PGD leaves no more images right than FGSM", white, accuracy["fgsm"]),
        ("more_steps", "five times the steps leave no more images right", accuracy["pgd_more_steps"], white),
        ("larger_bound", "twice the radius leaves no more images right", accuracy["pgd_double"], white),
        ("unbounded", "no image stays right without a bound", accuracy["pgd_unbounded"], 0.0),
        ("noise", "noise breaks no image that PGD does not", fraction_right(hits["pgd"] & ~hits["noise"]), 0.0),
        ("black_box", "PGD leaves no more images right than an attack without gradients", white, accuracy["black_box"]),
        ("vanishing", "no image has a gradient of zero", fraction_right(torch.cat(vanishing)), 0.0),
    ]
    if surrogate is not None:
        rule = "PGD leaves no more images right than the surrogate's adversarial images"
        rows.insert(6, ("transfer", rule, white, accuracy["transfer"]))
    findings = [
        Finding(name, measured <= limit + tolerance, rule, measured, limit) for name, rule, measured, limit in rows
    ]
    return MaskingCheck(accuracy, tuple(findings))
