"""Plans, policies and drawing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rolewise.augment import OPS, Plan, Policy, RandomOps, Triple, apply, build_schedule
from rolewise.augment.ops import INDEX, NAMES
from rolewise.augment.policy_draws import walk
from rolewise.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(count: int, channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator(seed))


@settings(max_examples=40)
@given(
    st.integers(1, 9),
    st.sampled_from([1, 3]),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(["nearest", "bilinear"]),
    st.integers(0, 1000),
)
def test_a_batch_is_its_images_one_by_one(count, channels, height, width, interpolation, seed) -> None:
    images = images_of(count, channels, height, width, seed)
    alone = tuple(name for name in NAMES if name != "mosaic")  # which is of several images
    policy = Policy(tuple(Triple(name, 1.0, 0.9) for name in alone), counts=(0, 0, 0, 1), base=("crop", "flip"))
    plan = policy.draw(count, (channels, height, width), generator(seed))
    before = images.clone()
    together = apply(images, plan, interpolation=interpolation)
    assert together.dtype == torch.uint8 and together.shape == images.shape
    assert torch.equal(images, before)
    for index in range(count):
        part = slice(index, index + 1)
        assert torch.equal(apply(images[part], plan[part], interpolation=interpolation), together[part])


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_strength_zero_is_the_identity(name: str, channels: int) -> None:
    images = images_of(4, channels, 9, 7)
    plan = Plan(torch.full((4, 1), INDEX[name]), torch.zeros(4, 1), torch.rand(4, 1, 2, generator=generator()))
    if name == "flip":
        return  # a switch: it has no strength
    for interpolation in ("nearest", "bilinear"):
        assert torch.equal(apply(images, plan, interpolation=interpolation), images)


@pytest.mark.parametrize("name", [name for name in OPS if name not in ("flip", "crop", "cutout", "mosaic")])
def test_effect_grows_with_strength(name: str) -> None:
    # A smooth picture, so that moving farther changes more.
    ramp = torch.linspace(20, 200, 32).view(1, 1, 1, 32) * torch.linspace(0.5, 1, 32).view(1, 1, 32, 1)
    images = torch.cat([ramp, ramp.flip(2), ramp.flip(3)], 1).to(torch.uint8)
    if name == "sharpness":
        images = images_of(1, 3, 32, 32)  # a ramp has nothing to sharpen
    changes = []
    for level in range(0, 11, 2):
        values = torch.full((1, 1), level / 10 * OPS[name].range)
        result = apply(
            images, Plan(torch.full((1, 1), INDEX[name]), values, torch.zeros(1, 1, 2)), interpolation="bilinear"
        )
        changes.append(float((result.float() - images.float()).abs().mean()))
    assert changes[0] == 0
    assert all(after >= before - 0.5 for before, after in itertools.pairwise(changes)), changes
    assert changes[-1] > 0


def test_order_is_kept() -> None:
    images = images_of(1, 1, 8, 8)
    invert_then_move = Plan(
        torch.tensor([[INDEX["invert"], INDEX["translate_x"]]]), torch.tensor([[1.0, 0.5]]), torch.zeros(1, 2, 2)
    )
    move_then_invert = Plan(
        torch.tensor([[INDEX["translate_x"], INDEX["invert"]]]), torch.tensor([[0.5, 1.0]]), torch.zeros(1, 2, 2)
    )
    first, second = apply(images, invert_then_move), apply(images, move_then_invert)
    assert torch.equal(first[..., :4], second[..., :4])
    assert (first[..., 4:] == 0).all() and (second[..., 4:] == 255).all()


def test_the_walk_by_hand() -> None:
    order = torch.tensor([[2, 0, 1], [1, 2, 0], [0, 1, 2]])
    accepted = torch.tensor([[True, False, True], [True, True, True], [False, False, True]])
    taken = walk(order, accepted, torch.tensor([2, 1, 0]), slots=2)
    assert taken.tolist() == [[2, 1], [1, -1], [-1, -1]]


def plain_walk(probabilities: list[float], counts: list[float], rng) -> list[int]:
    wanted = rng.choices(range(len(counts)), counts)[0]
    order = list(range(len(probabilities)))
    rng.shuffle(order)
    taken = []
    for index in order:
        if len(taken) == wanted:
            break
        if rng.random() < probabilities[index]:
            taken.append(index)
    return taken


def test_the_vectorised_walk_draws_like_the_plain_one() -> None:
    import random

    probabilities, counts = [0.1, 0.9, 0.4, 0.0, 1.0], [0.2, 0.3, 0.5]
    names = ["rotate", "invert", "equalize", "color", "flip"]
    policy = Policy(tuple(Triple(n, p, 1.0) for n, p in zip(names, probabilities, strict=True)), tuple(counts))
    number = 20_000
    plan = policy.draw(number, (3, 8, 8), generator())
    rng = random.Random(0)
    rows = [plain_walk(probabilities, counts, rng) for _ in range(number)]
    for index, name in enumerate(names):
        ours = (plan.ops == INDEX[name]).any(1).float().mean().item()
        theirs = sum(index in row for row in rows) / number
        assert abs(ours - theirs) < 0.015, name
    ours_first = (plan.ops[:, 0] == INDEX["flip"]).float().mean().item()
    assert abs(ours_first - sum(row[:1] == [4] for row in rows) / number) < 0.015


def test_uniform_magnitude_and_signs() -> None:
    policy = Policy((Triple("rotate", 1.0, 0.5),), counts=(0, 1), magnitude="uniform")
    values = policy.draw(4000, (1, 8, 8), generator()).values
    assert values.abs().max() <= 15 and values.abs().mean() == pytest.approx(7.5, rel=0.05)
    assert (values > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    ranged = Policy((Triple("rotate", 1.0, 1.0),), counts=(0, 1), ranges={"rotate": 4.0}).draw(
        50, (1, 8, 8), generator()
    )
    assert ranged.values.abs().unique().tolist() == [4.0]


def test_presets_draw_what_they_say() -> None:
    size = (3, 32, 32)
    assert build_schedule("none").at(0).draw(5, size, generator()).ops.shape == (5, 0)
    standard = build_schedule("standard").at(0).draw(400, size, generator())
    assert (standard.ops[:, 0] == INDEX["crop"]).all()
    assert (standard.ops[:, 1] == INDEX["flip"]).float().mean().item() == pytest.approx(0.5, abs=0.1)
    trivial = build_schedule("trivialaugment").at(0).draw(3000, size, generator())
    assert trivial.ops.shape == (3000, 1)
    assert (trivial.ops == -1).float().mean().item() == pytest.approx(1 / 15, abs=0.02)
    assert build_schedule({"name": "randaugment", "num_ops": 3}).at(0).draw(2, size, generator()).ops.shape == (2, 3)
    auto = build_schedule({"name": "autoaugment", "base": []}).at(0).draw(8000, size, generator())
    assert (auto.ops == INDEX["shear_x"]).sum() == 0
    assert build_schedule("pba").at(0).draw(10, size, generator()).ops.shape == (10, 4)
    own = (
        build_schedule({"name": "fixed", "policy": [["invert", 1, 1]], "counts": [0, 1]})
        .at(0)
        .draw(3, size, generator())
    )
    assert own.ops.view(-1).tolist() == [INDEX["invert"]] * 3
    cut = build_schedule("cutout").at(0).draw(3, size, generator())
    assert (cut.ops[:, 2] == INDEX["cutout"]).all()


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("randaugmnt", 'did you mean "randaugment"'),
        ({"name": "randaugment", "strenght": 1}, 'did you mean "strength"'),
        ({"strength": 1}, "must have a name"),
        ({"name": "randaugment", "strength": 3}, "between 0 and 1"),
        ({"name": "randaugment", "ops": ["rotat"]}, 'did you mean "rotate"'),
        ({"name": "fixed", "policy": [["rotate", 1]]}, "[operation, probability, strength]"),
        ("logs/pba_rcifar10.txt", "a schedule file must end in .json, got 'logs/pba_rcifar10.txt'; a published log"),
        ({"name": "randaugment", "num_ops": -1}, "at least 0"),
        ({"name": "randaugment", "num_ops": "x"}, "num_ops: "),
        ({"name": "randaugment", "ops": 3}, "ops: "),
        ({"name": "cutout", "size": "a"}, "size: "),
        ({"name": "standard", "pad": -1}, "range of crop (fraction of the side) must be finite and at least 0, got -1"),
        ({"name": "standard", "pad": float("nan")}, "got nan"),
        ("fixed", '"fixed" must have a policy: [[operation, probability, strength], ...]; or take "none"'),
        ({"name": "fixed", "policy": [["rotat", 0.5, 1]]}, 'did you mean "rotate"'),
    ],
)
def test_wrong_presets_are_named(spec, part: str) -> None:
    with pytest.raises(InputError) as caught:
        build_schedule(spec)
    assert part in str(caught.value)


def test_apply_refuses_what_does_not_fit() -> None:
    plan = RandomOps().draw(2, (3, 8, 8), generator())
    images = images_of(2, 3, 8, 8)
    for wrong in (images.float(), images[0], images_of(2, 2, 8, 8), images[:1]):
        with pytest.raises(InputError):
            apply(wrong, plan)
    with pytest.raises(InputError, match="nearest"):
        apply(images, plan, interpolation="cubic")
    assert apply(images[:0], plan[0:0]).shape == (0, 3, 8, 8)


def test_a_plan_is_saved_replayed_and_described(tmp_path: Path) -> None:
    images = images_of(6, 3, 16, 16)
    plan = build_schedule("randaugment").at(0).draw(6, (3, 16, 16), generator())
    plan.save(tmp_path / "plan.safetensors")
    again = Plan.load(tmp_path / "plan.safetensors")
    assert torch.equal(apply(images, plan), apply(images, again))
    shown = Plan(
        torch.tensor([[INDEX["rotate"], INDEX["flip"], -1]]), torch.tensor([[-12.0, 1.0, 0.0]]), torch.zeros(1, 3, 2)
    )
    assert shown.describe(0) == ["rotate -12 degrees", "flip"]


def test_a_damaged_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.safetensors"
    with pytest.raises(InputError, match="cannot be read"):
        Plan.load(path)
    good = build_schedule("randaugment").at(0).draw(6, (3, 16, 16), generator())
    good.save(path)
    content = path.read_bytes()
    for cut in (0, 5, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match="damaged"):
            Plan.load(path)
    Plan(torch.full((1, 1), 99), torch.zeros(1, 1), torch.zeros(1, 1, 2)).save(path)
    with pytest.raises(InputError, match="ops must be"):
        Plan.load(path)
    Plan(torch.zeros(1, 1, dtype=torch.long), torch.full((1, 1), float("nan")), torch.zeros(1, 1, 2)).save(path)
    with pytest.raises(InputError, match="finite"):
        Plan.load(path)
    with pytest.raises(InputError, match="must hold ops"):
        Plan(torch.zeros(1, 1), torch.zeros(2, 1), torch.zeros(1, 1, 2))
