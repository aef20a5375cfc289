"""Calibration errors against torchmetrics, scikit-learn, numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from logit_cases import answers, any_answers
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from rolewise.errors import InputError
from rolewise.instruments import (
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("sharpness", [0.3, 2.0])
def test_equal_width_errors_are_torchmetrics(bins: int, sharpness: float) -> None:
    logits, labels = answers(bins, sharpness=sharpness)
    p = logits.softmax(1)
    for norm, ours in (("l1", expected_calibration_error), ("max", maximum_calibration_error)):
        theirs = float(multiclass_calibration_error(p, labels, 5, n_bins=bins, norm=norm))
        assert ours(logits, labels, bins=bins) == pytest.approx(theirs, abs=1e-6)
    columns = enumerate(p.T.contiguous())
    each = [float(binary_calibration_error(column, (labels == k).long(), n_bins=bins)) for k, column in columns]
    assert classwise_calibration_error(logits, labels, bins=bins) == pytest.approx(sum(each) / 5, abs=1e-6)


def test_the_diagram_is_scikit_learns() -> None:
    logits, labels = answers(3, count=500)
    p, right = logits.softmax(1).max(1).values.numpy(), (logits.argmax(1) == labels).numpy()
    for binning, strategy in (("width", "uniform"), ("mass", "quantile")):
        found = reliability(logits, labels, bins=5, binning=binning)
        accuracy, confidence = calibration_curve(right, p, n_bins=5, strategy=strategy)
        full = found.counts > 0
        np.testing.assert_allclose(found.confidence[full].numpy(), confidence, atol=1e-9)
        np.testing.assert_allclose(found.accuracy[full].numpy(), accuracy, atol=1e-9)
        assert int(found.counts.sum()) == 500 and len(found.edges) == 6


@pytest.mark.parametrize("count", [7, 40, 303])
def test_equal_mass_is_numpys_split_of_the_sorted_confidences(count: int) -> None:
    logits, labels = answers(4, count=count)

    def split_error(p: np.ndarray, hits: np.ndarray) -> float:
        order = np.argsort(p)
        parts = [part for part in np.array_split(order, 10) if len(part)]
        return sum(len(part) * abs(hits[part].mean() - p[part].mean()) for part in parts) / len(p)

    p = logits.softmax(1).numpy()
    expected = split_error(p.max(1), (p.argmax(1) == labels.numpy()).astype(float))
    assert adaptive_calibration_error(logits, labels, bins=10) == pytest.approx(expected, abs=1e-9)
    counts = reliability(logits, labels, bins=10, binning="mass").counts.tolist()
    assert counts == [len(part) for part in np.array_split(np.arange(count), 10)]
    each = [split_error(p[:, k], (labels.numpy() == k).astype(float)) for k in range(5)]
    assert classwise_calibration_error(logits, labels, bins=10, binning="mass") == pytest.approx(
        sum(each) / 5, abs=1e-9
    )


def test_errors_by_hand() -> None:
    # Confidences .6 .6 .9, right, wrong, wrong: gaps .1 of two images and .9 of one.
    p = torch.tensor([0.6, 0.6, 0.9], dtype=torch.float64)
    logits, labels = torch.stack([p.log(), (1 - p).log()], 1), torch.tensor([0, 1, 1])
    assert expected_calibration_error(logits, labels, bins=10) == pytest.approx((2 * 0.1 + 0.9) / 3)
    assert maximum_calibration_error(logits, labels, bins=10) == pytest.approx(0.9)
    found = reliability(logits, labels, bins=10)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 1, 0]
    assert found.gaps[5] == pytest.approx(-0.1) and found.gaps[0].isnan()
    # A confidence on an edge belongs below it; one that is certain to the last bin.
    edges = torch.tensor([[0.0, 0.0], [800.0, 0.0]], dtype=torch.float64)
    assert reliability(edges, labels[:2], bins=2).counts.tolist() == [1, 1]
    # By mass, what is equal stays together: one bin stays empty instead of parting the two .6 by their order.
    assert reliability(logits, labels, bins=3, binning="mass").counts.tolist() == [2, 0, 1]


def test_constant_logits_one_image_and_a_missing_class() -> None:
    constant, labels = torch.full((8, 4), 3.0), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    for error in (expected_calibration_error, adaptive_calibration_error, classwise_calibration_error):
        assert error(constant, labels) == pytest.approx(0, abs=1e-12)
    # The fourth class is never the label: its .25 is all error, and so is what the others lack.
    missing = labels.clamp(max=2)
    assert classwise_calibration_error(constant, missing) == pytest.approx((0 + 0 + 0.25 + 0.25) / 4)
    one = torch.tensor([[0.0, float(np.log(9))]])
    assert expected_calibration_error(one, torch.tensor([1])) == pytest.approx(0.1, abs=1e-6)
    assert maximum_calibration_error(one, torch.tensor([0])) == pytest.approx(0.9, abs=1e-6)


@settings(max_examples=60)
@given(any_answers())
def test_what_holds_of_any_answers(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    order = torch.arange(len(labels) - 1, -1, -1)
    for binning in ("width", "mass"):
        for error in (expected_calibration_error, maximum_calibration_error, classwise_calibration_error):
            found = error(logits, labels, bins=4, binning=binning)
            assert 0 <= found <= 1
            assert error(logits[order], labels[order], bins=4, binning=binning) == pytest.approx(found, abs=1e-12)
        expected = expected_calibration_error(logits, labels, bins=4, binning=binning)
        assert expected <= maximum_calibration_error(logits, labels, bins=4, binning=binning) + 1e-12
        # One bin is the least that any binning can give.
        assert expected_calibration_error(logits, labels, bins=1, binning=binning) <= expected + 1e-12


def test_other_bins_are_refused() -> None:
    with pytest.raises(InputError, match="bins must be at least 1, got 0"):
        reliability(*answers(0), bins=0)
    with pytest.raises(InputError, match=r'binning must be a known one.*"width"'):
        expected_calibration_error(*answers(0), binning="widht")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="logits must be finite"):
        classwise_calibration_error(torch.full((1, 2), float("nan")), torch.tensor([0]))
