"""Memory in all and free memory, of a machine and of a container that may take less."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from rolewise import machine_memory


def test_what_is_free_is_not_more_than_there_is() -> None:
    whole, free = machine_memory.total_memory(), machine_memory.free_memory()
    assert whole is not None and free is not None and 0 < free <= whole and whole > 2**28


@pytest.mark.parametrize(("limit", "usage"), machine_memory._GROUPS)
def test_a_container_holds_both_below_the_machine_s(
    limit: str, usage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = machine_memory.total_memory()
    monkeypatch.setattr(machine_memory, "_FOLDER", tmp_path)
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / limit).write_text("100000000\n")
    assert machine_memory.total_memory() == 100_000_000
    (tmp_path / usage).write_text("70000000\n")
    (tmp_path / limit).with_name("memory.stat").write_text("anon 1\ninactive_file 20000000\n")
    assert machine_memory.free_memory() == 50_000_000
    (tmp_path / limit).write_text("max\n")
    assert machine_memory.total_memory() == whole and (machine_memory.free_memory() or 0) > 50_000_000


def test_collection_is_held_back_and_comes_back() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), machine_memory.without_collection():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with machine_memory.without_collection():
            pass
        assert not gc.isenabled()  # who switched it off before keeps it so
    finally:
        gc.enable()
