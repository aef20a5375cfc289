"""Planes of templates, dispersion and embeddings, by hand, against numpy and against scikit-learn's parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments.dispersion import class_means, dispersion
from rolewise.instruments.embedding import pca, tsne
from rolewise.instruments.features import features_of
from rolewise.instruments.template_plane import class_templates, project_pairs, template_plane


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Net(nn.Module):
    """Four pixels, three features, four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.body = nn.Sequential(nn.Flatten(), self.inner, nn.ReLU(inplace=True))
        self.fc = nn.Linear(3, 4)
        self.unused = nn.Linear(1, 1)
        self.taps = {"penultimate": "body", "logits": "fc"}
        for index, parameter in enumerate(self.parameters()):
            parameter.data = torch.randn(parameter.shape, generator=seeded(index))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(images))
        return logits


def blobs() -> tuple[Tensor, Tensor]:
    labels = torch.arange(60) % 4
    return torch.rand(60, 1, 2, 2, generator=seeded(9)) * 0.2 + labels.view(-1, 1, 1, 1) * 0.2, labels


def test_a_plane_by_hand() -> None:
    templates = torch.tensor([[1.0, 0, 0], [4.0, 0, 0], [9.0, 9, 9], [3.0, 5, 0]])
    plane = template_plane(templates, (0, 1, 3))
    assert plane.axes.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert plane.corners.tolist() == [[0, 0], [3, 0], [2, 5]]
    # What stands upright on the plane is not seen.
    assert plane.project(torch.tensor([[2.0, 7.0, 100.0]])).tolist() == [[1, 7]]
    assert plane.project(torch.tensor([2.0, 7.0, 100.0]).view(1, 3, 1, 1)).tolist() == [[1, 7]]


def test_a_plane_keeps_distances_between_templates() -> None:
    templates = torch.randn(5, 20, generator=seeded())
    plane = template_plane(templates, (4, 0, 2))
    assert (plane.axes @ plane.axes.T).numpy() == pytest.approx(np.eye(2), abs=1e-12)
    chosen = templates[[4, 0, 2]].double()
    assert torch.cdist(plane.corners, plane.corners).numpy() == pytest.approx(torch.cdist(chosen, chosen).numpy())
    for classes in ((0, 1), (0, 0, 1), (0, 1, 5), (-1, 0, 1)):
        with pytest.raises(InputError, match="three different ones"):
            template_plane(templates, classes)
    with pytest.raises(InputError, match="must not lie on a line"):
        template_plane(torch.tensor([[0.0, 0], [1, 1], [2, 2]]), (0, 1, 2))
    with pytest.raises(InputError, match="must not lie on a line"):
        template_plane(torch.tensor([[0.0, 0], [0, 0], [2, 2]]), (0, 1, 2))


def test_pairs_are_mixed_in_pixels() -> None:
    model, (images, labels) = Net(), blobs()
    spec = InputSpec(mean=(0.1,), std=(0.5,))
    found = project_pairs(
        model,
        [(images[:37], labels[:37]), (images[37:], labels[37:])],
        (3, 0, 1),
        generator=seeded(),
        weight=0.3,
        spec=spec,
    )

    def oracle(pixels: Tensor) -> np.ndarray:
        weight, bias = (value.detach().double().numpy() for value in (model.inner.weight, model.inner.bias))
        features = np.maximum((pixels.flatten(1).double().numpy() - 0.1) / 0.5 @ weight.T + bias, 0)
        a, b, c = model.fc.weight.detach().double().numpy()[[3, 0, 1]]
        # The plane's own coordinates by least squares instead of orthogonalisation.
        basis = np.stack([b - a, c - a], 1)
        inside = basis @ np.linalg.lstsq(basis, (features - a).T, rcond=None)[0]
        first = (b - a) / np.linalg.norm(b - a)
        along = first @ inside
        across = np.linalg.norm(inside - np.outer(first, along), axis=0)
        side = np.sign((np.linalg.lstsq(basis, inside, rcond=None)[0])[1])
        return np.stack([along, across * side], 1)

    chosen = torch.isin(labels, torch.tensor([3, 0, 1]))
    assert torch.equal(found.labels, labels[chosen])
    assert found.clean.numpy() == pytest.approx(oracle(images[chosen]), abs=1e-5)
    # Fifteen of each class, so fifteen pairs of each two.
    assert len(found.mixed) == 45 and [int((found.pairs == index).any(1).sum()) for index in (3, 0, 1)] == [30] * 3
    mine, points, classes = images[chosen], found.clean, labels[chosen]
    for pair, mixed, straight in zip(found.pairs, found.mixed, found.straight, strict=True):
        one, other = ((classes == index).nonzero().squeeze(1) for index in pair)
        lines = (0.3 * points[one].unsqueeze(1) + 0.7 * points[other].unsqueeze(0)).flatten(0, 1)
        blends = (0.3 * mine[one].unsqueeze(1) + 0.7 * mine[other].unsqueeze(0)).flatten(0, 1)
        off = np.abs(oracle(blends) - mixed.numpy()).max(1) + np.abs((lines - straight).numpy()).max(1)
        assert off.min() < 1e-5 and (off > 1e-3).sum() > 200
    again = project_pairs(model, [(images, labels)], (3, 0, 1), generator=seeded(), weight=0.3, spec=spec)
    assert again.mixed.numpy() == pytest.approx(found.mixed.numpy(), abs=1e-6)
    other = project_pairs(model, [(images, labels)], (3, 0, 1), generator=seeded(1), weight=0.3, spec=spec)
    assert not torch.equal(other.mixed, found.mixed)


