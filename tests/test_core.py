"""The modules every room stands on: errors, registry, seeds, files, inputs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rolewise import files
from rolewise.errors import InputError, NonFiniteError, RunError, near, values_of
from rolewise.inputs import InputSpec, prepare
from rolewise.registry import Registry
from rolewise.seeds import derive_seed, generator

# errors


def test_near_names_the_close_one_before_all():
    assert near("temprature", ["weight", "temperature"]) == '; did you mean "temperature"?'
    assert near("zzz", ["weight", "temperature"]) == "; known: temperature, weight"
    assert near("zzz", []) == "; none exist"
    # Alike in letters, and another word all the same.
    assert near("crd", ["rkd", "kd"]) == "; known: kd, rkd"
    assert near("review_kd", ["reverse_kd", "kd"]) == "; known: kd, reverse_kd"
    assert near("sdg", ["sgd", "adam"]) == '; did you mean "sgd"?'
    assert near("temp", ["weight", "temperature"]) == '; did you mean "temperature"?'


def test_a_single_value_in_the_place_of_a_list_is_named():
    assert values_of(["fog"], "names") == values_of(("fog",), "names") == values_of({"fog": 1}, "names") == ("fog",)
    assert values_of(torch.tensor([0.5, 1]), "positions") == (0.5, 1)
    with pytest.raises(InputError, match=r"^names must be a list, got 'fog'; write \['fog'\]$"):
        values_of("fog", "names")
    for single in (0.5, None, torch.tensor(0.5)):
        with pytest.raises(InputError, match=r"^epsilons must be a list, got "):
            values_of(single, "epsilons")


def test_an_error_carries_the_way_to_the_setting() -> None:
    error = InputError.at(("weight", "end"), "must be positive, got 0", owner="kd")
    assert str(error) == '"kd": weight.end must be positive, got 0'
    assert (error.path, error.rule) == (("weight", "end"), "must be positive, got 0")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.rule) == (str(error), error.path, error.rule)
    plain = InputError("nothing was given")
    assert (str(plain), plain.path, plain.rule) == ("nothing was given", (), "nothing was given")


def test_a_non_finite_error_survives_the_way_out_of_a_worker():
    error = NonFiniteError(7, "kd", float("inf"), "look there")
    again = pickle.loads(pickle.dumps(error))
    assert (again.step, again.term, again.value, str(again)) == (7, "kd", float("inf"), str(error))
    assert "'kd'" in str(error) and "step 7" in str(error)
    spoiled = str(NonFiniteError(5, NonFiniteError.WEIGHTS, float("inf")))
    assert "the loss term" not in spoiled and "a weight or a statistic of the networks became inf at step 5" in spoiled


def test_errors_are_what_their_callers_expect():
    assert issubclass(InputError, ValueError)
    assert issubclass(NonFiniteError, RunError) and not issubclass(RunError, ValueError)


# registry


def test_a_registry_gives_what_was_added_in_the_order_of_names():
    registry: Registry[int] = Registry("number")
    assert registry.add("two")(2) == 2
    registry.add("one")(1)
    assert list(registry) == ["one", "two"] and len(registry) == 2 and "two" in registry and "three" not in registry
    assert registry["two"] == 2


def test_a_registry_refuses_unknown_and_taken_names():
    registry: Registry[int] = Registry("number")
    registry.add("seven")(7)
    with pytest.raises(InputError, match="no number is called 'sevn'; did you mean \"seven\""):
        registry["sevn"]
    with pytest.raises(InputError, match="'seven' is registered already"):
        registry.add("seven")(8)
    assert registry["seven"] == 7


# seeds


def test_a_stream_is_the_same_everywhere():
    # Worked outside Python: printf '3\x1fteacher\x1f0' | sha256sum, first 8 bytes, shifted right by one bit.
    assert derive_seed(3, "teacher", 0) == 0x280FA8E64C0E1A6F >> 1


@given(st.integers(), st.lists(st.text(max_size=8), max_size=3))
def test_a_seed_is_one_that_torch_takes(seed: int, names: list[str]):
    assert 0 <= derive_seed(seed, *names) < 2**63
    generator(seed, *names)


def test_streams_differ_by_seed_name_and_grouping():
    seeds = [
        derive_seed(0),
        derive_seed(1),
        derive_seed(0, "a"),
        derive_seed(0, "b"),
        derive_seed(0, "a", "b"),
        derive_seed(0, "ab"),
        derive_seed(0, "b", "a"),
    ]
    assert len(set(seeds)) == len(seeds)


def test_a_generator_repeats_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    first = torch.rand(4, generator=generator(5, "data"))
    assert torch.equal(first, torch.rand(4, generator=generator(5, "data")))
    assert not torch.equal(first, torch.rand(4, generator=generator(5, "model")))
    assert torch.equal(before, torch.get_rng_state())


# files


def test_a_file_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "deep" / "er" / "file.bin"
    files.write_bytes(path, b"old")
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path, monkeypatch, where: str):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, where, fail)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_the_content_is_synced_before_the_name_appears(tmp_path: Path, monkeypatch):
    path, done = tmp_path / "file.txt", []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), real_sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), real_replace(*names))[1])
    files.write_text(path, "text")
    assert done[:2] == ["sync", "rename"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_has_the_permissions_of_the_users_umask(tmp_path: Path):
    previous = os.umask(0o027)
    try:
        files.write_text(tmp_path / "file.txt", "text")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o640


def test_equal_values_give_equal_bytes(tmp_path: Path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [0.1, None]})
    files.write_json(tmp_path / "b.json", {"a": [0.1, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert files.read_json(tmp_path / "a.json", "value") == {"a": [0.1, None], "b": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_that_is_none_is_not_written(tmp_path: Path, value: float):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"loss": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"NaN", b'{"a": Infinity}', b"[" * 100_000])
def test_damaged_json_is_refused_with_its_name(tmp_path: Path, content: bytes):
    path = tmp_path / "schedule.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"schedule .*schedule\.json is not valid JSON"):
        files.read_json(path, "schedule")


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path):
    with pytest.raises(InputError, match=r"schedule .*none\.json cannot be read: No such file"):
        files.read_json(tmp_path / "none.json", "schedule")


@given(st.dictionaries(st.text(), st.lists(st.floats(allow_nan=False, allow_infinity=False)), max_size=4))
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, value: dict[str, list[float]]):
    path = tmp_path_factory.mktemp("json") / "value.json"
    files.write_json(path, value)
    assert files.read_json(path, "value") == value == json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 20) + 1])
def test_sha256_of_files_around_its_chunk(tmp_path: Path, length: int):
    content = bytes(index % 251 for index in range(length))
    (tmp_path / "file").write_bytes(content)
    assert files.sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


# inputs


def test_prepare_normalises_each_channel():
    images = torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8).expand(1, 3, 2, 2)
    spec = InputSpec(mean=(0.0, 0.2, 0.4), std=(1.0, 0.5, 0.2))
    made = prepare(images, spec)
    # Pixels are 0, 1, .2, .4; then (pixel - mean) / std, by hand.
    expected = [[0, 1, 0.2, 0.4], [-0.4, 1.6, 0, 0.4], [-2, 3, -1, 0]]
    torch.testing.assert_close(made, torch.tensor(expected).view(1, 3, 2, 2), atol=1e-6, rtol=0)
    assert made.dtype == torch.float32


def test_prepare_takes_bytes_and_fractions_alike():
    images = torch.randint(0, 256, (4, 1, 5, 6), dtype=torch.uint8, generator=generator(0))
    spec = InputSpec(mean=(0.3,), std=(0.25,))
    torch.testing.assert_close(prepare(images, spec), prepare(images.double() / 255, spec).float())
    assert prepare(images.half() / 255, spec).dtype == torch.float16


def test_prepare_repeats_grey_to_colour():
    images = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8, generator=generator(1))
    made = prepare(images, InputSpec(mean=(0.5,) * 3, std=(0.5,) * 3))
    assert made.shape == (2, 3, 4, 4)
    assert torch.equal(made[:, 0], made[:, 2])


def test_prepare_resizes_by_averaging_areas():
    # Shrinking a checkerboard of one pixel gives grey where shrinking without smoothing would give black or white.
    board = (torch.arange(16).view(1, 1, 1, 16) + torch.arange(16).view(1, 1, 16, 1)) % 2 * 255
    made = prepare(board.to(torch.uint8), InputSpec(mean=(0.0,), std=(1.0,), size=(4, 4)))
    assert made.shape == (1, 1, 4, 4)
    torch.testing.assert_close(made, torch.full_like(made, 0.5), atol=0.02, rtol=0)


def test_prepare_leaves_images_of_the_right_size_alone():
    images = torch.randint(0, 256, (2, 1, 6, 7), dtype=torch.uint8, generator=generator(2))
    with_size = prepare(images, InputSpec(mean=(0.1,), std=(0.2,), size=(6, 7)))
    assert torch.equal(with_size, prepare(images, InputSpec(mean=(0.1,), std=(0.2,))))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 4, 4), r"shape \[B, C, H, W\], got \[3, 4, 4\]"),
        (torch.zeros(1, 2, 4, 4), "3 channels for this network, got 2"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), "uint8 or floating point, got torch.int64"),
    ],
)
def test_prepare_refuses(images: torch.Tensor, message: str):
    with pytest.raises(InputError, match=message):
        prepare(images, InputSpec(mean=(0.0,) * 3, std=(1.0,) * 3))


@pytest.mark.parametrize(
    ("mean", "std", "size", "message"),
    [
        ((0.1, 0.2), (1.0, 1.0), None, "1 or 3 values, got 2 and 2"),
        ((0.1,), (1.0, 1.0, 1.0), None, "got 1 and 3"),
        ((0.1,), (0.0,), None, "std must be positive"),
        ((0.1,), (float("nan"),), None, "std must be positive"),
        ((float("inf"),), (1.0,), None, "mean must be finite"),
        ((0.1,), (1.0,), (0, 4), "size must be two positive numbers"),
        ((0.1,), (1.0,), (4, 4, 4), "size must be two positive numbers"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(mean, std, size, message: str):
    with pytest.raises(InputError, match=message):
        InputSpec(mean=mean, std=std, size=size)


def test_a_spec_out_of_lists_equals_one_out_of_tuples():
    assert InputSpec(mean=[1], std=[2], size=[3, 4]) == InputSpec(mean=(1.0,), std=(2.0,), size=(3, 4))  # type: ignore[arg-type]
