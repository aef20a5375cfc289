"""The ways to call a Distiller: mappings, no labels, outputs computed before; and what may stand among its methods."""

from __future__ import annotations

import copy
import functools
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.models import build


def network(seed: int, classes: int = 3) -> nn.Module:
    return build("small_cnn", num_classes=classes, channels=1, size=(8, 8), widths=(4, 6), seed=seed)


IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


class Kwargs(nn.Module):
    """A network that takes its inputs by keyword, and only so."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        return {"logits": self.inner(first) + self.inner(second)}


def scalar_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared difference."""
    return functional.mse_loss(student_logits, teacher_logits)


def labelled_loss(teacher_logits: Tensor, labels: Tensor, student_logits: Tensor, scale: float = 1.0) -> Tensor:
    return scale * functional.cross_entropy(student_logits - teacher_logits, labels, reduction="none")


# batches


@pytest.mark.parametrize(
    ("batch", "names"),
    [
        ({"pixel_values": IMAGES, "labels": LABELS}, {}),
        ({"label": LABELS, "image": IMAGES, "indices": torch.arange(6)}, {}),
        ({"x": IMAGES, "y": LABELS, "path": ["a"] * 6}, {"input_name": "x", "label_name": "y"}),
        ({"x": IMAGES, "fine": LABELS, "labels": LABELS + 9}, {"input_name": "x", "label_name": "fine"}),
    ],
)
def test_a_mapping_is_images_and_labels(batch: dict[str, Any], names: dict[str, str]) -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()], **names).eval()
    assert torch.equal(distiller(batch).total, distiller(IMAGES, LABELS).total)
    assert set(distiller(batch).parts) == {"labels", "kd"}


def test_what_is_printed_of_terms_are_their_numbers() -> None:
    terms = Distiller(network(0), network(1), [rw.kd(weight=0.5)], label_weight=0.25).eval()(IMAGES, LABELS)
    values = [f"{name}={float(value):.4g}" for name, value in terms.named().items()]
    assert repr(terms) == f"Terms({', '.join(values)}; weights: labels 0.25, kd 0.5)"


def test_images_of_bytes_are_refused_with_both_remedies() -> None:
    bytes_, spec = (IMAGES.abs().clamp(max=1) * 255).byte(), rw.InputSpec(mean=(0.5,), std=(0.5,))
    with pytest.raises(InputError, match=r"give images.float\(\) / 255, or Distiller\(..., student_input=rw.InputSpec"):
        Distiller(network(0), network(1), ["kd"])(bytes_, LABELS)
    with pytest.raises(InputError, match="teacher_input="):
        Distiller(network(0), network(1), ["kd"], student_input=spec)(bytes_, LABELS)
    both = Distiller(network(0), network(1), ["kd"], student_input=spec, teacher_input=spec)
    assert both(bytes_, LABELS).not_finite() is None


def test_several_inputs_of_a_mapping_go_by_keyword() -> None:
    distiller = Distiller(Kwargs(network(0)), Kwargs(network(1)), [rw.kd()]).eval()
    inputs = {"first": IMAGES, "second": IMAGES.flip(0)}
    assert torch.equal(distiller({**inputs, "labels": LABELS}).total, distiller(inputs, LABELS).total)


def test_a_name_that_a_mapping_lacks_is_refused() -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()], label_name="lable")
    with pytest.raises(InputError, match="label_name must be a name in the batch, got 'lable'; did you mean \"label\""):
        distiller({"image": IMAGES, "label": LABELS})


def test_images_alone_train_by_the_methods() -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()], label_weight=0)
    terms = distiller(IMAGES)
    assert set(terms.parts) == {"kd"} and torch.equal(terms.total, 0.9 * terms["kd"])
    assert set(distiller({"pixel_values": IMAGES}).parts) == {"kd"}
    with pytest.raises(
        InputError, match="labels must be a tensor, got none; where nothing reads them set label_weight"
    ):
        Distiller(network(0), network(1), [rw.kd()])(IMAGES)
    with pytest.raises(InputError, match='labels must be given, as "dkd" reads them, got none'):
        Distiller(network(0), network(1), [rw.kd(), rw.dkd()], label_weight=0)(IMAGES)


# outputs computed before


def test_given_outputs_stand_for_the_teacher_which_does_not_run() -> None:
    teacher, calls = network(0), []
    teacher.register_forward_hook(lambda *_: calls.append(1))
    distiller = Distiller(teacher, network(1), [rw.kd(), rw.rkd(student_taps="logits", teacher_taps="logits")])
    with torch.no_grad():
        logits = teacher.eval()(IMAGES)
    features = {"head": logits}
    path = distiller.links[1].pairs[0][1]
    calls.clear()
    stored = distiller(IMAGES, LABELS, teacher_outputs=rw.Outputs({"logits": logits}, {path: logits}))
    assert not calls and stored.teacher_logits is not None and not stored.teacher_logits.requires_grad
    ran = distiller(IMAGES, LABELS)
    assert calls and all(torch.equal(stored[name], ran[name]) for name in ran.parts)
    with pytest.raises(InputError, match=f"teacher_outputs must have the features that methods read, {path}, got head"):
        distiller(IMAGES, LABELS, teacher_outputs=rw.Outputs({"logits": logits}, features))


