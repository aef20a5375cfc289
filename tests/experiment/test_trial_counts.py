"""A config that divides a data set into more images than it has is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rolewise.config import ConfigError
from rolewise.experiment import load

QUICK = Path(__file__).parent / "quick.yaml"


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        (["data.test=5000"], "data.test", "must leave some of the 1,797 images to train on, got 5000"),
        (["data.limit=5000"], "data.limit", "at most the 1,497 images that are not tested on, got 5000"),
        (["data.limit=10"], "data.validation", "some of the 10 images that are not tested on to train on, got 100"),
        (["data.validation=2000"], "data.validation", "some of the 1,497 images"),
        (["data={name: cifar10, validation: 10, test: 20000}"], "data.test", "at most the 10,000 images of the set's"),
        (["data={name: npz, root: ROOT, validation: 200, test: 10}"], "data.validation", "some of the 50 images"),
    ],
)
def test_parts_that_are_larger_than_the_data_are_faults(
    tmp_path: Path, settings: list[str], path: str, message: str
) -> None:
    np.savez(tmp_path / "data.npz", images=np.zeros((60, 8, 8), np.uint8), labels=np.arange(60) % 3)
    with pytest.raises(ConfigError) as caught:
        load(QUICK, [setting.replace("ROOT", str(tmp_path)) for setting in settings])
    found = {fault.path: fault.message for fault in caught.value.faults}
    assert message in found[path], found


def test_parts_that_just_fit_are_none() -> None:
    load(QUICK, ["teacher.images=1397", "students[0].images=1397", "data.limit=1497"])
