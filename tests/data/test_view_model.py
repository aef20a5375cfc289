"""The multi-view data model: orthonormal features, views where they should be, and places apart."""

from __future__ import annotations

import torch

from rolewise.data import view_model


def test_features_are_orthonormal_and_examples_have_the_views_they_should() -> None:
    model = view_model(10, 40, 10, 2.0, 0.3, 0.0, seed=1)
    rows = model.features.reshape(20, 40)
    assert torch.allclose(rows @ rows.T, torch.eye(20, dtype=torch.float64), atol=1e-12)
    data = model.examples(200, 0.25, torch.Generator().manual_seed(0))
    own = model.features[data.labels]
    strength = torch.einsum("npd,nvd->nvp", data.patches, own).amax(dim=2)
    lacking = (strength < 0.99).sum(dim=1)
    assert lacking[:50].tolist() == [1] * 50 and lacking[50:].tolist() == [0] * 150
    assert float(strength.max()) <= 1.5 + 1e-9
    places = torch.einsum("npd,nvd->nvp", data.patches, own)[50:].argmax(dim=2)
    assert (places[:, 0] != places[:, 1]).all()


def test_examples_without_noise_are_sums_of_weighted_features() -> None:
    model = view_model(3, 8, 4, 2.0, 0.3, 0.0, seed=0)
    data = model.examples(50, 0.0, torch.Generator().manual_seed(0))
    rows = model.features.reshape(6, 8)
    inside = torch.einsum("npd,fd->npf", data.patches, rows)
    torch.testing.assert_close(torch.einsum("npf,fd->npd", inside, rows), data.patches)
    weights = inside.sum(dim=1).reshape(50, 3, 2)
    own = weights[torch.arange(50), data.labels]
    others = weights[torch.arange(3)[None] != data.labels[:, None]]
    assert 1 <= float(own.min()) <= float(own.max()) <= 1.5
    there = others[others > 1e-9]
    assert 0.2 <= float(there.min()) <= float(there.max()) <= 0.4
    again = model.examples(50, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(again.patches, data.patches) and torch.equal(again.labels, data.labels)
