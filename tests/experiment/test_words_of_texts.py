"""What the commands and the page say of a run of texts: texts are never called images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from text_toys import encoder_folder
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.experiment import load, run
from rolewise.experiment.executor import StageUpdate

pytest.importorskip("transformers")
LINES = ("the film was good", "a very good plot", "the bad film", "a dull end")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of a few texts, of one small student beside its teacher."""
    encoder = encoder_folder(tmp_path / "encoder")
    for name, count in (("train", 24), ("test", 8)):
        rows = (f"{LINES[at % 4]} {['film', 'plot', 'end'][at % 3]}\t{int(at % 4 < 2)}" for at in range(count))
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows), encoding="utf-8")
    train = "{epochs: 1, batch_size: 8}"
    file = tmp_path / "texts.yaml"
    file.write_text(
        f"""
name: texts
seeds: [0, 1]
workers: 1
data:
  name: text_file
  root: {tmp_path}
  validation: 8
  arguments: {{file: train.tsv, test: test.tsv, columns: [text, label], tokenizer: {encoder}, length: 12}}
teacher: {{model: {{name: bag_of_embeddings, arguments: {{width: 8}}}}, train: {train}}}
students: [{{name: bag, model: {{name: bag_of_embeddings, arguments: {{width: 4}}}}, train: {train}}}]
arms: {{teacher: [none], student: [none], distill: [true, false]}}
""",
        encoding="utf-8",
    )
    return file


def test_a_run_of_texts_speaks_of_texts_from_its_plan_to_its_page(config: Path, tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        answer = CliRunner().invoke(app, list(arguments))
        assert answer.exit_code == 0, answer.output
        return " ".join(answer.output.split())

    root, moves = tmp_path / "run", list[StageUpdate]()
    assert "texts trained on" in told("run", str(config), "--out", str(root), "--dry-run")
    results = run(load(config), root, on_update=moves.append)
    assert any("texts/s" in move.text for move in moves) and not any("images/s" in move.text for move in moves)
    assert results["example"] == "text"
    again = told("run", str(config), "--out", str(root))
    assert "8 texts, which give" in again and "their training texts" in again and "image" not in again
    assert told("evaluate", str(root), "seed0/bag-none").endswith(", 8 texts")
    unread = r"<svg.*?</svg>|<style.*?</style>|<script.*?</script>|<pre.*?</pre>|href=\"[^\"]*\""
    page = re.sub(unread, "", (root / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "texts trained on" in page and re.findall(r"[^<>]*\bimages?\b[^<>]*", page) == []
