"""Runs and studies whose stages lie in a store: the bytes of an ordinary folder, resumed anywhere, nothing shared."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from rolewise.errors import InputError, Interrupted
from rolewise.experiment import load, run, stored_run
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.run_folder import RunFolder, open_run
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stage_keys import run_keys
from rolewise.experiment.stage_store import StageStore, stage_store_at
from rolewise.experiment.stage_work import stage_work
from rolewise.experiment.stages import find_stage
from rolewise.experiment.stored_run import StoredRun
from rolewise.jobs.job import Job, JobContext
from rolewise.jobs.store import StoredPath

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).with_name("quick.yaml")
#: Searches of the schedules of teacher and student, their trainings, a test.
SETTINGS = [
    *("seeds=[0]", "arms.student=[own]", "arms.distill=[true]", "search.members=2", "checkpoint_seconds=0"),
    *("teacher.train.epochs=2", "students[0].train.epochs=2"),
]


def left_by(folder: Path) -> dict[str, bytes]:
    """Gives what a run or a study leaves, without its times and what is of this process."""
    aside = ("timing.jsonl", "timing.json", "seconds.json", "state.json", ".lock", "products.json", "report.html")
    kept = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return {name: content for name, content in kept.items() if name.rpartition("/")[2] not in aside}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(load(QUICK, SETTINGS), folder)
    return folder


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> str:
    """The address of an empty place in memory."""
    StoredPath(address := f"memory://{request.node.name}").remove_folder()
    return address


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_run_gives_the_same_bytes_wherever_its_stages_are(
    kind: str, whole: Path, tmp_path: Path, memory: str
) -> None:
    config, address = load(QUICK, SETTINGS), memory if kind == "memory" else str(tmp_path / "store")
    run(config, tmp_path / "first", states=address)
    assert left_by(tmp_path / "first") == left_by(whole)
    store = stage_store_at(address, 1, apart=False)
    stages = stages_of(config)
    assert {*store.place.names()} == {"rolewise.json", *run_keys(config).values()}, "members' states are gone"
    # Another machine has neither the folder nor what a process keeps.
    seen: list[StageUpdate] = []
    stored_run._own_folder.cache_clear()
    shutil.rmtree(tmp_path / "first/stages" / stages[-1].name)
    for out in ("first", "second"):
        run(config, tmp_path / out, states=address, on_update=seen.append)
        assert not seen and left_by(tmp_path / out) == left_by(whole)


def test_work_that_was_stopped_goes_on_in_another_process_from_the_store_alone(
    whole: Path, tmp_path: Path, memory: str
) -> None:
    config = load(QUICK, SETTINGS)
    folder = open_run(tmp_path / "run", config)
    stored = StoredRun.of(StageStore(StoredPath(memory)), folder, run_keys(config))
    for stage in (one for one in stages_of(config) if one.kind in ("teacher", "arm")):
        for need in stage.needs:
            stored.give(RunFolder(whole), find_stage(config, need))
        stops, done = 0, stored.store.place / stored.keys[stage.name] / "done.json"
        while not done.is_file():
            stored_run._own_folder.cache_clear()
            work = stage_work(folder, stage, key="key", threads=1, needs=(), stored=stored)
            assert isinstance(work, Job) and str(tmp_path).encode() not in pickle.dumps(work), "no path of this machine"
            try:
                work.run(work.payload, JobContext(lambda text: None, lambda: True))
            except Interrupted:
                stops += 1
                assert any(name.endswith(".pt") for name in (stored.store.place / stored.keys[stage.name]).files())
        assert stops >= 2 and not (folder.stage(stage.name) / "done.json").exists()
        stored.take(folder, stage)
        assert left_by(folder.stage(stage.name)) == left_by(RunFolder(whole).stage(stage.name))


def test_what_is_begun_in_a_folder_goes_on_in_a_store(whole: Path, tmp_path: Path, memory: str) -> None:
    config = load(QUICK, SETTINGS)
    run(config, tmp_path / "run", only=lambda stage: stage.kind == "search" and stage.role == "teacher")
    seen: list[StageUpdate] = []
    run(config, tmp_path / "run", states=memory, on_update=seen.append)
    assert left_by(tmp_path / "run") == left_by(whole)
    assert "seed0/teacher-search" not in {update.stage for update in seen}


def test_damage_in_the_store_is_named_and_what_cannot_be_reached_is_refused(
    whole: Path, tmp_path: Path, memory: str
) -> None:
    config = load(QUICK, SETTINGS)
    run(config, tmp_path / "a", states=memory)
    store = StageStore(StoredPath(memory))
    weights = store.place / run_keys(config)["seed0/teacher-own"] / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"memory://.*/weights.safetensors is damaged; remove memory://.* to redo"):
        run(config, tmp_path / "b", states=memory)
    for more, address, text in (
        (["workers=2"], memory, "states must be where all workers reach them, got memory:"),
        ([], "nowhere://a", "states must be a folder or an address of a store, got nowhere://a"),
        ([], str(whole / "run.json"), "states must be an address that can be written, got .*run.json: "),
        (["teacher.train.precision=auto"], memory, "precision of teacher must be given where stages lie in a store"),
    ):
        with pytest.raises(InputError, match=text):
            run(load(QUICK, [*SETTINGS, *more]), tmp_path / "refused", states=address)
        assert not (tmp_path / "refused").exists(), "nothing was made"
