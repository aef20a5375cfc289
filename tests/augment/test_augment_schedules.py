"""Schedules and the published logs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rolewise
from rolewise.augment import Policy, Schedule, Triple, build_schedule, load_published, random_schedule
from rolewise.augment.ops import INDEX, pba_value
from rolewise.augment.published import PUBLISHED_OPS, Published
from rolewise.errors import InputError

# The decoded schedule of role-wise augmentation's best 2-bit student: the vectors from epochs 57 and 171 on.
E57 = [3, 2, 6, 2, 3, 1, 9, 3, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 1, 3, 2, 0, 0, 5, 0, 6, 2, 1]
E57 += [0, 0, 0, 0, 2, 0, 1, 1, 0, 1, 0, 0, 0, 2, 7, 2, 7, 5, 1, 1, 1, 0, 1, 0, 3, 3, 1, 2, 0, 0]
E171 = [2, 7, 6, 4, 4, 3, 8, 9, 10, 6, 0, 6, 1, 8, 6, 0, 1, 3, 0, 0, 6, 2, 5, 3, 8, 7, 3, 4, 0, 4]
E171 += [4, 1, 0, 2, 0, 2, 0, 1, 1, 4, 0, 3, 2, 4, 5, 3, 0, 5, 2, 7, 2, 4, 3, 8, 3, 0, 3, 4, 10, 6]


def sample() -> Schedule:
    return Schedule.from_vectors([[0, 0], [10, 9], [5, 3]], [0, 0.25, 0.5], ops=["rotate"], name="sample")


def test_what_holds_when() -> None:
    schedule = sample()
    strengths = [schedule.at(x).triples[0].strength for x in (0.0, 0.2499, 0.25, 0.4, 0.5, 1.0)]
    assert strengths == [0, 0, 1, 1, pytest.approx(1 / 3), pytest.approx(1 / 3)]
    assert schedule.lengths() == [0.25, 0.25, 0.5]


@pytest.mark.parametrize("spec", ["none", "standard", "cutout", "randaugment", "trivialaugment", "autoaugment", "pba"])
def test_every_preset_survives_the_file(spec: str, tmp_path: Path) -> None:
    schedule = build_schedule(spec)
    schedule.save(tmp_path / "s.json")
    again = build_schedule(str(tmp_path / "s.json"))
    assert again == schedule
    draws = [each.at(0).draw(20, (3, 32, 32), torch.Generator().manual_seed(1)).values for each in (schedule, again)]
    assert torch.equal(*draws)


def test_shuffled_in_time_keeps_segments_and_lengths() -> None:
    schedule = sample()
    for seed in range(10):
        shuffled = schedule.shuffled(torch.Generator().manual_seed(seed))
        assert [policy for _, policy in shuffled.segments] != [policy for _, policy in schedule.segments]
        old = sorted(zip(schedule.lengths(), (p.triples[0].strength for _, p in schedule.segments), strict=True))
        assert (
            sorted(zip(shuffled.lengths(), (p.triples[0].strength for _, p in shuffled.segments), strict=True)) == old
        )
    constant = Schedule.constant(Policy())
    assert constant.shuffled(torch.Generator()).segments == constant.segments


def test_a_random_schedule_is_a_function_of_its_generator() -> None:
    first, second = (random_schedule(torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == second and len(first.segments) == 4 and len(first.segments[0][1].triples) == 30


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"version": 2}, "version must be 1"),
        ({"kind": "plan"}, 'kind "schedule"'),
        ({"segments": 3}, "segments must be a list"),
        ({"segments": []}, "start at 0"),
        ({"segments": [{"start": "a"}]}, "segments[0]"),
        ({"segments": [{"start": 0, "augmentation": {"kind": "magic"}}]}, "segments[0]"),
        (
            {
                "segments": [
                    {"start": 0, "augmentation": {"kind": "policy", "triples": [["rotat", 1, 1]], "counts": [1]}}
                ]
            },
            "rotate",
        ),
        (
            {
                "segments": [
                    {"start": 0, "augmentation": {"kind": "policy", "triples": [["rotate", 2, 1]], "counts": [1]}}
                ]
            },
            "0 and 1",
        ),
        ({"segments": [{"start": 0, "augmentation": {"kind": "policy", "triples": [], "counts": [0.5]}}]}, "sum to 1"),
        ({"segments": [{"start": 0, "augmentation": {"kind": "policy", "triples": [], "counts": [1], "x": 1}}]}, "x"),
    ],
)
def test_a_wrong_schedule_file_names_the_field(change, part: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps({**sample().to_json(), **change}))
    with pytest.raises(InputError) as caught:
        Schedule.load(path)
    assert part in str(caught.value) and "s.json" in str(caught.value)


def test_a_damaged_schedule_is_refused_or_whole(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    text = json.dumps(sample().to_json())
    rng = random.Random(0)
    for _ in range(300):
        damaged = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(bytes(damaged[: rng.randint(0, len(damaged))] if rng.random() < 0.3 else damaged))
        try:
            Schedule.load(path).at(0.3).draw(3, (1, 8, 8), torch.Generator())
        except InputError as error:
            assert "s.json" in str(error)


def test_policy_vectors_are_checked() -> None:
    with pytest.raises(InputError, match="2 levels"):
        Policy.from_vector([1, 2, 3], ops=["rotate"])
    with pytest.raises(InputError, match="0 to 10"):
        Policy.from_vector([11, 0], ops=["rotate"])


def test_the_published_role_wise_schedule_decodes(data_folder: Path) -> None:
    folder = data_folder / "published_schedules"
    if not folder.is_dir():
        pytest.skip("ROLEWISE_DATA holds no published_schedules")
    found = load_published(folder / "role_kd_resnet18_w2a2_policy_0.txt")
    assert found.starts == (0, 57, 60, 132, 171) and found.epochs == 200
    assert found.vectors[0] == (0,) * 60 and list(found.vectors[1]) == E57 and list(found.vectors[4]) == E171
    schedule = found.schedule()
    last = {(t.op, t.probability, round(10 * t.strength)) for t in schedule.at(1.0).triples}
    assert {("color", 1.0, 6), ("contrast", 1.0, 6), ("brightness", 0.8, 9), ("translate_x", 0.6, 4)} <= last
    assert all(t.probability == 0 for t in schedule.at(1.0).triples if t.op == "invert")
    means = [sum(t.probability for t in policy.triples) / 30 for _, policy in schedule.segments]
    assert [round(mean, 2) for mean in means] == [0, 0.18, 0.29, 0.3, 0.32]
    pba = load_published(folder / "pba_rcifar10_16_wrn.txt")
    assert len(pba.vectors) == 17 and pba.schedule().at(0).triples[0].probability == 0
    svhn = load_published(folder / "pba_rsvhn_16_wrn.txt")
    # Neither log says how long its search was; on reduced SVHN it had 160 epochs.
    assert (pba.epochs, svhn.epochs) == (200, 160) and svhn.schedule().segments[-1][0] == 159 / 160
    with pytest.raises(InputError, match=r"epochs must be 160, those of published log .*pba_rsvhn.*, got 200"):
        load_published(folder / "pba_rsvhn_16_wrn.txt", 200)


def test_a_published_log_drops_what_lies_before_a_break(tmp_path: Path) -> None:
    vectors = [[level] * 60 for level in range(5)]
    lines = [
        ["9", "8", 4, 3, vectors[4], vectors[4]],
        ["2", "1", 10, 10, vectors[0], vectors[1]],
        ["3", "2", 35, 30, vectors[1], vectors[2]],
    ]
    path = tmp_path / "log.txt"
    path.write_text("\n".join(map(str, lines)))
    with pytest.raises(InputError, match=r"epochs must be given: published log .*log.txt does not hold the number of"):
        load_published(path)
    for wrong in (0, -1, True, 2.5):
        with pytest.raises(InputError, match="epochs must be a whole number of at least 1"):
            load_published(path, wrong)
    found = load_published(path, 40)
    assert found.epochs == 40 and found.schedule().segments[1][0] == 10 / 40
    assert [vector[0] for vector in found.vectors] == [0, 1, 2]
    assert found.starts == (0, 10, 30)
    assert len(PUBLISHED_OPS) == 15
    for text in ("", "[1, 2]", "__import__('os').getcwd()", str(["a", "b", 1, 2, [1.5], [1]])):
        path.write_text(text)
        with pytest.raises(InputError, match=r"log.txt"):
            load_published(path)


def test_the_hole_of_16_pixels_that_pba_trains_with_can_be_written() -> None:
    base, ranges = ["crop", "flip", "cutout"], {"cutout": 0.5}
    published = Published(((5,) * 60,), (0,), 200).schedule(base=tuple(base), ranges=ranges)
    assert Schedule.from_json(published.to_json()) == published
    for policy in (build_schedule({"name": "pba", "base": base, "ranges": ranges}).at(0.0), published.at(0.5)):
        plan = policy.draw(8, (3, 32, 32), torch.Generator().manual_seed(0))
        assert bool((plan.ops[:, -1] == INDEX["cutout"]).all()) and bool((plan.values[:, -1] * 32 == 16).all())
    # The levels of the fifteen operations, cutout among them, are the original's, whatever the range.
    assert pba_value("cutout", 5, 32) * 32 == 10
    with pytest.raises(InputError, match="the range of cutout"):
        build_schedule({"name": "pba", "ranges": {"cutout": -1}})


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"triples": [("rotate", 0.5, 0.3)]}, r"triples must hold .*, got \('rotate', 0.5, 0.3\); write Triple\("),
        ({"triples": "rotate"}, "got 'rotate'; give a tuple of them"),
        ({"counts": 0.5}, r"counts must be the probabilities of 0, 1, 2, ... operations, .* got 0.5"),
        ({"counts": ("a", 1)}, r"got \['a', 1\]"),
        ({"counts": (float("nan"), 1)}, r"got \[nan, 1\]"),
        ({"base": "crop"}, "base must be a list of operations, got 'crop'; write a tuple"),
        ({"ranges": {"rotate": "3"}}, "range of rotate .* must be finite and at least 0, got '3'"),
        ({"ranges": 3}, "ranges must be a mapping"),
        ({"triples": (3,)}, "got 3; write Triple"),
    ],
)
def test_a_policy_is_checked_when_it_is_made(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError, match=part):
        Policy(**settings)


def test_a_triple_is_checked_when_it_is_made() -> None:
    for values, part in ((("rotate", 0.5, "a"), "strength of rotate must be"), ((3, 0.5, 0.5), "got 3")):
        with pytest.raises(InputError, match=part):
            Triple(*values)
    # Of a room nothing has to be imported, and numbers of numpy are numbers.
    made = rolewise.Policy((rolewise.augment.Triple("rotate", np.float32(0.5), 1),), counts=[0, np.float32(1)])
    assert made.triples == (Triple("rotate", 0.5, 1),)
