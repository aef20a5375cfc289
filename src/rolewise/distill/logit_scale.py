"""The scale of the logits of a student that certain methods trained."""

from __future__ import annotations

from collections.abc import Sequence

from rolewise.distill.method import Method


def logit_scale_of(methods: Sequence[Method], label_weight: float) -> float | None:
    """Returns m where the student's probabilities are ``softmax(m z / s)``, or None where they are ``softmax(z)``.

    A loss that divides the logits z by their own standard deviation s trains no scale of z. Where every term that reads
    logits is such a one, raw probabilities mean nothing, nor does a loss or a calibration error that is computed from
    them. Give m to `rolewise.logits.standardised`, or fit a temperature to z on images of their own. As soon as one
    term reads raw logits, which the labels' own does, it trains their scale, and z is read as it is; where that term's
    weight is small the scale comes slowly, and a fitted temperature is the safer reading there too.

    Args:
        methods: configured methods.
        label_weight: of the labels' own cross-entropy, which reads raw logits.
    """
    heads = [
        method.info.logit_scale(**method.settings) if method.info.logit_scale is not None else None
        for method in methods
        if method.info.reads == "logits"
    ]
    return None if label_weight or None in heads or not heads else heads[0]
