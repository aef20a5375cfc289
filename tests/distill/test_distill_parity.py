"""The further losses that torchdistill has, as terms: values, gradients, and the parts that learn by themselves."""

from __future__ import annotations

import distill_oracles_parity as oracles
import numpy as np
import pytest
import torch
from distill_called import arrays, called, check_term, drawn, shaken, shapes_of, stages
from distill_cases import batch_of, networks
from distill_oracles_terms import slope

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller
from rolewise.distill.methods.kta import KTA
from rolewise.distill.methods.pad import PAD
from rolewise.errors import InputError


@pytest.mark.parametrize("widths", [(3, 5), (4, 4)])
def test_hard_features_count_less(widths: tuple[int, int]) -> None:
    pairs = [((widths[0],), (widths[1],))]
    students, teachers = stages(5, pairs)
    term = shaken(PAD(shapes_of(pairs)))
    check_term(term, students, teachers, lambda own, w: oracles.pad(own[0], teachers[0].numpy(), w))


def test_an_adapted_map_follows_the_code_of_the_teacher_s() -> None:
    pairs = [((3, 3, 2), (4, 3, 2))]
    students, teachers = stages(4, pairs)
    term = shaken(KTA(shapes_of(pairs), rate=0.5, affinity=0.6, sparsity=0.01))
    term.pairs = (("0", "0"),)
    found = term(*(Outputs({}, {"0": some[0]}) for some in (students, teachers)), Batch(None), Context())
    assert isinstance(found, dict)
    wanted = teachers[0].numpy()

    def oracle(values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return oracles.kta(values["feature"], wanted, values, 0.6, 0.01)

    at = {"feature": students[0].detach().numpy(), **arrays(term)}
    for part, expected in zip(("", "estimator"), oracle(at), strict=True):
        np.testing.assert_allclose(found[part].detach().numpy(), expected, rtol=1e-9)
    leaves = {"feature": students[0], **dict(term.named_parameters())}
    for number, part in enumerate(("", "estimator")):
        # Each part trains its own weights, and nothing else.
        own = {key: leaf for key, leaf in leaves.items() if key.startswith("estimator.") == bool(number)}
        gradients = torch.autograd.grad(found[part].mean(), list(leaves.values()), allow_unused=True, retain_graph=True)
        reached = {key for key, gradient in zip(leaves, gradients, strict=True) if gradient is not None}
        assert reached == set(own)
        towards = {key: drawn(*leaf.shape, seed=i).numpy() for i, (key, leaf) in enumerate(own.items())}
        gradient_of = dict(zip(leaves, gradients, strict=True))
        total = sum(float((gradient_of[key].numpy() * towards[key]).sum()) for key in own)  # type: ignore[union-attr]
        assert total == pytest.approx(slope(lambda values, n=number: oracle(values)[n], at, towards), rel=1e-6)


def test_zeros_and_equal_maps_have_finite_gradients() -> None:
    pairs = [((4, 3, 2), (4, 3, 2))]
    term = KTA(shapes_of(pairs)).double()
    term.pairs = (("0", "0"),)
    zero = torch.zeros(3, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    found = term(*(Outputs({}, {"0": some}) for some in (zero, zero.detach())), Batch(None), Context())
    (found[""] + found["estimator"]).sum().backward()  # type: ignore[index]
    assert zero.grad is not None and zero.grad.isfinite().all()
    equal = PAD(shapes_of([((4,), (4,))])).double()
    students, _ = stages(4, [((4,), (4,))])
    called(equal, students, [students[0].detach()]).sum().backward()
    assert students[0].grad is not None and students[0].grad.isfinite().all()


def test_what_cannot_be_adapted_is_refused() -> None:
    images, _ = batch_of(2)
    with pytest.raises(InputError, match=r'"kta": rate must leave at least one channel of the code'):
        Distiller(*networks(), [rw.kta(rate=0.1)], example=images)
    with pytest.raises(InputError, match=r'"kta" must tap maps \[B, D, H, W\], got \[2, 6\]'):
        Distiller(*networks(), [rw.kta(student_taps="penultimate", teacher_taps="penultimate")], example=images)
    with pytest.raises(InputError, match=r'"srd": power must be at least 1, got 0.5'):
        Distiller(*networks(), [rw.srd(power=0.5)], example=images)
    with pytest.raises(InputError, match='"pad" must have two examples in a batch, as its norms want two values'):
        Distiller(*networks(), [rw.pad()], example=images).train()(images[:1], torch.tensor([0]))
