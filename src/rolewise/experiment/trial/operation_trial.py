"""An operation of the user's own, tried on two images of the data's shape."""

from __future__ import annotations

import torch

from rolewise.augment import Plan, apply
from rolewise.augment.ops import check_op, number_of, op_of
from rolewise.errors import InputError
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_trial import BATCH
from rolewise.foreign_code import ForeignError
from rolewise.seeds import generator


def operation_fault(name: str, images: ImageFacts) -> str | None:
    """Returns the reason that keeps an operation from the data's images; None where it can be applied.

    Args:
        name: its import path, imported already.
        images: channels and size of the data.

    Raises:
        ForeignError: its function raised.
    """
    check_op(name)
    shape = (BATCH, images.channels, *images.size)
    batch = torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "trial"))
    plan = Plan(
        torch.full((BATCH, 1), number_of(name)), torch.full((BATCH, 1), op_of(name).range), torch.zeros(BATCH, 1, 2)
    )
    try:
        apply(batch, plan)
    except ForeignError:
        raise
    except InputError as error:
        return str(error)
    return None
