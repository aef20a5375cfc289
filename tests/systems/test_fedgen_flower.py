"""FedGen on Flower's simulation, in an environment of its own: the same bytes as in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FLOWER = "flwr[simulation]>=1.42,<2"
#: Rounds of one federation in this process and of its twin on Flower, then a row of the system by each engine.
ROUNDS = """
import torch
from rolewise.jobs.job import JobContext
from rolewise.systems import Piece
from rolewise.systems.fedgen.fedgen_system import FEDGEN, FedGenSettings, federation_of
from rolewise.systems.fedgen.flower_clients import run_on_flower

settings = dict(rounds=2, steps=2, generator_steps=2, clients=3, active=2, target=0.3, shared=("parameters",))
here, there = FedGenSettings(**settings), FedGenSettings(**settings, engine="flower")
levels = {"data": "digits", "shared": "parameters"}
fedgen, fedprox = (Piece(0, levels | {"method": name}) for name in ("fedgen", "fedprox"))
(first, _), (second, _) = (federation_of(fedgen, here) for _ in range(2))

def rounds(federation):
    def run(train=None):
        for number in range(here.rounds):
            federation.run_round(number, train)
    return run

rounds(first)()
run_on_flower(second, rounds(second))
for part in ("network", "maker"):
    pairs = zip(getattr(first, part).state_dict().items(), getattr(second, part).state_dict().values(), strict=True)
    for (name, one), other in pairs:
        assert torch.equal(one, other), f"{part}.{name}"
quiet = JobContext(lambda line: None, lambda: False)
assert FEDGEN.train(fedprox, there, quiet) == FEDGEN.train(fedprox, here, quiet)
print("the same bytes")
"""


def test_the_extra_names_what_is_tested() -> None:
    assert f'flower = ["{FLOWER}"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="Ray's actors on Windows are experimental for Flower")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Flower needs Python 3.11")
def test_flower_gives_the_bytes_of_this_process(tmp_path: Path) -> None:
    # Neither a pip of its own nor compiled files: few of what is installed is imported.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    try:
        one = [*pip, "--no-compile", "--retries", "1", FLOWER]
        installed = subprocess.run(one, capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        pytest.skip("Flower cannot be installed here within 400 seconds")
    if installed.returncode:
        pytest.skip(f"Flower cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    # All else is found in the environment of the tests; what Flower pins comes first, from its own.
    packages = tmp_path / "env" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
    run = [str(python), "-c", ROUNDS]
    done = subprocess.run(run, capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip().endswith("the same bytes"), done.stdout + done.stderr
