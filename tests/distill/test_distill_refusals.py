"""What the Distiller refuses: wrong parts, wrong batches, wrong labels, each with the remedy and before torch fails."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rolewise.distill as rw
from rolewise.batch import Batch, Outputs
from rolewise.distill import Distiller, guards
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.tasks import Classification


def network(seed: int, classes: int = 3) -> nn.Module:
    return build("small_cnn", num_classes=classes, channels=1, size=(8, 8), widths=(4, 6), seed=seed)


IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": "kdd"}, r"no method is called 'kdd'; did you mean \"kd\""),
        ({"methods": ["kd", "spkd"]}, r"no method is called 'spkd'; did you mean \"similarity\"\?"),
        ({"methods": "norm"}, "the N-to-one matching of representations is not among the methods here"),
        ({"methods": rw.kd}, r"got the function kd; call it, as in methods=\[rw.kd\(\)\]"),
        ({"methods": [rw.kd]}, r"got one that is the function kd; call it, as in methods=\[rw.kd\(\)\]"),
        ({"methods": [nn.MSELoss]}, r"got one that is the class MSELoss; make it first, as in methods=\[MSELoss\(\)\]"),
        ({"methods": [(rw.kd(), 0.9)]}, r"got one that is a pair .* write methods=\[rw.kd\(weight=0.9\)\]"),
        ({"student": rw.Distiller(network(0), network(1))}, "student must be a network, got a Distiller; give its"),
        ({"methods": {"name": "kd"}}, "got a mapping; write methods=rolewise.distill.build_methods"),
        ({"methods": [{"name": "kd"}]}, "got one that is a mapping; write methods=rolewise.distill.build_methods"),
        ({"methods": [rw.ii_kd()]}, r"got one that is a list, as combinations are; write methods=\[\*rw.ii_kd\(\)"),
        ({"methods": None}, r"got None; write methods=\[rw.kd\(\)\], or methods=\[\] for none"),
        ({"teacher": [network(2), network(3)]}, "teacher must be one network, got 2 in a list; .* the mean of their"),
        ({"teacher": nn.ModuleList([network(2)])}, "teacher must be one network, got 1 in a ModuleList"),
        ({"teacher": "teacher.pt"}, "teacher must be a torch.nn.Module, got str; make or load the network first"),
        ({"student": None}, "student must be a torch.nn.Module, got NoneType"),
        ({"student": (network(2),)}, "student must be one network, got 1 in a tuple"),
        ({"teacher_input": ((0.5,), (0.5,))}, r"teacher_input must be a rolewise.InputSpec\(mean, std\), got"),
        ({"student_input": 3}, "student_input must be a rolewise.InputSpec"),
        ({"example": (IMAGES, LABELS)}, r"example must be a tensor of a few images, got tuple; give images\[:2\]"),
        ({"generator": -1}, r"generator must be a whole number from 0 to 2\^63 - 1, got -1"),
        ({"generator": True}, "generator must be a whole number"),
        (
            {"student": nn.Sequential(network(1), nn.Unflatten(1, (1, 3))), "example": IMAGES},
            r"the student must return logits \[B, K\] for 6 images, got \[6, 1, 3\]; drop the 1",
        ),
        ({"label_weight": "1"}, "label_weight must be a number of at least 0, got '1'"),
        ({"label_weight": 1e308}, r"label_weight must be at most 1,000,000,000, got 1e\+308"),
        ({"label_smoothing": "0.1"}, "label_smoothing must be at least 0 and below 1, got '0.1'"),
    ],
)
def test_wrong_parts_are_refused_with_the_remedy(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"teacher": network(0), "student": network(1), "methods": [rw.kd()], **arguments}
    with pytest.raises(InputError, match=message):
        Distiller(**given)


def test_what_is_refused_is_not_frozen() -> None:
    teacher = network(0).train()
    with pytest.raises(InputError, match="the student has no tap 'nowhere'"):
        Distiller(teacher, network(1), [rw.attention(student_taps="nowhere", teacher_taps="stage1")])
    assert teacher.training and all(weight.requires_grad for weight in teacher.parameters())


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (({"images": IMAGES, "labels": None},), "labels must be a tensor, got none"),
        (
            ({"images": IMAGES, "classes": LABELS},),
            r"labels must be a tensor, got none beside 'images', 'classes'; name their entry .* label_name=\"classes\"",
        ),
        (
            ({"input_ids": LABELS[:, None], "attention_mask": LABELS[:, None]}, None),
            "labels must be a tensor, got none beside 'input_ids', 'attention_mask'; .* set label_weight=0",
        ),
        (
            ({"images": IMAGES, "paths": ["a"] * 6}, LABELS),
            "got a mapping with 'images', 'paths'; take images and labels out",
        ),
        (({"path": ["a"] * 6, "labels": LABELS},), "got list under 'path'; name the inputs, .* input_name=\"image\""),
        (({"labels": LABELS},), "a batch must hold tensors beside its labels, got none; name the inputs"),
        (((IMAGES, LABELS),), r"images must be a tensor, got a tuple of 2; unpack a batch as in distiller\(\*batch\)"),
        ((list(IMAGES), LABELS), "images must be a tensor, got a list of 6; .* torch.stack"),
        ((IMAGES.numpy(), LABELS), "images must be a tensor .* got ndarray"),
        ((IMAGES,), "labels must be a tensor, got none; where nothing reads them set label_weight=0"),
        ((IMAGES, None), "labels must be a tensor, got none"),
        ((IMAGES, LABELS.tolist()), r"labels must be a tensor, .* got list; make one with torch.as_tensor\(labels\)"),
        ((IMAGES, LABELS.int()), r"got torch.int32 \[6\]; convert them with labels.long\(\)"),
        ((IMAGES, LABELS[:, None]), r"got torch.int64 \[6, 1\]; drop the last dimension with labels.squeeze\(1\)"),
        ((IMAGES, torch.eye(3)[LABELS].long()), r"one-hot labels become classes with labels.argmax\(1\)"),
        ((IMAGES, LABELS[:, None].expand(-1, 3) + 1), "a class for each token is of the task tagging"),
        ((IMAGES[:4], LABELS), r"for 4 images, got torch.int64 \[6\]; give one for each of the 4 images$"),
        ((IMAGES, LABELS + 1), "labels must be from 0 to 2, the student's 3 classes, got 3; number them so"),
        ((IMAGES, LABELS - 1), "labels must be from 0 to 2, the student's 3 classes, got -1"),
        ((IMAGES, torch.full((6,), -100)), "labels must be from 0 to 2, the student's 3 classes, got -100"),
        ((IMAGES, torch.eye(4)[LABELS]), r"labels must be shares of the student's 3 classes, got \[6, 4\]"),
        ((IMAGES, (torch.eye(3)[LABELS] + torch.eye(3)[0]).clamp(max=1)), r"add up to 1 in every row, got 2 in row 1"),
        ((IMAGES, torch.zeros(6, 3)), r"add up to 1 in every row, got 0 in row 0; several labels at once"),
        ((IMAGES, torch.eye(3)[LABELS] * torch.nan), "soft labels must be finite shares of at least 0, got nan"),
        ((IMAGES, torch.tensor([[2.0, -1, 0]] * 6)), "soft labels must be finite shares of at least 0, got -1"),
        ((IMAGES, torch.tensor([[torch.inf, 0, 0]] * 6)), "soft labels must be finite shares of at least 0, got inf"),
        ((IMAGES[:0], LABELS[:0]), "labels must be of at least one image, got none"),
        ((IMAGES, LABELS.to("meta")), "labels must be on the student's device, cpu, got meta; move them"),
    ],
)
@pytest.mark.parametrize("methods", [True, False])
def test_wrong_batches_are_refused_with_the_remedy(batch: tuple[Any, ...], message: str, methods: bool) -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()]) if methods else Distiller(None, network(1))
    with pytest.raises(InputError, match=message):
        distiller(*batch)


def test_logits_of_another_shape_are_refused() -> None:
    class Wrapped(nn.Module):
        def __init__(self, student: nn.Module, dimensions: str) -> None:
            super().__init__()
            self.inner, self.dimensions = student, dimensions

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.inner(images)
            return {"one": logits[:, None], "none": logits.flatten(), "fewer": logits[1:]}[self.dimensions]

    for dimensions, message in (
        ("one", r"must return logits \[B, K\] for 6 images, got \[6, 1, 3\]; drop the 1 with logits.squeeze\(1\)"),
        ("none", r"got \[18\]"),
        ("fewer", r"got \[5, 3\]"),
    ):
        with pytest.raises(InputError, match=message):
            Distiller(None, Wrapped(network(1), dimensions))(IMAGES, LABELS)
        with pytest.raises(InputError):
            Distiller(Wrapped(network(0), dimensions), network(1), [rw.kd()])(IMAGES, LABELS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_soft_labels_of_any_precision_are_taken(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    shares = torch.rand(6, 3, generator=generator, dtype=torch.float64).softmax(1)
    distiller = Distiller(network(0), network(1), [rw.kd()]).eval()
    expected = distiller(IMAGES, shares.float())["labels"]
    torch.testing.assert_close(distiller(IMAGES, shares.to(dtype))["labels"], expected, rtol=2e-2, atol=0)


def test_values_are_looked_at_on_the_cpu_always_and_elsewhere_ever_less(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(guards.due(call, LABELS) for call in range(1, 100))

    class Elsewhere:
        device = torch.device("mps")

    monkeypatch.setattr(guards, "is_stacked", lambda value: False)
    looked = [call for call in range(1, 1001) if guards.due(call, Elsewhere())]  # type: ignore[arg-type]
    assert looked == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    # What is wrong from the beginning is found at the first step there too.
    monkeypatch.setattr(guards, "due", lambda calls, labels: False)
    assert not guards.due(1, LABELS.to("meta"))


# networks that several Distillers hold


def test_a_network_that_another_distiller_trains_is_no_teacher() -> None:
    one, other = network(0), network(1)
    first = Distiller(one, other, [rw.kd()])
    with pytest.raises(InputError, match="teacher must not be the student of another Distiller, which still trains"):
        Distiller(other, network(2), [rw.kd()])
    with pytest.raises(InputError, match="teacher must not be the student of another Distiller"):
        Distiller(nn.Sequential(other), network(2), [rw.kd()])
    assert all(weight.requires_grad for weight in other.parameters()) and first.student is other
    # A copy, or one that shares nothing, is fine; so is one teacher of two students.
    Distiller(copy.deepcopy(other), network(2), [rw.kd()])
    Distiller(one, network(3), [rw.kd()])


def test_a_distiller_s_teacher_is_nobody_s_student() -> None:
    teacher = network(0)
    first = Distiller(teacher, network(1), [rw.kd()])
    for made in (lambda: Distiller(None, teacher), lambda: Distiller(network(2), teacher, [rw.kd()])):
        with pytest.raises(InputError, match="student must not be the teacher of another Distiller, which froze it"):
            made()
    del first
    with pytest.raises(InputError, match="student must have a parameter that is trained"):
        Distiller(None, teacher)
    Distiller(None, teacher.requires_grad_(True))


def test_two_that_would_teach_each_other_are_refused_in_either_order() -> None:
    one, other = network(0), network(1)
    first = Distiller(one, other, [rw.kd()])
    with pytest.raises(InputError, match="of another Distiller"):
        Distiller(other, one, [rw.kd()])
    terms = first(IMAGES, LABELS)
    terms.total.backward()
    assert all(weight.grad is not None for weight in other.parameters())


def test_a_dead_distiller_does_not_count_even_one_in_a_circle() -> None:
    student = network(1)
    gone = Distiller(network(0), student, [rw.kd()])
    gone.circle = [gone]  # type: ignore[assignment]
    gc.disable()
    try:
        del gone
        Distiller(student, network(2), [rw.kd()])
    finally:
        gc.enable()


def test_copies_and_pickles_count_too() -> None:
    held = copy.deepcopy(Distiller(network(0), network(1), [rw.kd()]))
    with pytest.raises(InputError, match="teacher must not be the student of another Distiller"):
        Distiller(held.student, network(2), [rw.kd()])


def test_teacher_and_student_share_no_part() -> None:
    def made(norm: nn.Module, act: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Flatten(), norm, act, nn.Linear(64, 3))

    norm, act, drop = nn.BatchNorm1d(64, affine=False), nn.ReLU(), nn.Dropout()
    with pytest.raises(InputError, match="must not share weights"):  # statistics, that is
        Distiller(made(norm, nn.ReLU()), made(norm, nn.ReLU()), [rw.kd()])
    with pytest.raises(InputError, match="must not share modules, got '2' in both: the teacher stays in eval mode"):
        Distiller(made(nn.Identity(), drop), made(nn.Identity(), drop), [rw.kd()])
    with pytest.raises(InputError, match="must not share modules"):
        Distiller(made(nn.Identity(), act), made(nn.Identity(), act), [rw.kd()])
    one = network(0)
    with pytest.raises(InputError, match=r"got one network for both; give copy.deepcopy\(student\)"):
        Distiller(one, one, [rw.kd()])
    # Two objects on one memory.
    teacher, student = made(nn.Identity(), nn.ReLU()), made(nn.Identity(), nn.ReLU())
    student[3].weight.data = teacher[3].weight.data  # type: ignore[index]
    with pytest.raises(InputError, match="must not share weights"):
        Distiller(teacher, student, [rw.kd()])


def test_networks_without_memory_are_told_apart() -> None:
    teacher, student = network(0).to("meta"), network(1).to("meta")
    terms = Distiller(teacher, student, [rw.kd()])(IMAGES.to("meta"), LABELS.to("meta"))
    assert terms.total.device.type == "meta"


def test_a_student_that_somebody_froze_is_named() -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()])
    distiller.student.requires_grad_(False)
    with pytest.raises(InputError, match="got outputs without a gradient; somebody froze it"):
        distiller(IMAGES, LABELS)
    # Where nothing is to be trained, the terms may be read.
    with torch.no_grad():
        distiller(IMAGES, LABELS)
    distiller.eval()(IMAGES, LABELS)


def test_a_teacher_in_the_optimiser_stays_where_it_is() -> None:
    teacher, student = network(0), network(1)
    teacher(IMAGES).sum().backward()  # gradients of its own training
    before = copy.deepcopy(teacher.state_dict())
    distiller = Distiller(teacher, student, [rw.kd()])
    optimizer = torch.optim.SGD([*teacher.parameters(), *student.parameters()], lr=0.1, weight_decay=0.1)
    distiller(IMAGES, LABELS).total.backward()
    optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())


@pytest.mark.parametrize("wrong", [-100, 3, -(2**63), 2**62])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_that_torch_would_ignore_is_refused_by_the_task_itself(wrong: int, smoothing: float) -> None:
    task, logits = Classification(label_smoothing=smoothing), torch.zeros(2, 3)
    with pytest.raises(InputError, match="labels must be from 0 to 2"):
        task.losses(Outputs({"logits": logits}), Batch(logits, torch.tensor([0, wrong])))