def test_wrong_pairs_are_named() -> None:
    model, (images, labels) = Net(), blobs()
    for change, message in (
        ({"weight": 2.0}, "weight must be in"),
        ({"templates": torch.randn(4, 5, generator=seeded())}, "must give 5 features, got 3"),
        ({"tap": "boddy"}, 'no tap .boddy.; did you mean "body"'),
    ):
        with pytest.raises(InputError, match=message):
            project_pairs(model, [(images, labels)], (0, 1, 2), generator=seeded(), **change)
    with pytest.raises(InputError, match="images of each of the classes"):
        project_pairs(model, [(images[:2], labels[:2])], (0, 1, 2), generator=seeded())
    with pytest.raises(InputError, match="use class_means instead"):
        class_templates(model, "penultimate")


def test_features_are_those_of_the_layer() -> None:
    model, (images, labels) = Net(), blobs()
    found = features_of(model, [(images[:25], labels[:25]), (images[25:], labels[25:])], ["body.1", "body", "fc:input"])
    linear = images.flatten(1) @ model.inner.weight.T + model.inner.bias
    # The activation works in place, and yet the layer before it is seen as it was.
    assert found.values["body.1"].numpy() == pytest.approx(linear.detach().numpy(), abs=1e-5)
    assert torch.equal(found.values["body"], found.values["body.1"].relu())
    assert torch.equal(found.values["fc:input"], found.values["body"]) and torch.equal(found.labels, labels)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    twice = features_of(model, [(images, labels)], ["body", "body"])
    assert list(twice.values) == ["body"] and torch.equal(twice.values["body"], found.values["body"])
    with pytest.raises(InputError, match="must run in every forward pass"):
        features_of(model, [(images, labels)], ["unused"])
    with pytest.raises(InputError, match="at least one image"):
        features_of(model, [])
    with pytest.raises(InputError, match="no tap"):
        features_of(model, [(images, labels)], ["fc:weight"])


def test_dispersion_by_hand() -> None:
    features = torch.tensor([[0.0, 1], [0, -1], [4, 2], [4, -2]])
    found = dispersion(features, torch.tensor([0, 0, 1, 1]))
    # Means (0, 0) and (4, 0): S_B = diag(4, 0); S_W = diag(0, (1 + 4) / 2), across what parts the classes.
    assert (found.within, found.between, found.ratio, found.by_class) == (2.5, 4, 0.625, (1, 4))
    assert found.collapse == 0
    turned = dispersion(features.flip(1) * torch.tensor([1.0, 0.5]), torch.tensor([0, 0, 1, 1]))
    # Means (0, 0) and (0, 2): S_B = diag(0, 1), S_W = diag(2.5, 0).
    assert (turned.within, turned.between, turned.collapse) == (2.5, 1, 0)
    assert class_means(features, torch.tensor([0, 0, 1, 1])).tolist() == [[0, 0], [4, 0]]
    same = dispersion(torch.tensor([[0.0, 1], [0, -1]]).repeat(2, 1), torch.tensor([0, 0, 1, 1]))
    assert same.ratio == same.collapse == float("inf")
    # The same five points in each class, in another order: the means differ by their last bits alone.
    points = torch.randn(5, 4, generator=seeded(), dtype=torch.double)
    mixed = torch.cat([points[torch.randperm(5, generator=seeded(index))] for index in range(3)])
    rounded = dispersion(mixed, torch.arange(3).repeat_interleave(5))
    assert rounded.between == 0 and rounded.ratio == rounded.collapse == float("inf") and rounded.within > 1
    # However small, a true distance counts.
    close = torch.tensor([[1.0], [1.0], [1 + 1e-12], [1 + 1e-12]], dtype=torch.double)
    near = dispersion(close, torch.tensor([0, 0, 1, 1]))
    assert near.between > 0 and near.ratio == 0


