"""Where the logits are in the outputs of networks."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch

from rolewise.errors import InputError
from rolewise.logits import logits_in

LOGITS, OTHER, MAP, SCALAR = torch.ones(4, 3), torch.ones(4, 5), torch.ones(4, 8, 2, 2), torch.tensor(1.0)
Inception = namedtuple("Inception", ["logits", "aux_logits"])


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        {"logits": LOGITS, "hidden": OTHER},
        OrderedDict(loss=SCALAR, logits=LOGITS),
        SimpleNamespace(logits=LOGITS),
        Inception(LOGITS, OTHER),
        (LOGITS,),
        [LOGITS, MAP],
        (SCALAR, LOGITS, MAP),
        ([MAP, OTHER], LOGITS),
        (LOGITS, None),
    ],
)
def test_the_logits_are_found(output: object) -> None:
    assert logits_in(output) is LOGITS


def test_a_tuple_of_one_larger_tensor_is_that_tensor() -> None:
    assert logits_in((MAP, SCALAR)) is MAP


@pytest.mark.parametrize(
    ("output", "got"),
    [
        ((LOGITS, OTHER), r"a tuple of \[4, 3\], \[4, 5\]; wrap it in a module whose forward returns the logits alone"),
        ([OTHER, LOGITS, MAP], r"a list of \[4, 5\], \[4, 3\], \[4, 8, 2, 2\]"),
        ((MAP, MAP), r"a tuple of \[4, 8, 2, 2\], \[4, 8, 2, 2\]"),
        ((), "a tuple of nothing"),
        (([LOGITS], SCALAR), r"a tuple of list, \[\]"),
        ({"out": MAP, "aux": MAP}, "a mapping with 'out', 'aux'; wrap it"),
        ({}, "a mapping with nothing"),
        (SimpleNamespace(scores=LOGITS), "got SimpleNamespace; wrap it"),
        ({"logits": (LOGITS,)}, "a mapping with 'logits'"),
        (None, "got NoneType"),
    ],
)
def test_what_cannot_be_told_is_refused(output: object, got: str) -> None:
    with pytest.raises(InputError, match=f"a network must return logits .*{got}"):
        logits_in(output)
