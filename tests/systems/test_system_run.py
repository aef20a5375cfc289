"""A system's run: settings that are checked, pieces that resume to the same bytes, answers and a page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.experiment.folder_status import status_of
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.seeds import generator
from rolewise.systems import SYSTEMS, Claim, Piece, System, SystemSettings, run_system
from rolewise.systems.known_systems import system_settings
from rolewise.systems.system import Seeds
from rolewise.systems.system_page import short_answer, system_table
from rolewise.systems.system_result import verdict_of


class CoinSettings(SystemSettings):
    """Settings of the system of these tests.

    Args:
        seeds: seeds.
        gain: of the better coin.
    """

    seeds: Seeds = (0, 1, 2, 3)
    gain: float = 0.3


CALLS: list[str] = []


def toss(piece: Piece, settings: CoinSettings, context: JobContext) -> list[dict[str, Any]]:
    CALLS.append(piece.name)
    if context.should_stop():
        raise Interrupted("stopped")
    luck = (torch.rand(2, generator=generator(piece.seed, "coin")) / 100).tolist()
    return [
        {"coin": "fair", "accuracy": 0.5 + luck[0]},
        {"coin": "loaded", "accuracy": 0.5 + settings.gain + luck[1]},
    ]


def coin_system(**changes: Any) -> System:
    known: dict[str, Any] = {
        "name": "coins",
        "title": "Coins",
        "source": "nobody",
        "origin": "reconstruction",
        "settings": CoinSettings,
        "axes": ("coin",),
        "metrics": (ACCURACY,),
        "pieces": lambda settings: [Piece(seed) for seed in settings.seeds],
        "train": toss,
        "claims": (Claim("The loaded coin is better", {"coin": "loaded"}, {"coin": "fair"}, "accuracy"),),
        "controls": "Both are tossed alike.",
    }
    return System(**{**known, **changes})


@pytest.fixture
def coins(monkeypatch: pytest.MonkeyPatch) -> System:
    made = coin_system()
    monkeypatch.setitem(SYSTEMS._entries, "coins", made)
    CALLS.clear()
    return made


def digests(root: Path) -> dict[str, str]:
    names = ("results.json", "results.csv")
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def test_a_claim_is_answered_and_shown(coins: System, tmp_path: Path) -> None:
    result = run_system("coins", tmp_path / "run", workers=1)
    assert [verdict_of(one) for one in result.answers] == ["confirmed"] and len(result.rows) == 8
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["claims"][0]["verdict"] == "confirmed" and found["origin"].startswith(
        "A reconstruction, not the paper"
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The loaded coin is better" in page and "Confirmed" in page and "A reconstruction" in page
    assert system_table(coins, result.rows)[0][0] == "fair"
    assert short_answer(result.answers) == "Of 1 claim 1 confirmed."


def test_a_metric_s_capitals_stay_in_sentences(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SYSTEMS._entries, "coins", coin_system(metrics=(replace(ACCURACY, title="COCO AP"),)))
    run_system("coins", tmp_path / "run", workers=1)
    assert "COCO AP on the test set with 95% intervals" in (tmp_path / "run" / "report.html").read_text()


def test_no_gain_is_not_told_and_a_loss_refutes(coins: System, tmp_path: Path) -> None:
    lost = run_system("coins", tmp_path / "lost", ["gain=-0.2"], workers=1)
    assert verdict_of(lost.answers[0]) == "refuted"
    even = run_system("coins", tmp_path / "one", ["seeds=[3]"], workers=1)
    assert verdict_of(even.answers[0]) == "undecided"


def test_a_claim_whose_other_side_was_not_trained_is_not_undecided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    square = Claim("A square coin is better", {"coin": "square"}, {"coin": "fair"}, "accuracy")
    claims = (*coin_system().claims, square)
    monkeypatch.setitem(SYSTEMS._entries, "coins", coin_system(claims=claims))
    result = run_system("coins", tmp_path / "run", workers=1)
    assert short_answer(result.answers) == "Of 2 claims 1 confirmed and 1 not compared."
    assert "Not compared" in (tmp_path / "run" / "report.html").read_text()


def test_a_stopped_run_goes_on_to_the_same_bytes(coins: System, tmp_path: Path) -> None:
    whole = run_system("coins", tmp_path / "whole", workers=1)
    done: list[str] = []

    def stop_after_two(news: Any) -> None:
        done.extend([news.work.key] if news.kind == "done" else [])
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_system("coins", tmp_path / "cut", workers=1, on_news=stop_after_two)
    assert len(list((tmp_path / "cut" / "pieces").iterdir())) == 2
    CALLS.clear()
    again = run_system("coins", tmp_path / "cut", workers=1)
    assert len(CALLS) == 2 and again.rows == whole.rows
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    CALLS.clear()
    run_system("coins", tmp_path / "cut", workers=1)
    assert not CALLS


def test_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    few = ["seeds=[0,1]", 'data=["digits"]', 'methods=["fedavg"]', 'shared=["parameters"]', "rounds=2", "target=0.2"]
    one = run_system("fedgen", tmp_path / "one", few, workers=1)
    two = run_system("fedgen", tmp_path / "two", few, workers=2)
    assert one.rows == two.rows and digests(tmp_path / "one") == digests(tmp_path / "two")


def test_other_settings_are_refused_in_a_folder(coins: System, tmp_path: Path) -> None:
    run_system("coins", tmp_path / "run", workers=1)
    with pytest.raises(InputError, match=r"gain is 0.3 there and 0.1 here.*--fresh"):
        run_system("coins", tmp_path / "run", ["gain=0.1"], workers=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="must be a new folder"):
        run_system("coins", tmp_path / "other", workers=1)
    run_system("coins", tmp_path / "run", ["gain=0.1"], fresh=True, workers=1)
    assert (tmp_path / "run.old-1" / "results.json").exists()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["seeds=[]"], "seeds"),
        (["seeds=[1,1]"], "seeds must differ"),
        (["gains=1"], "gains"),
        (["gain"], "must read"),
        (["gain=much"], "gain"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything(
    coins: System, tmp_path: Path, given: Sequence[str], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        run_system("coins", tmp_path / "run", given, workers=1)
    assert not (tmp_path / "run").exists() and not CALLS


def test_a_failed_piece_leaves_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(piece: Piece, settings: CoinSettings, context: JobContext) -> list[dict[str, Any]]:
        if piece.seed == 1:
            raise ValueError("a bent coin")
        return toss(piece, settings, context)

    monkeypatch.setitem(SYSTEMS._entries, "coins", coin_system(train=fails))
    with pytest.raises(
        RunError, match=r"1 of 4 pieces failed, the first \(seed1\): ValueError: a bent coin; the others"
    ):
        run_system("coins", tmp_path / "run", workers=1)
    assert len(list((tmp_path / "run" / "pieces").iterdir())) == 3
    monkeypatch.setitem(SYSTEMS._entries, "coins", coin_system())
    assert len(run_system("coins", tmp_path / "run", workers=1).rows) == 8


def test_a_damaged_piece_is_named(coins: System, tmp_path: Path) -> None:
    run_system("coins", tmp_path / "run", workers=1)
    whole = (tmp_path / "run" / "pieces" / "seed2.json").read_text()
    for damaged in ("[]", '{"version": 1, "rows": [7]}', whole.replace('"accuracy": 0.8', '"accuracy": 0.9')):
        assert damaged != whole
        (tmp_path / "run" / "pieces" / "seed2.json").write_text(damaged)
        with pytest.raises(InputError, match=r"seed2\.json is damaged.*; delete it"):
            run_system("coins", tmp_path / "run", workers=1)
    assert "seed2.json is damaged, or was edited" in "".join(status_of(tmp_path / "run")["damaged"])
    (tmp_path / "run" / "pieces" / "seed2.json").write_text("")
    with pytest.raises(InputError, match=r"seed2\.json is not valid JSON .*; delete it"):
        run_system("coins", tmp_path / "run", workers=1)
    (tmp_path / "run" / "pieces" / "seed2.json").unlink()
    assert len(run_system("coins", tmp_path / "run", workers=1).rows) == 8


def test_pieces_of_the_first_version_which_had_no_digest_are_read(coins: System, tmp_path: Path) -> None:
    whole = run_system("coins", tmp_path / "run", workers=1)
    for path in (tmp_path / "run" / "pieces").iterdir():
        piece = json.loads(path.read_text())
        assert piece["version"] == 2 and len(piece.pop("sha256")) == 64
        path.write_text(json.dumps({**piece, "version": 1}))
    CALLS.clear()
    assert run_system("coins", tmp_path / "run", workers=1).rows == whole.rows and not CALLS
    assert not status_of(tmp_path / "run")["damaged"]


def test_a_damaged_record_is_named_and_no_piece_is_lost(coins: System, tmp_path: Path) -> None:
    run_system("coins", tmp_path / "run", workers=1)
    record = tmp_path / "run" / "system.json"
    whole = record.read_text()
    record.write_text(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"system\.json is not valid JSON .*; put it back, or start again by --fresh"):
        run_system("coins", tmp_path / "run", workers=1)
    record.unlink()
    with pytest.raises(InputError, match=r"system\.json is missing; put it back, or start again by --fresh"):
        run_system("coins", tmp_path / "run", workers=1)
    assert not record.exists()
    record.write_text(whole)
    assert len(run_system("coins", tmp_path / "run", workers=1).rows) == 8


def test_status_counts_pieces_and_other_commands_name_the_way(coins: System, tmp_path: Path) -> None:
    root = tmp_path / "run"
    run_system("coins", root, workers=1)
    assert status_of(root)["state"] == "finished" and status_of(root)["stages"]["done"] == 4
    (root / "pieces" / "seed1.json").unlink()
    (root / "pieces" / "seed2.json").write_text("")
    said = CliRunner().invoke(app, ["status", str(root)]).output
    assert "run: damaged" in said and "seed2.json is not valid JSON" in said and "; delete it, and the same" in said
    assert "3 of 4 pieces done, 1 to go\n" in said
    for command in ("table", "report"):
        refused = CliRunner().invoke(app, [command, str(root)]).exception
        assert isinstance(refused, InputError) and "it is a system's); see" in str(refused)
    refused = CliRunner().invoke(app, ["watch", str(root)]).exception
    assert isinstance(refused, InputError) and "rolewise status" in str(refused)


def test_the_command_lists_runs_and_answers(coins: System, tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["system", "--list"])
    assert listed.exit_code == 0 and "coins" in listed.output and "fedgen" in listed.output
    shown = CliRunner().invoke(app, ["system", "coins", "--list"])
    assert "gain" in shown.output and "A reconstruction" in shown.output
    ran = CliRunner().invoke(app, ["system", "coins", "--out", str(tmp_path / "run"), "--workers", "1"])
    assert ran.exit_code == 0 and "Confirmed: The loaded coin is better" in ran.output
    assert isinstance(CliRunner().invoke(app, ["system", "coins"]).exception, InputError)
    assert isinstance(CliRunner().invoke(app, ["system", "coin", "--out", "x"]).exception, InputError)


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_every_system_is_whole(name: str) -> None:
    system = SYSTEMS[name]
    # Blood cells are files, which not every machine has.
    settings = system_settings(system, ["data=shapes", "images=30"] if name == "ikd" else [])
    names = [piece.name for piece in system.pieces(settings)]
    assert len(set(names)) == len(names) and len(settings.seeds) >= 3
    for claim in system.claims:
        assert {*claim.of, *claim.against} <= set(system.axes), claim
        assert claim.metric in {info.key for info in system.metrics}, claim
        assert not claim.text.endswith("."), claim
    assert system.controls.endswith(".") and ("reconstruction" in system.first_line) == (
        system.origin == "reconstruction"
    )
