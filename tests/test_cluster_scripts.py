"""The scripts for Slurm and Kubernetes: what they run on which machines; one of them for real, on Ray."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
#: In place of Slurm: srun writes its arguments down, or runs them where it is told to.
STUBS = {
    "scontrol": "echo node7; echo node8",
    "srun": 'printf "%s\\n" "$@" > "$CALLED"; shift 5; [ -z "${REAL:-}" ] || exec "$@"',
}


def submitted(folder: Path, *command: str, **given: str) -> tuple[int, list[str], str]:
    """Runs the script as a job of Slurm would, and returns its exit code, what srun was given, and the output."""
    programs = folder / "programs"
    programs.mkdir(parents=True)
    stubs = STUBS if "REAL" in given else {**STUBS, "ray": given.pop("RAY", "true")}
    for name, text in {**stubs, "scontrol": given.pop("SCONTROL", STUBS["scontrol"])}.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod((programs / name).stat().st_mode | stat.S_IXUSR)
    job = {"SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "8", "SLURM_JOB_NODELIST": "node[7-8]"}
    known = {**os.environ, **job, "SLURM_JOB_ID": "41234", "CALLED": str(folder / "called"), **given}
    known["PATH"] = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(ROOT / "deploy/slurm.sbatch"), *command], env=known, capture_output=True, text=True, check=False
    )
    called = folder / "called"
    return done.returncode, called.read_text().splitlines() if called.exists() else [], done.stdout + done.stderr


def test_slurm_starts_ray_on_all_machines_and_the_command_on_it(tmp_path: Path) -> None:
    code, called, _ = submitted(
        tmp_path, "run", "a b.yaml", "--out", "/shared/a", WORKER_GPUS="0.5", SLURM_GPUS_ON_NODE="4"
    )
    ray, command = called[: called.index("--")], called[called.index("--") + 1 :]
    assert code == 0 and ray[:4] == ["--ntasks", "2", "--ntasks-per-node", "1"]
    assert shlex.join(ray[5:]) == (
        "ray symmetric-run --address node7:21234 --min-nodes 2 --num-cpus 8 --num-gpus 4 --include-dashboard=false"
    )
    assert command == [
        *("rolewise", "run", "a b.yaml", "--out", "/shared/a", "--set", "workers=16"),
        *("--runner", "ray", "--worker-gpus", "0.5", "--address", "node7:21234"),
    ]
    lines = (ROOT / "deploy/slurm.sbatch").read_text().splitlines()
    settings = [line for line in lines if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash" and all(line.split()[1].startswith("--") for line in settings)
    assert lines.index(settings[-1]) < lines.index("set -euo pipefail"), "Slurm reads them up to the first command"


def test_slurm_keeps_the_token_from_other_users(tmp_path: Path) -> None:
    """Ray writes it as readable as any file, and who reads it runs what they like on the cluster."""
    token = tmp_path / ".ray/auth_token"
    ray = 'mkdir -p "$HOME/.ray"; [ -f "$HOME/.ray/auth_token" ] || echo secret > "$HOME/.ray/auth_token"'
    for existing in (False, True):
        if existing:
            token.chmod(0o644)
        code, _, text = submitted(tmp_path / str(existing), "run", "a.yaml", HOME=str(tmp_path), RAY=ray)
        assert code == 0, text
        assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_slurm_reads_the_first_of_more_machines_than_a_pipe_holds(tmp_path: Path) -> None:
    code, called, text = submitted(tmp_path, "run", "a.yaml", SCONTROL="seq -f node%g 7 30000")
    assert code == 0, text
    assert called[called.index("--address") + 1].startswith("node7:")


def test_slurm_without_a_command_or_a_job_is_refused(tmp_path: Path) -> None:
    code, called, text = submitted(tmp_path)
    assert code == 2 and not called and "give a command, such as: run CONFIG --out FOLDER" in text


def mapping(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def test_the_job_of_kubernetes_fits_together() -> None:
    job = yaml.safe_load((ROOT / "deploy/kuberay_job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = mapping(job["spec"]["rayClusterSpec"])
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    command = shlex.split(job["spec"]["entrypoint"])
    given = dict(zip(command[3::2], command[4::2], strict=True))
    assert command[:2] == ["rolewise", "run"] and (given["--runner"], given["--address"]) == ("ray", "auto")
    cpus = int(workers["rayStartParams"]["num-cpus"])
    assert given["--set"] == f"workers={workers['replicas'] * cpus}" and head["rayStartParams"]["num-cpus"] == "0"
    for group in (head, workers):
        (container,), pod = group["template"]["spec"]["containers"], group["template"]["spec"]
        (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
        assert Path(given["--out"]).is_relative_to(mount["mountPath"]) and mount["name"] == volume["name"]
        assert int(container["resources"]["requests"]["cpu"]) <= int(container["resources"]["limits"]["cpu"])
    assert int(workers["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]) == cpus
    config = Path(command[2]).relative_to("/rolewise")
    image = (ROOT / "deploy/Dockerfile").read_text()
    assert (ROOT / config).is_file() and "WORKDIR /rolewise" in image
    # Without these packages a head that is to have a dashboard does not start.
    assert head["rayStartParams"]["include-dashboard"] == "true" and '"ray[default]"' in image


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_slurm_script_runs_a_search_on_its_own_cluster(tmp_path: Path) -> None:
    """One machine stands for all of them: its own name, and one task."""
    pytest.importorskip("ray")
    config = ROOT / "tests/experiment/quick.yaml"
    out = tmp_path / "run"
    code, _, text = submitted(
        tmp_path,
        *(
            "run",
            str(config),
            "--out",
            str(out),
            "--set",
            "seeds=[0]",
            "--set",
            "arms={student: [none], distill: [false]}",
        ),
        REAL="1",
        SCONTROL="hostname",
        SLURM_JOB_NUM_NODES="1",
        SLURM_CPUS_PER_TASK="2",
        WORKERS="2",
        SLURM_JOB_ID=str(os.getpid()),
    )
    assert code == 0, text
    assert json.loads((out / "results.json").read_text())["arms"]