@pytest.mark.parametrize("form", [lambda logits: logits, lambda logits: {"logits": logits}, lambda logits: (logits,)])
def test_a_teacher_that_is_not_there_has_its_outputs_given(form: Any) -> None:
    teacher = network(0).eval()
    expected = Distiller(teacher, network(1), ["kd"])(IMAGES, LABELS).total
    distiller = Distiller(rw.StoredTeacher(), network(1), ["kd"])
    assert torch.equal(distiller(IMAGES, LABELS, teacher_outputs=form(teacher(IMAGES))).total, expected)
    batch = rw.Batch(IMAGES, LABELS, outputs={"teacher": form(teacher(IMAGES))})
    assert torch.equal(distiller(batch).total, expected)
    with pytest.raises(InputError, match="teacher_outputs must be given with each batch, as the teacher is a Stored"):
        distiller(IMAGES, LABELS)


def test_terms_are_asked_for_by_name() -> None:
    terms = Distiller(network(0), network(1), [rw.kd()])(IMAGES, LABELS)
    assert "kd" in terms and "dkd" not in terms and sorted(terms) == ["kd", "labels"]
    for unknown in ("kdd", 0):
        with pytest.raises(InputError, match=f"no term is called {unknown!r}"):
            terms[unknown]


def test_one_of_several_teachers_is_given() -> None:
    big, old = network(0).eval(), network(2).eval()
    methods = [rw.kd(teacher="big", name="kd_big"), rw.kd(teacher="old", name="kd_old")]
    distiller = Distiller({"big": big, "old": old}, network(1), methods)
    expected = distiller(IMAGES, LABELS)
    assert expected["kd_big"] != expected["kd_old"]
    assert torch.equal(distiller(IMAGES, LABELS, teacher_outputs={"old": old(IMAGES)}).total, expected.total)
    for outputs, message in (
        (old(IMAGES), "must be a mapping by role, as there are several teachers"),
        ({"old": old(IMAGES), "bgi": 1}, r"must be of the teachers \(big, old\), got 'bgi'; did you mean \"big\""),
    ):
        with pytest.raises(InputError, match=message):
            distiller(IMAGES, LABELS, teacher_outputs=outputs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"teacher_outputs": torch.zeros(5, 3)}, "teacher_outputs must be of the same 6 examples, got 5"),
        (
            {"teacher_outputs": torch.zeros(6, 4)},
            r"must be logits \[B, K\] of the same shape, got \[6, 3\] and \[6, 4\]",
        ),
        ({"teacher_outputs": torch.zeros(6, 3, device="meta")}, "must be on the device of the inputs, cpu, got meta"),
        ({"teacher_outputs": torch.zeros(6, 3), "teacher_images": IMAGES}, "teacher_images must be left out where"),
        ({"teacher_outputs": rw.Outputs({})}, "teacher_outputs must hold values or features, got neither"),
        (
            {"teacher_outputs": torch.zeros(6, 3).numpy()},
            r"teacher_outputs must be tensors, .* got ndarray; give those",
        ),
        (
            {"teacher_outputs": {"logitz": torch.zeros(6, 3)}},
            "teacher_outputs must be tensors, .* got dict with logitz",
        ),
        ({"teacher_outputs": torch.zeros(6, 3, dtype=torch.int64)}, "teacher_outputs must be logits .* got int64"),
        ({"teacher_outputs": torch.zeros(6, 3).to_sparse()}, "teacher_outputs must be logits .* got float32, sparse"),
    ],
)
def test_wrong_outputs_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distiller(network(0), network(1), [rw.kd()])(IMAGES, LABELS, **given)


# methods


def test_methods_may_be_names_one_alone_or_functions() -> None:
    def total(methods: Any) -> Tensor:
        return Distiller(network(0), network(1), methods)(IMAGES, LABELS).total

    expected = total([rw.kd()])
    assert all(torch.equal(total(given), expected) for given in ("kd", ["kd"], rw.kd(), (rw.kd(),)))
    assert torch.equal(total(["kd", "dist"]), total([rw.kd(), rw.dist()]))
    assert torch.equal(total("function_matching"), total(rw.function_matching()))


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (scalar_loss, "scalar"),
        (functional.mse_loss, "mse"),
        (nn.MSELoss(), "mse"),
        (lambda student, teacher: (student - teacher).square().mean(1), "loss"),
        (functools.partial(functional.mse_loss, reduction="mean"), "mse"),
    ],
)
def test_a_plain_function_is_a_method(loss: Any, name: str) -> None:
    teacher, student = network(0).eval(), network(1)
    distiller = Distiller(teacher, student, [loss, "kd"], label_weight=0.5)
    terms = distiller(IMAGES, LABELS)
    expected = functional.mse_loss(terms.student_logits, terms.teacher_logits)
    torch.testing.assert_close(terms[name], expected)
    torch.testing.assert_close(terms.total, 0.5 * terms["labels"] + terms[name] + 0.9 * terms["kd"])
    terms.total.backward()
    assert torch.equal(copy.deepcopy(distiller)(IMAGES, LABELS).total, distiller(IMAGES, LABELS).total)


