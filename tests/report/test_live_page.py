"""The page of a run while it goes on: what it serves, to whom, when it is rendered anew; and that it writes nothing."""

from __future__ import annotations

import http.client
import math
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.errors import InputError
from rolewise.report.live_page import LivePage, folder_digest
from rolewise.report.live_server import LOOPBACK, live_server


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[LivePage, int]]:
    page = LivePage(tmp_path / "run", 1.0, lambda: 7)
    server = live_server(page, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield page, server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def ask(port: int, path: str = "/", host: str | None = None) -> tuple[int, str, str]:
    """Returns the status of an answer, its version and its text."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=240)
    connection.request("GET", path, headers={"Host": host or f"{LOOPBACK}:{port}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["X-Version"] or "", text


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_page_follows_a_run_from_before_its_beginning_to_its_end(
    live: tuple[LivePage, int], finished: Path
) -> None:
    page, port = live
    status, first, text = ask(port)
    assert status == 200 and "Waiting." in text and "Nothing is there yet" in text and 'role="status"' in text
    assert ask(port, f"/?known={first}")[0] == 204
    # A run that is going on: a record is cut off, and there is no comparison.
    shutil.copytree(finished, page.root)
    for name in ("results.json", "timing.json", "previews.npz", "predictions.npz", "report.html"):
        (page.root / name).unlink()
    page._next, began = 0.0, time.monotonic()
    before = contents(page.root)
    status, second, text = ask(port, f"/?known={first}")
    assert status == 200 and second != first and "Not finished" in text and "of&nbsp;7&nbsp;stages" in text
    for name in ("results.json", "timing.json", "previews.npz", "predictions.npz"):
        shutil.copy(finished / name, page.root / name)
    # Rendering takes a small part of the time, whatever changes meanwhile.
    assert page._next > began
    page._next = math.inf  # a slow machine may have passed that moment already
    assert ask(port, f"/?known={second}")[0] == 204
    page._next = 0.0
    status, third, text = ask(port, f"/?known={second}")
    assert status == 200 and third != second and "The arms" in text
    after = contents(page.root)
    assert {name: after[name] for name in before} == before and not (page.root / "report.html").exists()


def test_a_file_that_is_just_being_written_leaves_the_page_as_it_was(
    live: tuple[LivePage, int], finished: Path
) -> None:
    page, port = live
    shutil.copytree(finished, page.root)
    _, version, _ = ask(port)
    (page.root / "results.json").write_text("{")
    page._next = 0.0
    assert ask(port)[:2] == (200, version)
    page._shown = None
    page._next = 0.0
    _, _, text = ask(port)
    assert "Waiting." in text and "results.json" in text


def test_it_is_served_to_this_machine_alone(live: tuple[LivePage, int]) -> None:
    _, port = live
    assert ask(port, host=f"localhost:{port}")[0] == 200
    # Another site's name that was made to lead here.
    assert ask(port, host=f"example.org:{port}")[0] == 403 and ask(port, host="[::1]")[0] == 403
    assert ask(port, "/../etc/passwd")[0] == 404 and ask(port, "/run.json")[0] == 404
    with pytest.raises(InputError, match=f"port must be a free one of this machine, got {port}, which is taken"):
        live_server(LivePage(Path("x"), 1.0), port)
    with pytest.raises(InputError, match="port must be 0 to 65535, got 70000"):
        live_server(LivePage(Path("x"), 1.0), 70000)


def test_what_a_page_does_not_show_is_no_change(finished: Path, tmp_path: Path) -> None:
    assert folder_digest(tmp_path / "nowhere") == folder_digest(tmp_path / "nowhere as well")
    shutil.copytree(finished, tmp_path / "r")
    before = folder_digest(tmp_path / "r")
    (tmp_path / "r" / "report.html").write_text("other")
    (tmp_path / "r" / "state.json").write_text("{}")
    assert folder_digest(tmp_path / "r") == before
    os.utime(next((tmp_path / "r").rglob("record.jsonl")), (1, 1))
    assert folder_digest(tmp_path / "r") != before


def test_the_command_ends_quietly_by_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: object, poll_interval: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", stopped)
    result = CliRunner().invoke(app, ["watch", str(tmp_path / "later")])
    assert result.exit_code == 0 and "http://127.0.0.1:" in result.output and "No longer served" in result.output
    assert not (tmp_path / "later").exists()
    for given, why in (([str(Path(__file__))], "must be a folder"), ([str(tmp_path), "--every", "0"], "at least 0.5")):
        refused = CliRunner().invoke(app, ["watch", *given])
        assert isinstance(refused.exception, InputError) and why in str(refused.exception)
