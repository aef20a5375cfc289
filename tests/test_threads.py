"""Threads that share a machine: OpenMP's policy of waiting, and the number that the command computes with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rolewise.threads import WAIT_POLICY, torch_threads

# What the policy is when torch is loaded, and in a worker process.
_COMMAND = """
import os, sys
class Watch:
    def find_spec(self, name, *rest):
        if name == "torch":
            print("loaded", os.environ.get("OMP_WAIT_POLICY"))
if __name__ == "__main__":
    sys.meta_path.insert(0, Watch())
    sys.argv = ["rolewise", "list", "ops"]
    from rolewise.cli import main
    main()
"""
_WORKER = """
import os
from rolewise.jobs.worker_process import start_context
if __name__ == "__main__":
    with start_context().Pool(1) as pool:
        print("worker", pool.apply(os.getenv, ("OMP_WAIT_POLICY",)))
"""


@pytest.mark.parametrize(
    ("code", "line"), [(_COMMAND, "loaded"), pytest.param(_WORKER, "worker", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("own", "there"), [(None, "PASSIVE"), pytest.param("ACTIVE", "ACTIVE", marks=pytest.mark.slow)]
)
def test_openmp_waits_passively_before_torch_is_loaded_unless_the_user_chose(code, line, own, there, tmp_path) -> None:
    program = tmp_path / "program.py"
    program.write_text(code)
    environment = {key: value for key, value in os.environ.items() if key != WAIT_POLICY}
    if own is not None:
        environment[WAIT_POLICY] = own
    made = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, check=True)
    assert f"{line} {there}\n" in made.stdout and made.stdout.count(line) == 1


def test_threads_are_set_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(before + 2):
        assert torch.get_num_threads() == before + 2
        raise KeyError
    assert torch.get_num_threads() == before


def test_tests_that_press_ctrl_c_pass_in_a_background_shell_too() -> None:
    code = "import runpy, signal, sys; runpy.run_path(sys.argv[1]); print(signal.getsignal(signal.SIGINT).__name__)"
    conftest = Path(__file__).with_name("conftest.py")
    made = subprocess.run(
        [sys.executable, "-c", code, str(conftest)],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == "default_int_handler\n"