def test_a_plain_function_gets_labels_by_name_and_has_a_weight_and_settings() -> None:
    distiller = Distiller(network(0), network(1), [rw.configure(labelled_loss, weight=0.25, scale=3.0, name="mine")])
    terms = distiller(IMAGES, LABELS)
    assert terms.student_logits is not None and terms.teacher_logits is not None
    expected = 3 * functional.cross_entropy(terms.student_logits - terms.teacher_logits, LABELS)
    torch.testing.assert_close(terms["mine"], expected)
    assert terms.weights["mine"] == 0.25
    distiller.configure("mine", scale=6.0)
    torch.testing.assert_close(distiller(IMAGES, LABELS)["mine"], 2 * expected)
    again = pickle.loads(pickle.dumps(distiller))
    torch.testing.assert_close(again(IMAGES, LABELS)["mine"], 2 * expected)
    with pytest.raises(InputError, match=r'no such setting of "labelled": .*"scale"'):
        rw.configure(labelled_loss, scal=2.0)


def test_a_plain_function_reads_features_where_taps_are_given() -> None:
    method = rw.configure(scalar_loss, student_taps="stage2", teacher_taps="stage2")
    terms = Distiller(network(0), network(1), method)(IMAGES, LABELS)
    features = [next(iter(terms.outputs[role].features.values())) for role in ("student", "teacher")]
    assert features[0].ndim == 4
    torch.testing.assert_close(terms["scalar"], functional.mse_loss(*features))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda logits: logits, r'"loss" must take the logits of student and teacher, got \(logits\); write it as def'),
        (lambda student, teacher, power: student, "must have a default for the parameter 'power'"),
        (lambda student_a, student_b, teacher: student_a, r"must have one parameter named student..., got \(student_a"),
        (lambda student, images: student, "must take the logits of student and teacher"),
        (nn.Bilinear(2, 2, 2), '"bilinear" must have no parameters to train'),
        (torch.add, '"add" must have a signature'),
    ],
)
def test_a_function_that_is_no_loss_is_refused(loss: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distiller(network(0), network(1), [loss])


def test_a_function_that_returns_something_else_is_refused() -> None:
    distiller = Distiller(network(0), network(1), [lambda student, teacher: student - teacher])
    with pytest.raises(InputError, match=r'"loss" must return a loss for each example, \[6\], got \[6, 3\]'):
        distiller(IMAGES, LABELS)


# the teacher of a saved state


def test_a_state_notices_another_teacher() -> None:
    first = Distiller(network(0), network(1), ["kd"])
    state = copy.deepcopy(first.state_dict())
    Distiller(network(0), network(2), ["kd"]).load_state_dict(state)
    other = Distiller(network(3), network(2), ["kd"])
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(
        InputError, match=r"teacher must be the network beside which the state was saved, .* strict=False"
    ):
        other.load_state_dict(state)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items()), "half of it was loaded"
    wrapped = nn.ModuleDict({"loss": other})
    with pytest.raises(RuntimeError, match="beside which the state was saved"):
        wrapped.load_state_dict({f"loss.{name}": value for name, value in state.items()})
    assert "beside which" in other.load_state_dict(state, strict=False).unexpected_keys[0]
    taken = other.state_dict()
    assert all(torch.equal(taken[name], value) for name, value in state.items() if name.startswith("student."))
    with pytest.raises(InputError, match="as many networks as when the state was saved, 1, got 2"):
        methods = [rw.kd(teacher="a", name="kd_a"), rw.kd(teacher="b", name="kd_b")]
        Distiller({"a": network(0), "b": network(3)}, network(1), methods).load_state_dict(state)


def test_a_state_without_a_digest_and_a_teacher_without_weights_are_taken() -> None:
    distiller = Distiller(network(0), network(1), ["kd"])
    state = copy.deepcopy(distiller.state_dict())
    Distiller(rw.StoredTeacher(), network(2), ["kd"]).load_state_dict(state)
    del state["_extra_state"]
    other = Distiller(network(3), network(2), ["kd"])
    assert not other.load_state_dict(state).missing_keys
    assert not any("extra" in key for key in Distiller(None, network(1)).state_dict())


def test_a_digest_follows_the_teacher_and_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from rolewise.distill import teacher_digest

    computed, original = [], teacher_digest._digest_of
    monkeypatch.setattr(teacher_digest, "_digest_of", lambda tensors: (computed.append(1), original(tensors))[1])
    teacher = network(0)
    distiller = Distiller(teacher, network(1), ["kd"])
    distiller(IMAGES, LABELS)
    assert not computed, "neither construction nor a step needs it"
    first = distiller.state_dict()["_extra_state"].clone()
    assert torch.equal(distiller.state_dict()["_extra_state"], first) and len(computed) == 1
    with torch.no_grad():
        next(teacher.parameters()).view(-1)[0] += 1
    assert not torch.equal(distiller.state_dict()["_extra_state"], first) and len(computed) == 2
