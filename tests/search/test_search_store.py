"""Members' states in stores: on a folder's address and in memory, the same bytes as in the search's own folder."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from search_toys import SteppedFactory, climber
from test_search_local import files_of, run

from rolewise.errors import InputError, Interrupted
from rolewise.jobs.store import StoredPath, store_at
from rolewise.search import member_states


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> StoredPath:
    """An empty place in memory."""
    place = store_at(f"memory://{request.node.name}")
    assert isinstance(place, StoredPath)
    place.remove_folder()
    return place


def test_a_store_keeps_whole_files_and_forgets_folders(memory: StoredPath) -> None:
    file = memory / "000001" / "a.pt"
    assert not file.is_file() and memory.names() == [] and str(file) == f"{memory}/000001/a.pt"
    file.unlink(missing_ok=True)
    file.write_bytes(b"one")
    file.write_bytes(b"two")
    (memory / "settings.json").write_bytes(b"{}")
    assert file.read_bytes() == b"two" and memory.names() == ["000001", "settings.json"]
    (memory / "000001").remove_folder()
    (memory / "000001").remove_folder()
    assert not file.is_file() and memory.names() == ["settings.json"]


def test_addresses_of_folders_are_folders_and_unknown_stores_are_named(tmp_path: Path) -> None:
    assert store_at(tmp_path) == store_at(f"file://{tmp_path}") == store_at(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="states must be a folder or an address of a store, got nowhere://a: "):
        store_at("nowhere://a")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("s3:/bucket/run", "an address with two slashes, such as s3://, got s3:/bucket/run"),
        (Path("s3://bucket/run"), "an address with two slashes, such as s3://, got s3:/bucket/run"),
        ("s3://", "states must name a place in the store, such as s3://bucket/run, got s3://"),
        ("memory:///", "states must name a place in the store, such as memory://bucket/run, got memory:///"),
    ],
)
def test_an_address_with_a_slip_is_no_folder_of_that_name(
    address: str | Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"{text}$"):
        store_at(address)
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_gone_is_named_and_retires_no_member(
    tmp_path: Path, memory: StoredPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "whole", make=SteppedFactory(tmp_path / "other"), members=3, intervals=3)
    files, writes = type(importlib.import_module("fsspec").filesystem("memory")), list[str]()
    write = files.pipe_file

    def fail(self: object, path: str, value: bytes, **settings: object) -> None:
        writes.append(path)
        if len(writes) == 5:
            raise RuntimeError("Session is closed")  # as aiohttp, below s3fs, says it
        write(self, path, value, **settings)

    monkeypatch.setattr(files, "pipe_file", fail)
    make = SteppedFactory(tmp_path / "steps")
    with pytest.raises(OSError, match=r"^the store at memory://.* cannot be used: RuntimeError: Session is closed$"):
        run(tmp_path / "cut", make=make, members=3, intervals=3, states=str(memory))
    run(tmp_path / "cut", make=make, members=3, intervals=3, states=str(memory))
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_search_gives_the_same_bytes_wherever_its_states_are(kind: str, tmp_path: Path, memory: StoredPath) -> None:
    run(tmp_path / "whole", make=SteppedFactory(tmp_path / "other"), members=3, intervals=3)
    states = str(memory) if kind == "memory" else f"file://{tmp_path}/elsewhere"
    make, stops = SteppedFactory(tmp_path / "steps"), 0
    while not (tmp_path / "cut/lineage.json").exists():
        taken = (tmp_path / "steps").stat().st_size if make.steps.exists() else 0
        try:
            run(
                tmp_path / "cut",
                make=make,
                members=3,
                intervals=3,
                states=states,
                should_stop=lambda taken=taken: make.steps.stat().st_size >= taken + 7,
            )
        except Interrupted:
            stops += 1
            place = store_at(states)
            assert member_states.stored_intervals(place), "states lie there"
            assert not list((tmp_path / "cut/state").glob("*/*.pt")), "and nowhere else"
    assert stops >= 3 and make.steps.stat().st_size == (tmp_path / "other").stat().st_size, "no step is taken twice"
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    assert not member_states.stored_intervals(store_at(states)), "at the end the states are gone"


def test_damaged_missing_and_foreign_states_are_named(tmp_path: Path, memory: StoredPath) -> None:
    def stop_after_two() -> bool:
        record = tmp_path / "a/record.jsonl"
        return record.exists() and len(record.read_text().splitlines()) == 2

    with pytest.raises(Interrupted):
        run(tmp_path / "a", states=str(memory), should_stop=stop_after_two)
    with pytest.raises(InputError, match=f"states at {memory} are of another search; choose another address"):
        run(tmp_path / "b", states=str(memory), seed=8)
    state = member_states.state_path(memory, 2, 3)
    content = state.read_bytes()
    state.write_bytes(content[:-3])
    with pytest.raises(InputError, match=f"checkpoint {state}: "):
        member_states.read_state(state)
    # The interval before is used.
    with pytest.warns(UserWarning, match="going on from interval 1 instead"):
        run(tmp_path / "a", states=str(memory))
    run(tmp_path / "c")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "c")
    with pytest.raises(InputError, match=r"checkpoint .* cannot be read: No such file"):
        member_states.read_state(state)
    with pytest.raises(InputError, match="states must be where all workers reach them, got memory://x"):
        run(tmp_path / "d", make=climber, workers=2, states="memory://x")
