"""Photographs that a network of another run was trained on, recognised where they are read at another size."""

from __future__ import annotations

from pathlib import Path

import torch

from rolewise.experiment import load
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.seen_images import image_digests, seen_images


def test_photographs_are_recognised_at_another_size(photo_run: Path) -> None:
    config = photo_run.parent / "photos.yaml"
    arguments = "data.arguments={size: 12, resize: squash}"
    like = load(config, ["seeds=[0]", arguments, "data.split_seed=4"])
    found = seen_images(f"{photo_run}#seed3/teacher-none", like)
    assert found is not None
    # By the rules of the new experiment, in the division of the old one.
    trained = seed_data_of(load(config, [arguments]), 3, torch.device("cpu"))
    assert found == set(image_digests(trained.source, trained.train)) and len(found) == 18
    data = seed_data_of(like, 0, torch.device("cpu"))
    tested = set(image_digests(data.test.source, data.test.indices))
    assert len(tested) == 6 and tested & found
