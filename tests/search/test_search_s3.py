"""A search and a run whose states lie in an S3 store, on a server of this machine: the same bytes from workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.forkserver import _forkserver
from pathlib import Path

import pytest
from search_toys import SteppedFactory
from test_search_local import files_of, run

from rolewise.errors import InputError, Interrupted
from rolewise.experiment import load
from rolewise.experiment import run as run_experiment
from rolewise.jobs.store import StoredPath, store_at
from rolewise.search import member_states

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the server's own warnings


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an empty bucket; workers find the server by the environment."""
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import boto3

    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    started.start()
    host, port = started.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        patch.setenv(name, value)
    # A server of workers that tests before these have started has the environment of then.
    _forkserver._stop()
    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="rolewise")
    yield "s3://rolewise"
    patch.undo()
    _forkserver._stop()
    started.stop()


def test_files_and_folders_of_a_bucket(bucket: str) -> None:
    place = store_at(f"{bucket}/files [1]")
    assert isinstance(place, StoredPath)
    file = place / "000001" / "a.pt"
    assert not file.is_file() and place.names() == []
    file.unlink(missing_ok=True)
    file.write_bytes(b"one")
    file.write_bytes(b"two")
    assert file.read_bytes() == b"two" and place.names() == ["000001"]
    (place / "000001").remove_folder()
    assert not file.is_file() and place.names() == []


def test_the_same_bytes_from_workers_after_stops(bucket: str, tmp_path: Path) -> None:
    run(tmp_path / "whole", make=SteppedFactory(tmp_path / "other"), members=3, intervals=3)
    make, states, stops = SteppedFactory(tmp_path / "steps", 0.01), f"{bucket}/search", 0
    while not (tmp_path / "cut/lineage.json").exists():
        taken = make.steps.stat().st_size if make.steps.exists() else 0

        def stop(taken: int = taken) -> bool:
            return make.steps.exists() and make.steps.stat().st_size >= taken + 20

        try:
            run(tmp_path / "cut", make=make, members=3, intervals=3, workers=2, states=states, should_stop=stop)
        except Interrupted:
            stops += 1
            assert not list((tmp_path / "cut/state").glob("*/*.pt")), "states lie in the store alone"
    assert stops >= 1 and make.steps.stat().st_size == (tmp_path / "other").stat().st_size, "no step is taken twice"
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    assert not member_states.stored_intervals(store_at(states)), "at the end the states are gone"
    with pytest.raises(InputError, match="are of another search; choose another address"):
        run(tmp_path / "foreign", members=3, intervals=3, seed=8, states=states)


def test_a_run_whose_workers_share_a_bucket_alone(bucket: str, tmp_path: Path) -> None:
    quick = Path(__file__).parent.parent / "experiment" / "quick.yaml"
    config = load(quick, ["seeds=[0]", "arms.student=[own]", "arms.distill=[true]", "search.members=2", "workers=2"])
    run_experiment(config, tmp_path / "whole")
    run_experiment(config, tmp_path / "first", states=f"{bucket}/run")
    started: list[str] = []
    run_experiment(
        config, tmp_path / "second", states=f"{bucket}/run", on_update=lambda news: started.append(news.stage)
    )
    assert not started, "all of it came from the bucket"
    for name in ("first", "second"):
        files = {path.relative_to(tmp_path / name): path for path in (tmp_path / name / "stages").rglob("*.*")}
        assert any(path.name == "weights.safetensors" for path in files)
        for inside, path in files.items():
            if inside.name not in ("timing.jsonl", "seconds.json"):
                assert path.read_bytes() == (tmp_path / "whole" / inside).read_bytes(), inside