@pytest.mark.parametrize("dimensions", [3, 30])
def test_dispersion_is_numpys(dimensions: int) -> None:
    labels = torch.cat([torch.arange(5), torch.randint(0, 5, (40,), generator=seeded(1))])
    features = (
        torch.randn(45, dimensions, generator=seeded(2)) + 2 * torch.randn(5, dimensions, generator=seeded(3))[labels]
    )
    found = dispersion(features, labels)
    x, y = features.double().numpy(), labels.numpy()
    means = np.stack([x[y == k].mean(0) for k in range(5)])
    within = sum(np.cov(x[y == k].T, bias=True) for k in range(5)) / 5
    between = np.cov(means.T, bias=True)
    assert found.within == pytest.approx(np.trace(within)) and found.between == pytest.approx(np.trace(between))
    assert found.ratio == pytest.approx(np.trace(within) / np.trace(between))
    assert found.collapse == pytest.approx(np.trace(within @ np.linalg.pinv(between)) / 5)
    # Collapse does not change with an invertible map of the features, where class means span all of them.
    if dimensions == 3:
        mapped = dispersion(features @ torch.randn(3, 3, generator=seeded(4)), labels)
        assert mapped.collapse == pytest.approx(found.collapse, rel=1e-4)
        assert mapped.ratio != pytest.approx(found.ratio, rel=1e-2)
    for wrong in (labels + 1, labels.float(), labels[:-1]):
        with pytest.raises(InputError, match="labels"):
            dispersion(features, wrong)
    with pytest.raises(InputError, match="at least two classes"):
        dispersion(features, labels * 0)
    with pytest.raises(InputError, match="labels must be at least 0, got -1"):
        dispersion(features, labels - 1)
    features[7, 1] = float("nan")
    for measure in (dispersion, class_means):
        with pytest.raises(InputError, match="features must be finite, got others for image 7"):
            measure(features, labels)


def test_principal_components_are_the_svds() -> None:
    features = torch.randn(50, 4, 2, generator=seeded()) * torch.arange(1, 9).view(4, 2)
    found = pca(features, 3)
    centred = features.flatten(1).double().numpy()
    centred = centred - centred.mean(0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(found.axes.numpy()) == pytest.approx(np.abs(axes[:3]), abs=1e-8)
    assert found.explained.numpy() == pytest.approx((lengths**2 / (lengths**2).sum())[:3])
    assert found.points.numpy() == pytest.approx(centred @ found.axes.numpy().T, abs=1e-8)
    assert all(axis[axis.abs().argmax()] > 0 for axis in found.axes)
    for change in ({"components": 9}, {"components": 0}):
        with pytest.raises(InputError, match="components must be"):
            pca(features, **change)
    with pytest.raises(InputError, match="must be finite"):
        pca(features / 0)


def test_neighbours_stay_neighbours() -> None:
    labels = torch.arange(60) % 3
    features = torch.randn(60, 10, generator=seeded()) + 20 * torch.eye(3, 10)[labels]
    found = tsne(features, generator=seeded(), perplexity=8, steps=300)
    assert found.points.shape == (60, 2) and 0 < found.divergence < 2
    distances = torch.cdist(found.points, found.points).fill_diagonal_(float("inf"))
    assert torch.equal(labels[distances.argmin(1)], labels)
    assert torch.equal(tsne(features, generator=seeded(), perplexity=8, steps=300).points, found.points)
    wrong: list[dict[str, Any]] = [{"perplexity": 60}, {"components": 4}, {"steps": 10}]
    for change in wrong:
        with pytest.raises(InputError, match="must be"):
            tsne(features, generator=seeded(), **change)
