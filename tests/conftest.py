"""What all tests share: threads, signals, real data (ROLEWISE_DATA), the device of numeric tests (ROLEWISE_DEVICE)."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Before torch is loaded, and for the processes that tests start: several test processes share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

# A shell starts what runs in the background with Ctrl-C ignored, and what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# No test is timed: on a busy machine an example may take any time. A GPU's machine need not have Hypothesis.
with contextlib.suppress(ImportError):
    import hypothesis

    hypothesis.settings.register_profile(
        "rolewise", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("rolewise")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _little_to_collect() -> None:
    """Sets aside what was loaded and found before, which each collection of garbage would go through again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    """Has networks that a test makes without a generator begin alike, in whatever order and process tests run."""
    torch.manual_seed(0)


#: Whether tests run on a stand-in for a GPU (devices/stand_in.py), which finds tensors that are left on the CPU.
STAND_IN = os.environ.get("ROLEWISE_DEVICE") == "stand-in"


@pytest.fixture(autouse=STAND_IN)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets whatever a test does in its own thread and for the device ``auto`` or ``cuda`` be done by the stand-in."""
    from stand_in import stand_in_gpu

    with stand_in_gpu(monkeypatch):
        yield


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The device that ROLEWISE_DEVICE names, on which numeric tests compute; the CPU by default."""
    if STAND_IN:
        return torch.device("cuda", 0)
    found = torch.device(os.environ.get("ROLEWISE_DEVICE", "cpu"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip(f"ROLEWISE_DEVICE is {found}, and torch finds no GPU")
    return found


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder that ROLEWISE_DATA names."""
    folder = os.environ.get("ROLEWISE_DATA")
    if not folder:
        pytest.skip("ROLEWISE_DATA is not set; set it to a folder of data to run this test")
    return Path(folder)


@pytest.fixture(scope="session")
def restored(data_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """Gives a set in its community's layout, restored once where the folder holds it compactly."""
    target = tmp_path_factory.mktemp("data")
    done: set[str] = set()

    def restore(name: str, marker: str) -> Path:
        if (data_folder / marker).exists():
            return data_folder
        if not (data_folder / "restore.py").is_file():
            pytest.skip(f"ROLEWISE_DATA holds neither {marker} nor restore.py")
        if name not in done:
            subprocess.run([sys.executable, str(data_folder / "restore.py"), name, str(target)], check=True)
            done.add(name)
        return target

    return restore


@pytest.fixture(scope="module")
def figures_unrendered() -> Iterator[None]:
    """For modules whose subject is no page: pages are made whole, and matplotlib writes their figures without marks."""
    from figure_toys import unrendered
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", unrendered(Figure.savefig))
        yield


@pytest.fixture
def timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of exports whose subject is no latency: every file is timed, in three rounds and no more."""
    from rolewise.deploy import comparison_rows

    monkeypatch.setattr(comparison_rows, "in_turns", functools.partial(comparison_rows.in_turns, seconds=0.0))


@pytest.fixture
def rolewise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Calls a command in this process; gives its exit code, what it printed, and its errors."""
    from rolewise import cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rolewise", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ending:
            code = int(ending.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts the faults that tests tried out, of every kind."""
    counts: dict[str, int] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for key, value in getattr(report, "user_properties", []) if getattr(report, "when", "") == "call" else []:
                if key == "faults":
                    counts[value[0]] = counts.get(value[0], 0) + value[1]
    if counts:
        terminalreporter.section("faults that were tried")
        for what, count in counts.items():
            terminalreporter.line(f"{count:4d} {what}")
        terminalreporter.line(f"{sum(counts.values()):4d} in all")
