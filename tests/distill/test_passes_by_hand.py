"""Methods of several passes have values worked by hand: parts and networks are set to what can be followed on paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_terms_by_hand import APART, SURE, asides, maps, tensor, term_of
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.term import NetworkRun
from rolewise.tasks import Classification

#: The logits 4 log 3 and 0 are, at the temperature 4, the probabilities 3/4 and 1/4.
WARM = [4 * math.log(3), 0.0]
#: A class without doubt at every temperature.
CERTAIN = [1000.0, 0.0]
#: A temperature at which the cosines 1 and 0 are the probabilities 3/4 and 1/4.
TAU = 1 / math.log(3)


def logits(*rows: list[float]) -> Outputs:
    return Outputs({"logits": tensor(list(rows))})


@pytest.mark.parametrize(
    ("masked", "strong", "expected"),
    [
        # One example, certain of two classes for the teacher and even for the student. KL is log 2 at each temperature,
        # and T^2 of 2 to 6 add up to 90. Products over examples: 1 and 1/2, squared difference 1/4. Over classes the
        # rows (1, 0), (0, 0) less (1/4, 1/4) twice: 9/16 + 1/16 and 2/16, whose mean is 3/8. Five temperatures.
        (False, False, 0.9 * (90 * math.log(2) + 5 * (1 / 4 + 3 / 8))),
        # Masked, the likelier class does not count: 0 and 2/16, whose mean is 1/16. One example is its own median.
        (True, False, 0.9 * (90 * math.log(2) + 5 * (1 / 4 + 1 / 16))),
        # A strong view with the same logits: the divergences once more, and a tenth of its cross-entropy, log 2.
        (True, True, 0.9 * (180 * math.log(2) + 5 * (1 / 4 + 1 / 16)) + 0.1 * math.log(2)),
    ],
)
def test_mlkd_has_the_value_worked_by_hand(masked: bool, strong: bool, expected: float) -> None:
    term = term_of("mlkd", [], [], masked=masked)
    own, aim = logits([0.0, 0.0]), logits(CERTAIN)
    if strong:
        own, aim = (Outputs(one.values, views={"strong": one}) for one in (own, aim))
    loss = term(own, aim, Batch(None, torch.tensor([0])), Context())
    assert loss.tolist() == pytest.approx([expected], rel=1e-12)


def test_fcfd_has_the_value_worked_by_hand() -> None:
    # One stage of two channels and one place, 0 in the student and WARM in the teacher, whose logits these are; bridges
    # leave all as it is. Features: omega (4 log 3)^2 / 2. The rest of the teacher returns its feature, so that it makes
    # even outputs of the student's: KL of 3/4, 1/4 from them. That of the student changes places: KL of 3/4, 1/4 from
    # 1/4, 3/4 is (3/4 - 1/4) log 3. Both are times T^2 = 16.
    term: Any = term_of("fcfd", [maps(0, 0)], [maps(0, 0)])
    asides("to_teacher", "to_student")(term)
    changed = [lambda batch, feature: Outputs({"logits": feature.flatten(1).flip(1)})]
    kept = [lambda batch, feature: Outputs({"logits": feature.flatten(1)})]
    term.rests = (changed, kept)
    own = Outputs({"logits": tensor([[0.0, 0.0]])}, {"0": maps(0, 0)})
    aim = Outputs({"logits": tensor([WARM])}, {"0": maps(*WARM)})
    expected = 5 * WARM[0] ** 2 / 2 + 16 * (APART + math.log(3) / 2)
    loss = term(own, aim, Batch(None, torch.tensor([0])), Context())
    assert loss.tolist() == pytest.approx([expected], rel=1e-12)


def test_sskd_has_the_value_worked_by_hand() -> None:
    # Two examples of the class 0. The teacher's outputs are 3/4, 1/4 at T = 4, but for one turned image of the second
    # example, which it has wrong and which is left out; the student's are even. Each turned image has the features of
    # its plain one in the teacher (cosines 1 and 0, 3/4 and 1/4 at tau), and equal cosines to both in the student.
    # So plain 0.9 * 16 A with A the KL of 3/4, 1/4 from even ones; turned 2.7 * 16 A on 5 of 6 images, as 2/5 of 3 for
    # the first example and 2/5 of 2 for the second; contrast 10 tau^2 A on all six. The teacher's head has the
    # cross-entropy of the cosines themselves, log(1 + 1/e).
    settings = {"contrast_temperature": TAU, "kept_outputs": 0.0, "kept_similarities": 0.0}
    apart = tensor([[1.0, 0.0], [0.0, 1.0]])
    term = term_of("sskd", [apart], [apart], **settings)
    asides("head", "estimator")(term)

    def outputs(rows: list[list[float]], features: Tensor, views: dict[str, Outputs] | None = None) -> Outputs:
        return Outputs({"logits": tensor(rows)}, {"0": features}, views=views or {})

    names = ("turned90", "turned180", "turned270")
    even, sure, wrong = [[0.0, 0.0]] * 2, [WARM] * 2, [WARM, WARM[::-1]]
    own = outputs(even, apart, {name: outputs(even, torch.ones(2, 2, dtype=torch.float64)) for name in names})
    taught = {name: outputs(wrong if name == "turned270" else sure, apart) for name in names}
    loss = term(own, outputs(sure, apart, taught), Batch(None, torch.tensor([0, 0])), Context())
    both = 0.9 * 16 * APART + 10 * TAU**2 * APART
    assert loss[""].tolist() == pytest.approx([both + 2.7 * 16 * APART * share for share in (6 / 5, 4 / 5)], rel=1e-9)
    assert loss["estimator"].tolist() == pytest.approx([math.log(1 + 1 / math.e)] * 2, rel=1e-9)


@pytest.mark.parametrize(("progress", "left"), [(0.0, 1.0), (0.375, 0.5), (0.75, 0.0)])
def test_bss_has_the_value_worked_by_hand(progress: float, left: float) -> None:
    # The teacher's logits of a number x are x and -x. From x = 1 and 2, of the class 0, it goes towards the class 1:
    # the difference of logits is -2x, its slope -2, so that a step of 0.5 ends at x - 0.5 (2x + 1e-4) = -0.5e-4 for
    # both, just across the boundary, where the first logit is 1e-4 less than the other. The third number is of another
    # class than the teacher says, and stays out: of 3 examples 2 are attacked. The student says 3/4, 1/4 everywhere.
    term: Any = term_of("bss", [], [], temperature=1.0, step=0.5)
    student, teacher = nn.Linear(1, 2).double(), nn.Linear(1, 2).double()
    with torch.no_grad():
        student.weight.zero_(), student.bias.copy_(tensor(SURE))
        teacher.weight.copy_(tensor([[1.0], [-1.0]])), teacher.bias.zero_()
    pair = ((student, "student"), (teacher, "teacher"))
    term.runs = tuple(NetworkRun(network, Classification(), None, role, role) for network, role in pair)
    inputs = tensor([[1.0], [2.0], [-1.0]])
    own, aim = (Outputs({"logits": network(inputs)}) for network, _ in pair)
    loss = term(own, aim, Batch(inputs, torch.tensor([0, 0, 0])), Context(progress))
    p = 1 / (1 + math.exp(1e-4))
    across = p * math.log(p / 0.75) + (1 - p) * math.log((1 - p) / 0.25)
    assert loss.tolist() == pytest.approx([left * 1.5 * across] * 2 + [0.0], rel=1e-9)
