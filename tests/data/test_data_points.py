"""Points of images: read from one's own arrays, checked, divided, and moved with their images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rolewise.augment import apply, build_schedule, geometric
from rolewise.data import ImageData, from_arrays
from rolewise.data.targets import kind_of_targets, strata_of
from rolewise.errors import InputError
from rolewise.train.moved_labels import lie_in_image, moved_labels

NAN = float("nan")


def arrays(**changes: Any) -> dict[str, Any]:
    points = np.array([[[1.5, 2.5], [6, 7]], [[NAN, NAN], [3, 3]], [[0.5, 0.5], [NAN, NAN]]])
    return {"images": np.zeros((3, 8, 10), np.uint8), "labels": points, "classes": ["eye", "ear"], **changes}


def test_points_are_read_and_divided_by_their_number():
    data, test = from_arrays(arrays(), "here", "points")
    assert test is None and data.labels.dtype == torch.float32 and data.classes == ("eye", "ear")
    assert kind_of_targets(data.labels) == "points" and lie_in_image(data.labels)
    assert strata_of(data.labels).tolist() == [2, 1, 1]
    assert from_arrays(arrays(classes=None), "here", "points")[0].classes == ("0", "1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"labels": np.zeros((3, 2, 3))},
            r"here: points must be \[N, P, 2\], x and y in pixels of each, got \[3, 2, 3\]",
        ),
        ({"labels": np.zeros((3, 2))}, r"labels must be points \[N, P, 2\], .* save x and y of each"),
        ({"labels": np.zeros((2, 2, 2))}, "do images and points belong together"),
        ({"labels": np.full((3, 2, 2), np.inf)}, "points must be two finite numbers, or NaN twice, got .*inf"),
        ({"labels": np.array([[[1, NAN], [1, 1]]] * 3)}, "points must be two finite numbers, or NaN twice, got"),
        ({"classes": ["eye"]}, r"points must be float32 \[3, 1, 2\], one for each name"),
    ],
)
def test_what_is_wrong_with_points_is_named(changes: dict[str, Any], words: str):
    with pytest.raises(InputError, match=words):
        from_arrays(arrays(**changes), "here", "points")


def test_points_move_as_the_bright_pixels_do_and_those_that_leave_are_not_there():
    draw = torch.Generator().manual_seed(0)
    count, size = 60, 31
    images = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    labels = torch.full((count, 2, 2), NAN)
    for at in range(count):
        x, y = (int(value) for value in torch.randint(4, size - 4, (2,), generator=draw))
        images[at, 0, y - 1 : y + 2, x - 1 : x + 2] = 255
        labels[at, at % 2] = torch.tensor([x + 0.5, y + 0.5])
    plan = geometric(build_schedule("randaugment").at(0.0).draw(count, (1, size, size), draw))
    moved = moved_labels(labels, plan, (size, size))
    seen = apply(images, plan, fill=0)[:, 0].float()
    there = moved.isfinite().all(2)
    assert not there[torch.arange(count), (torch.arange(count) + 1) % 2].any() and int(there.sum()) > 40
    grid = torch.arange(size) + 0.5
    for at in range(count):
        if seen[at].sum() < 8 * 255 or not there[at, at % 2]:
            continue  # cut at an edge, or gone
        mass = seen[at] / seen[at].sum()
        centre = torch.stack([mass.sum(0) @ grid, mass.sum(1) @ grid])
        assert float((centre - moved[at, at % 2]).abs().max()) < 0.75
    ImageData(images, moved, ("a", "b"))  # what has moved is sound again
