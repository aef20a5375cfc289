"""Trainings with mixed images: what the networks are fed under each view, resume, shares, pairs by entropy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from train_toys import SPEC, data, trainee, weights

from rolewise.augment import Mix, build_schedule, mix_images, mix_labels
from rolewise.distill import Distiller, Weight, configure, weight_of
from rolewise.errors import InputError
from rolewise.models import build as network
from rolewise.seeds import generator
from rolewise.train import Mixing, Trainee, TrainSettings, evaluate, fit
from rolewise.train.image_feed import ImageFeed
from rolewise.train.mixing import entropies


def mixed(mixing: Mixing | None, *, methods: tuple[str, ...] = ("kd",), **settings: Any) -> Trainee:
    """A trainee of two small networks, distilled where there are methods."""
    student = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    teacher = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8]) if methods else None
    made = [configure(name) for name in methods]
    inputs = {"teacher_input": SPEC} if methods else {}
    distiller = Distiller(teacher, student, made, student_input=SPEC, example=data().images[:2], **inputs)
    given: dict[str, Any] = {
        "augmentation": build_schedule("randaugment"),
        "teacher_augmentation": build_schedule("trivialaugment"),
    }
    given |= {key: settings.pop(key) for key in ("view", "scalars", "augmentation") if key in settings}
    training = TrainSettings(epochs=settings.pop("epochs", 3), batch_size=16, **settings)
    return Trainee(distiller, data(), torch.arange(60), **given, settings=training, seed=5, mixing=mixing)


def fed(made: Trainee) -> tuple[Tensor, Tensor, Tensor]:
    """What student and teacher were fed in an epoch, as pixels in [0, 1], and the labels of the loss."""
    networks = made.distiller.student, made.distiller.teacher
    seen: tuple[list[Tensor], list[Tensor]] = ([], [])
    labels: list[Tensor] = []
    for network_, kept in zip(networks, seen, strict=True):
        assert network_ is not None
        network_.register_forward_pre_hook(lambda module, inputs, kept=kept: kept.append(inputs[0]))
    made.distiller.register_forward_pre_hook(lambda module, inputs: labels.append(inputs[0].targets))
    made.run_epochs(0, 1)
    student, teacher = (torch.cat(kept) * 0.4 + 0.3 for kept in seen)
    return student, teacher, torch.cat(labels)


MIXUP, CUTMIX = Mixing(), Mixing(Mix("cutmix"))


@pytest.mark.parametrize("mixing", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
def test_under_every_view_both_networks_see_the_same_mix(mixing: Mixing) -> None:
    student, teacher, soft = fed(mixed(mixing))
    assert torch.equal(student, teacher)
    torch.testing.assert_close(soft.sum(1), torch.ones(60))
    plain, unmixed, hard = fed(mixed(None, view="clean"))
    _, own, _ = fed(mixed(None, view="own"))
    under_clean, clean, soft_clean = fed(mixed(mixing, view="clean"))
    under_own, owned, _ = fed(mixed(mixing, view="own"))
    # Nothing of the student's moves with the view, and mixing moves neither the order nor the augmentation.
    assert torch.equal(student, under_clean) and torch.equal(student, under_own) and torch.equal(soft, soft_clean)
    plan = mixing.mix.draw(hard, (8, 8), generator(5, "epoch", 0, "mix", "group", 0), batch_size=16)
    for seen, images in ((student, plain), (clean, unmixed), (owned, own)):
        torch.testing.assert_close(seen, mix_images(images, plan), atol=1e-5, rtol=0)
        assert (seen - images).abs().max() > 0.1
    torch.testing.assert_close(soft, mix_labels(hard, plan, 3))


VARIANTS: dict[str, Mixing] = {
    "mixup": MIXUP,
    "cutmix, moving": Mixing(
        Mix("cutmix", pairs="across"), mixed_fraction=Weight(0.2, 1.0), alpha=Weight(2.0, 0.5, "cosine")
    ),
    "clean too": Mixing(Mix(), mixed_fraction=weight_of(0.5), clean_too=True),
    "picked": Mixing(Mix("cutmix"), by="student_entropy"),
    "picked by the teacher, clean too": Mixing(
        Mix(), mixed_fraction=weight_of(0.5), by="teacher_entropy", clean_too=True
    ),
    "unix": Mixing(by="student_entropy", rule="unix"),
    "legacy": Mixing(Mix(share_kind="legacy", pairs="within"), mixed_fraction=weight_of(0.1)),
    "outputs": Mixing(targets="outputs"),
    "outputs, clean too": Mixing(Mix("cutmix"), targets="outputs", clean_too=True),
    "isotonic": Mixing(targets="isotonic"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_resumes_exactly_and_differs_from_no_mixing(name: str) -> None:
    view = "own" if name in ("cutmix, moving", "outputs", "picked by the teacher, clean too") else "shared"
    made, head, tail = (mixed(VARIANTS[name], view=view) for _ in range(3))
    records = made.run_epochs(0, 3)
    assert records[0]["train_loss"] != mixed(None, view=view).run_epochs(0, 1)[0]["train_loss"]
    start = head.run_epochs(0, 2)
    tail.load_state_dict(head.state_dict())
    assert start + tail.run_epochs(2, 3) == records
    assert torch.equal(weights(tail), weights(made)) and all(math.isfinite(entry["train_loss"]) for entry in records)


def test_a_fit_that_is_stopped_ends_with_the_same_bytes(tmp_path: Path) -> None:
    made = Mixing(Mix("cutmix"), by="student_entropy", mixed_fraction=Weight(0.2, 0.8))
    assert fit(mixed(made), tmp_path / "whole")
    while not fit(mixed(made), tmp_path / "cut", should_stop=lambda: True):
        pass
    for name in ("record.jsonl", "weights.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_the_record_tells_the_effective_share() -> None:
    def shares(mixing: Mixing | None, **settings: Any) -> list[float | None]:
        return [entry.get("mixed_share") for entry in mixed(mixing, **settings).run_epochs(0, 3)]

    assert shares(None) == [None] * 3
    assert shares(MIXUP) == [1.0] * 3
    # Batches of 16, 16, 16 and 12: a quarter are 4, 4, 4 and 3.
    assert shares(Mixing(mixed_fraction=weight_of(0.25))) == [0.25] * 3
    assert shares(Mixing(mixed_fraction=weight_of(0.25), clean_too=True)) == [15 / 75] * 3
    # Each epoch's beginning counts: 0, 1/3 (5, 5, 5 and 4 images) and 2/3 (11, 11, 11 and 8).
    assert shares(Mixing(mixed_fraction=Weight(0.0, 1.0))) == [0, 19 / 60, 41 / 60]
    # UNIX-KD: 12, 12, 12 and 9 rows are kept, of which 8, 8, 8 and 6 are clean.
    assert shares(Mixing(by="student_entropy", rule="unix")) == [15 / 45] * 3
    legacy = shares(Mixing(Mix(share_kind="legacy"), mixed_fraction=weight_of(0.1)))
    assert all(share is not None and 0.2 < share < 0.65 for share in legacy)


def test_share_and_alpha_are_followed_as_scalars() -> None:
    made = mixed(
        Mixing(mixed_fraction=Weight(0.0, 1.0)), scalars=[(0.0, {"mix_share": 0.25}), (0.6, {"mix_alpha": 3.0})]
    )
    assert [entry["mixed_share"] for entry in made.run_epochs(0, 3)] == [0.25] * 3
    assert made.mixing is not None and made.mixing.at(0.0) == Mix(alpha=3.0, mixed_fraction=0.25)
    unmixed = mixed(None, scalars=[(0.0, {"mix_share": 0.25})])
    assert "mixed_share" not in unmixed.run_epochs(0, 1)[0] and unmixed.mixing is None
    unix = Mixing(by="student_entropy", rule="unix").with_scalars(0.3, 2.0)
    assert unix.at(0.0) == Mix(alpha=2.0)  # it sets its share itself


def test_a_network_s_entropy_decides_and_nothing_of_asking_stays() -> None:
    made = mixed(Mixing(Mix("cutmix"), by="student_entropy"), epochs=1)
    student = made.distiller.student
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    student.train()
    scores = entropies(student, data().images, SPEC)
    assert scores.shape == (60,) and student.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    # The rows that a step is given are the surer half left out: their entropies are above those of a plain draw.
    means = []
    for mixing in (made.mixing, CUTMIX):
        feed = feed_of(made, mixing)
        means.append(float(entropies(student, next(feed.batches(0)).inputs, SPEC).mean()))
    assert means[0] > means[1]


def feed_of(made: Trainee, mixing: Mixing | None) -> ImageFeed:
    none = build_schedule("none")
    return ImageFeed(made.distiller, made.source, made.indices, made.settings, augmentation=none, mixing=mixing, seed=0)


def test_outputs_are_asked_of_the_unmixed_images() -> None:
    student, teacher, _ = fed(mixed(Mixing(targets="outputs")))
    plain, _, _ = fed(mixed(None))
    torch.testing.assert_close(teacher, plain, atol=1e-5, rtol=0)
    assert (student - plain).abs().max() > 0.1
    # With the clean images in front the student sees 2 B, the teacher B.
    student, teacher, soft = fed(mixed(Mixing(targets="outputs", clean_too=True)))
    assert len(student) == len(soft) == 120 and len(teacher) == 60
    torch.testing.assert_close(student[:16], plain[:16], atol=1e-5, rtol=0)


def test_evaluation_and_labels_alone_know_nothing_of_mixing() -> None:
    made = mixed(MIXUP, methods=(), epochs=15)
    made.run_epochs(0, 15)
    again = evaluate(made.model, made.source, made.indices, SPEC)
    assert again.accuracy > 0.8 and made.images_seen == 15 * 60
    for settings in ({"precision": "bfloat16"}, {"channels_last": True}, {"distill_gradient": "limited"}):
        record = mixed(Mixing(targets="isotonic"), epochs=1, **settings).run_epochs(0, 1)
        assert math.isfinite(record[0]["train_loss"])


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"by": "entropy"}, "pairs must be one of"),
        ({"rule": "picks"}, 'did you mean "pick"'),
        ({"targets": "soft"}, "mixed_targets must be one of"),
        ({"mixed_fraction": Weight(0.0, 2.0)}, "mixed_fraction must be between 0 and 1"),
        ({"alpha": Weight(1.0, 0.0)}, "alpha must be above 0"),
        ({"sharpness": 0.0}, "sharpness must be positive"),
        ({"mix": Mix("cutmix"), "by": "student_entropy", "rule": "unix"}, 'method must be "mixup"'),
        ({"mixed_fraction": weight_of(0.5), "by": "student_entropy", "rule": "unix"}, "mixed_fraction must be 1"),
    ],
)
def test_wrong_mixing_is_named(wrong: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as caught:
        Mixing(**wrong)
    assert part in str(caught.value)


def test_mixing_that_goes_with_nothing_is_refused_before_it_starts() -> None:
    with pytest.raises(InputError, match="which reads features"):
        mixed(Mixing(targets="outputs"), methods=("kd", "attention"))
    with pytest.raises(InputError, match="where there is no teacher"):
        mixed(Mixing(by="teacher_entropy"), methods=())
    assert trainee(distilled=False).mixing is None
