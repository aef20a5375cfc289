"""The Distiller: what it composes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import copy
import gc
import io
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise.distill as rw
from rolewise.batch import Context
from rolewise.distill import Distiller
from rolewise.distill import networks_by_role as networks_module
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build


def network(seed: int, widths: tuple[int, ...] = (4, 6), size: tuple[int, int] = (8, 8)) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=size, widths=widths, seed=seed)


def batch(num: int = 6, size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 1, size, size, generator=generator), torch.arange(num) % 3


class Foreign(nn.Module):
    """A network from elsewhere: no taps of its own, a ReLU used twice, activation in place."""

    def __init__(self, *, output: str = "tensor") -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.again = nn.ReLU()
        self.halves = nn.Identity()
        self.unused = nn.Linear(2, 2)
        self.classifier = nn.Linear(4, 3)
        self.output = output

    def forward(self, images: Tensor) -> object:
        features = self.again(self.again(self.act(self.norm(self.conv(images)))))
        self.halves((features, features))
        logits = self.classifier(features.mean((2, 3)))
        return {"tensor": logits, "object": type("Output", (), {"logits": logits}), "tuple": (logits, logits)}[
            self.output
        ]


def test_the_total_is_the_weighted_sum_of_its_named_terms() -> None:
    images, labels = batch()
    teacher, student = network(0, (6, 8)), network(1)
    distiller = Distiller(
        teacher, student, [rw.kd(temperature=2, weight=0.9), rw.rkd(weight=0.5)], label_weight=0.1
    ).eval()
    terms = distiller(images, labels)
    assert list(terms.parts) == ["labels", "kd", "rkd"]
    assert terms.weights == {"labels": 0.1, "kd": 0.9, "rkd": 0.5}
    torch.testing.assert_close(terms["labels"], functional.cross_entropy(student(images), labels))
    soft = functional.log_softmax(student(images) / 2, 1), functional.softmax(teacher(images) / 2, 1)
    torch.testing.assert_close(terms["kd"], functional.kl_div(*soft, reduction="batchmean") * 4)
    torch.testing.assert_close(terms.total, 0.1 * terms["labels"] + 0.9 * terms["kd"] + 0.5 * terms["rkd"])
    assert terms.teacher_logits is not None and torch.equal(terms.teacher_logits, teacher(images))
    summed = Distiller(teacher, student, [rw.kd(temperature=2)], label_weight=0.1, reduction="sum").eval()(
        images, labels
    )
    torch.testing.assert_close(summed["kd"], 6 * terms["kd"])
    torch.testing.assert_close(summed["labels"], 6 * terms["labels"])


def test_without_a_teacher_it_is_plain_training() -> None:
    images, labels = batch()
    student = network(1)
    terms = Distiller(None, student, label_smoothing=0.1).eval()(images, labels)
    expected = functional.cross_entropy(student(images), labels, label_smoothing=0.1)
    torch.testing.assert_close(terms.total, expected)
    assert list(terms.parts) == ["labels"] and terms.teacher_logits is None


def test_soft_labels_of_one_class_are_that_class() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd()]).eval()
    soft = functional.one_hot(labels, 3).float()
    torch.testing.assert_close(distiller(images, soft).total, distiller(images, labels).total)
    mixed = distiller(images, 0.25 * soft + 0.75 * soft.flip(0))["labels"]
    expected = 0.25 * distiller(images, labels)["labels"] + 0.75 * distiller(images, labels.flip(0))["labels"]
    torch.testing.assert_close(mixed, expected)


def test_weights_move_with_progress_and_a_term_that_is_off_cannot_spoil_the_rest() -> None:
    images, labels = batch()
    teacher = network(0)
    distiller = Distiller(teacher, network(1), [rw.kd(weight={"start": 0.0, "end": 2.0, "shape": "linear"})]).eval()
    totals = [distiller(images, labels, progress=progress) for progress in (0.0, 0.25, 1.0)]
    assert [terms.weights["kd"] for terms in totals] == [0.0, 0.5, 2.0]
    torch.testing.assert_close(totals[0].total, totals[0]["labels"])
    torch.testing.assert_close(totals[1].total, totals[1]["labels"] + 0.5 * totals[1]["kd"])
    torch.nn.init.constant_(teacher.fc.weight, float("nan"))  # type: ignore[union-attr, arg-type]
    broken = distiller(images, labels)
    assert broken["kd"].isnan() and broken.total.isfinite()
    off = Distiller(teacher, network(1), [rw.kd(weight=0.0)], label_weight=0.0)(images, labels)
    off.total.backward()
    assert off.total.detach().item() == 0


def test_a_term_that_is_not_finite_is_named() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd(), rw.rkd()])
    assert distiller(images, labels).not_finite() is None
    torch.nn.init.constant_(distiller.teacher.fc.bias, float("inf"))  # type: ignore[union-attr, arg-type]
    terms = distiller(images, labels)
    found = terms.not_finite()
    assert found is not None and found[0] == "kd"
    assert list(terms.named()) == ["total", "labels", "kd", "rkd"]
    assert not any(value.requires_grad or value.ndim for value in terms.named().values())
    with pytest.raises(InputError, match=r"no term is called 'labls'; did you mean \"labels\""):
        terms["labls"]


def test_the_teacher_stays_frozen_and_in_eval_mode() -> None:
    images, labels = batch()
    teacher = network(0)
    before = copy.deepcopy(teacher.state_dict())
    distiller = Distiller(teacher, network(1), [rw.kd()])
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        distiller.train()
        teacher.train()  # somebody else's doing
        distiller(images, labels).total.backward()
        optimizer.step()
        assert not teacher.training and distiller.student.training
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert not any(key.startswith("teacher") for key in distiller.state_dict())
    owned = {id(weight) for weight in distiller.parameters()}
    assert not owned & {id(weight) for weight in teacher.parameters()}
    assert owned == {id(weight) for weight in distiller.trainable_parameters()}


def test_nothing_of_the_teacher_carries_a_gradient() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd(), rw.rkd(), rw.attention()])
    assert distiller.teacher is not None
    distiller.teacher.requires_grad_(True)  # somebody else's doing
    terms = distiller(images, labels, teacher_images=images.clone().requires_grad_())
    assert terms.teacher_logits is not None and not terms.teacher_logits.requires_grad
    terms.total.backward()
    assert all(weight.grad is None for weight in distiller.teacher.parameters())


def test_maps_of_another_size_are_averaged_down() -> None:
    student, teacher = torch.rand(2, 3, 4, 6), torch.rand(2, 5, 2, 12)
    small, narrow = student.view(2, 3, 2, 2, 6).mean(3), teacher.view(2, 5, 2, 6, 2).mean(4)
    loss = rw.METHODS["attention"].loss
    torch.testing.assert_close(loss(student, teacher), loss(small, narrow))
    loss = rw.METHODS["fitnets"].loss
    torch.testing.assert_close(loss(student, teacher[:, :3]), loss(small, narrow[:, :3]))


def test_the_teacher_follows_a_move() -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()]).double()
    assert distiller.teacher is not None
    assert all(weight.dtype == torch.float64 for weight in distiller.teacher.parameters())
    images, labels = batch()
    assert distiller(images.double(), labels).total.dtype == torch.float64


def test_each_network_gets_its_own_input_and_a_shared_one_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, InputSpec]] = []

    def counting(images: Tensor, spec: InputSpec) -> Tensor:
        made.append((id(images), spec))
        return prepare(images, spec)

    monkeypatch.setattr(networks_module, "prepare", counting)
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    own = torch.flip(images, [3])
    labels = torch.tensor([0, 1, 2, 0])
    spec, other = InputSpec((0.5,), (0.25,)), InputSpec((0.1,), (0.9,), size=(16, 16))
    teacher, student = network(0).eval(), network(1).eval()

    same = Distiller(teacher, student, [rw.kd()], teacher_input=spec, student_input=spec).eval()(images, labels)
    assert len(made) == 1
    torch.testing.assert_close(same.student_logits, student((images / 255 - 0.5) / 0.25))

    made.clear()
    distiller = Distiller(teacher, student, [rw.kd()], teacher_input=other, student_input=spec).eval()
    terms = distiller(images, labels)
    assert [spec for _, spec in made] == [other, spec]
    torch.testing.assert_close(terms.student_logits, same.student_logits)
    torch.testing.assert_close(terms.teacher_logits, teacher(prepare(images, other)))
    views = distiller(images, labels, teacher_images=own)
    torch.testing.assert_close(views.teacher_logits, teacher(prepare(own, other)))
    torch.testing.assert_close(views.student_logits, same.student_logits)
    clean = Distiller(teacher, student, [rw.kd()], teacher_input=spec, student_input=spec).eval()
    torch.testing.assert_close(clean(images, labels, teacher_images=own).teacher_logits, teacher(prepare(own, spec)))


def test_a_network_from_elsewhere_is_tapped_by_module_path() -> None:
    images, labels = batch()
    student = Foreign(output="object")
    methods = [rw.rkd(), rw.attention(student_taps="act", teacher_taps="stage2")]
    distiller = Distiller(network(0), student, methods, example=images)
    distiller.eval()
    terms = distiller(images, labels)
    maps = functional.relu(student.norm(student.conv(images)))
    penultimate = maps.mean((2, 3))
    expected = rw.METHODS["rkd"].loss(penultimate, distiller.teacher.pool(distiller.teacher.stages(images)))  # type: ignore
    torch.testing.assert_close(terms["rkd"], expected.mean())
    teacher_maps = distiller.teacher.stages(images)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(terms["attention"], rw.METHODS["attention"].loss(maps, teacher_maps).mean())


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        ("clasifier", r"the student has no tap 'clasifier'; did you mean \"classifier\""),
        ("conv:weight", "the student has no tap 'conv:weight'; a tap must be a path such as"),
        ("again", "tap 'again' must run once in a forward pass, got twice"),
        ("norm", "tap 'norm' must not be changed in place by a later module"),
        ("unused", "tap 'unused' must run in every forward pass, got none"),
        ("halves:input", "tap 'halves:input' must give a tensor, got tuple"),
        ("halves", "tap 'halves' must give a tensor, got tuple"),
    ],
)
def test_a_tap_that_cannot_be_relied_on_is_refused(tap: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distiller(network(0), Foreign(), [rw.rkd(student_taps=tap, teacher_taps="penultimate")], example=batch()[0])


def test_several_taps_of_one_method_are_added() -> None:
    images, labels = batch()
    teacher, student = network(0), network(1)

    def term(*taps: str) -> Tensor:
        method = rw.attention(student_taps=list(taps), teacher_taps=list(taps))
        value: Tensor = Distiller(teacher, student, [method]).eval()(images, labels)["attention"]
        return value

    torch.testing.assert_close(term("stage1", "stages.1"), term("stage1") + term("stage2"))
    default = Distiller(teacher, student, [rw.attention()]).eval()(images, labels)["attention"]
    torch.testing.assert_close(default, term("stage1", "stage2"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher": None}, "methods must have a teacher to read, got none"),
        ({"label_weight": -0.1}, "label_weight must be a number of at least 0, got -0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0"),
        ({"reduction": "max"}, "reduction must be one of mean, sum, got 'max'$"),
        ({"methods": [rw.kd(), rw.kd(temperature=1)]}, "methods must be distinct"),
        ({"methods": [rw.fitnets()]}, "example must be a few inputs"),
        ({"methods": [rw.attention()], "teacher": Foreign()}, "they share none of stage1, stage2, stage3, stage4"),
        (
            {"methods": [rw.fitnets(student_taps="pool", teacher_taps="stage1")], "example": batch()[0]},
            "fitnets must tap two maps",
        ),
        (
            {"methods": [rw.attention(student_taps="pool", teacher_taps="pool")], "example": batch()[0]},
            "attention must tap maps",
        ),
        ({"student": Foreign(output="tuple"), "example": batch()[0]}, "a network must return logits"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(arguments: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"teacher": network(0), "student": network(1), "methods": [rw.kd()], **arguments}
    with pytest.raises(InputError, match=message):
        Distiller(**given)  # type: ignore[arg-type]


def test_teacher_and_student_may_not_share_weights() -> None:
    shared = network(0)
    with pytest.raises(InputError, match="must not share weights"):
        Distiller(shared, shared, [rw.kd()])
    assert all(weight.requires_grad for weight in shared.parameters())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(5, dtype=torch.int64), r"for 6 images, got torch.int64 \[5\]"),
        (torch.zeros(6), r"got torch.float32 \[6\]"),
        (torch.zeros(6, 3, dtype=torch.int64), r"got torch.int64 \[6, 3\]"),
        (torch.zeros(6, 3, 1), r"got torch.float32 \[6, 3, 1\]"),
    ],
)
def test_labels_of_another_shape_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distiller(None, network(1))(batch()[0], labels)


def test_images_that_do_not_fit_are_refused() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd()])
    with pytest.raises(InputError, match="images must be floating point where a network declares no input"):
        distiller(images.to(torch.uint8), labels)
    with pytest.raises(InputError, match="teacher_images must be of the same 6 examples, got 5"):
        distiller(images, labels, teacher_images=images[:5])


def test_making_learned_maps_leaves_no_trace() -> None:
    images, _ = batch()
    student = network(1).train()
    student.stages[0][1].eval()  # type: ignore[index, union-attr, operator]
    before = {key: value.clone() for key, value in student.state_dict().items()}
    modes = [module.training for module in student.modules()]
    state = torch.get_rng_state()
    distillers = [
        Distiller(network(0), network(1), [rw.fitnets()], example=images, generator=seed) for seed in (1, 1, 2)
    ]
    Distiller(network(0), student, [rw.fitnets()], example=images)
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [module.training for module in student.modules()]
    assert all(torch.equal(before[key], value) for key, value in student.state_dict().items())
    first, second, third = (distiller.terms["fitnets"].maps[0].weight for distiller in distillers)
    assert torch.equal(first, second) and not torch.equal(first, third)
    generator = torch.Generator().manual_seed(5)
    one, two = (
        Distiller(network(0), network(1), [rw.fitnets()], example=images, generator=generator) for _ in range(2)
    )
    assert not torch.equal(one.terms["fitnets"].maps[0].weight, two.terms["fitnets"].maps[0].weight)


def test_a_copy_and_a_pickled_one_have_taps_of_their_own() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.rkd(), rw.attention()]).eval()
    expected = distiller(images, labels).total
    copied = copy.deepcopy(distiller)
    for weight in distiller.student.parameters():
        torch.nn.init.zeros_(weight)
    torch.testing.assert_close(copied(images, labels).total, expected)
    buffer = io.BytesIO()
    torch.save(copied, buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.load(buffer, weights_only=False)(images, labels).total, expected)


def test_taps_keep_no_tensor_alive() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.rkd()])
    seen: list[weakref.ref[Tensor]] = []
    distiller.student.pool.register_forward_hook(lambda module, inputs, output: seen.append(weakref.ref(output)))  # type: ignore
    distiller(images, labels)
    distiller.student(images)
    copy.deepcopy(distiller.student)(images)
    gc.collect()
    assert len(seen) == 3 and not any(reference() is not None for reference in seen)
    with pytest.raises(RuntimeError):  # a pass that fails leaves the taps closed too
        distiller(torch.zeros(6, 2, 8, 8), labels)
    assert not distiller._taps["student"].recording.open


def test_two_distillers_may_share_a_teacher() -> None:
    images, labels = batch()
    teacher = network(0)
    first, second = (Distiller(teacher, network(seed), [rw.rkd()]).eval() for seed in (1, 2))
    expected = first(images, labels).total, second(images, labels).total
    torch.testing.assert_close((first(images, labels).total, second(images, labels).total), expected)


def test_a_method_can_be_configured_anew() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd(temperature=2), rw.rkd()]).eval()
    expected = Distiller(network(0), network(1), [rw.kd(temperature=7, weight=0.3), rw.rkd()]).eval()(images, labels)
    distiller.configure("kd", temperature=7.0)
    distiller.configure("kd", weight=0.3)
    torch.testing.assert_close(distiller(images, labels).total, expected.total)
    with pytest.raises(InputError, match=r"no method here is called 'kdd'; did you mean \"kd\""):
        distiller.configure("kdd", weight=1.0)
    with pytest.raises(InputError, match="temperature must be a positive number, got -1"):
        distiller.configure("kd", temperature=-1)
    with pytest.raises(InputError, match="taps must stay"):
        distiller.configure("rkd", student_taps="pool", teacher_taps="pool")


@pytest.mark.slow
def test_compiled_networks_give_the_same_terms() -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd(), rw.rkd(), rw.attention()])
    expected = copy.deepcopy(distiller)(images, labels)
    keys = list(distiller.state_dict())
    distiller.compile_networks(backend="aot_eager")
    terms = distiller(images, labels)
    torch.testing.assert_close(terms.named(), expected.named())
    terms.total.backward()
    assert list(distiller.state_dict()) == keys


# torch's own compiler asks for the gradient of a feature.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_a_compiled_distiller_gives_the_same_terms_the_labels_own_among_them(backend: str) -> None:
    images, labels = batch()
    distiller = Distiller(network(0), network(1), [rw.kd(), rw.attention()])
    expected = copy.deepcopy(distiller)(images, labels).named()
    terms = torch.compile(distiller, backend=backend)(images, labels)
    torch.testing.assert_close(terms.named(), expected)
    assert {"labels", "kd", "attention"} < set(expected)


@pytest.mark.parametrize("progress", [3, -0.1, float("nan")])
def test_progress_is_a_fraction_of_training(progress: float) -> None:
    distiller = Distiller(network(0), network(1), [rw.kd(weight={"start": 1, "end": 0})])
    with pytest.raises(InputError, match=f"progress must be the fraction of training done.*got {progress}"):
        distiller(*batch(), progress=progress)
    with pytest.raises(InputError, match="progress must be the fraction"):
        distiller(*batch(), context=Context(progress))


def test_a_context_is_one_and_has_the_progress_in_it() -> None:
    distiller = Distiller(network(0), network(1), [rw.kd(weight={"start": 1, "end": 0})])
    with pytest.raises(InputError, match=r"context must be a .*Context, got Tensor; rows of the source go"):
        distiller(*batch(), torch.arange(6))
    with pytest.raises(InputError, match="progress must be left out where a context is given"):
        distiller(*batch(), context=Context(0.5), progress=0.5)
    assert distiller(*batch(), context=Context(0.5)).weights["kd"] == distiller(*batch(), progress=0.5).weights["kd"]
