"""Trainings on texts: batches by position, the same bytes after any interruption, and each role its own view."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from text_toys import texts_of

from rolewise.augment import TOKEN_OPS, Schedule, build_schedule
from rolewise.data import TextData
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, evaluate
from rolewise.train.mixing import Mixing
from rolewise.train.source_feed import source_feed_of
from rolewise.train.text_feed import TextFeed, by_length

OPS = tuple(TOKEN_OPS)


def schedule(strength: float = 0.6) -> Schedule:
    return build_schedule({"name": "randaugment", "num_ops": 3, "strength": strength}, ops=OPS)


def bag(seed: int, width: int = 8, vocabulary: int = 40):
    return build("bag_of_embeddings", num_classes=2, vocabulary=vocabulary, seed=seed, width=width, hidden=0)


def trainee(source: TextData | None = None, *, view: str = "shared", epochs: int = 4, **settings: object) -> Trainee:
    source = texts_of(42) if source is None else source
    vocabulary = source.tables["teacher"].facts.vocabulary
    distiller = Distiller(bag(2, 12, vocabulary), bag(1), [configure("kd", weight=0.9)], label_weight=0.5)
    optimizer = OptimizerSettings(name="adam", learning_rate=0.02)
    return Trainee(
        distiller,
        source,
        torch.arange(len(source)),
        augmentation=schedule(),
        teacher_augmentation=schedule(0.3),
        view=view,
        settings=TrainSettings(epochs=epochs, batch_size=8, optimizer=optimizer, **settings),
        seed=3,
    )


def feed_of(view: str = "shared", source: TextData | None = None) -> TextFeed:
    feed = trainee(source, view=view).feed
    assert isinstance(feed, TextFeed)
    return feed


def test_an_epoch_may_begin_at_any_batch() -> None:
    feed = feed_of("own")
    whole = list(feed.batches(1))
    assert len(whole) == feed.steps == 6 and feed.examples == 42
    for start in (1, 5):
        rest = list(feed.batches(1, start))
        assert len(rest) == 6 - start
        for one, other in zip(whole[start:], rest, strict=True):
            assert one.indices.equal(other.indices) and one.targets.equal(other.targets)  # type: ignore[union-attr]
            assert all(one.inputs[key].equal(other.inputs[key]) for key in one.inputs)
            assert all(one.views["teacher"][key].equal(other.views["teacher"][key]) for key in one.inputs)
    assert not all(one.indices.equal(two.indices) for one, two in zip(whole, feed.batches(2), strict=True))


def test_views_change_the_teachers_texts_and_not_the_students() -> None:
    shared, clean, own = (list(feed_of(view).batches(0)) for view in ("shared", "clean", "own"))
    source = texts_of(42)
    for at, batch in enumerate(shared):
        assert not batch.views and batch.inputs["input_ids"].shape == batch.inputs["attention_mask"].shape
        for other in (clean[at], own[at]):
            assert other.inputs["input_ids"].equal(batch.inputs["input_ids"])
        assert clean[at].views["teacher"]["input_ids"].equal(source.batch(batch.indices)["input_ids"])
    assert any(
        not one.views["teacher"]["input_ids"].equal(two.views["teacher"]["input_ids"])
        for one, two in zip(own, clean, strict=True)
    )


def test_tokenizers_of_their_own_see_the_same_texts() -> None:
    source = texts_of(42, other=True)
    with pytest.raises(InputError, match='view must be "clean" or "own"'):
        feed_of("shared", source)
    for batch in feed_of("clean", source).batches(0):
        teacher = source.for_role("teacher").batch(batch.indices)
        assert batch.views["teacher"].keys() == teacher.keys() == {"input_ids", "attention_mask"}
        assert batch.views["teacher"]["input_ids"].equal(teacher["input_ids"])
    assert trainee(source, view="own").run_epoch() is not None


@pytest.mark.parametrize("pause_at", [1, 4])
def test_a_training_that_is_resumed_has_the_same_bytes(pause_at: int) -> None:
    whole = trainee(view="own")
    records = whole.run_epochs(0, 4)
    first = trainee(view="own")
    assert first.run_epochs(0, 2) == records[:2]
    steps = iter(range(100))
    assert first.run_epoch(pause=lambda: next(steps) >= pause_at - 1) is None
    second = trainee(view="own")
    second.load_state_dict(first.state_dict())
    assert second.step == pause_at
    assert second.run_epochs(2, 4) == records[2:]
    assert all(one.equal(two) for one, two in zip(whole.student.parameters(), second.student.parameters(), strict=True))


def test_it_learns_and_padding_changes_nothing() -> None:
    training = trainee(epochs=12)
    source = texts_of(40, seed=7)
    before = evaluate(training.model, source, torch.arange(40), None)
    training.set_augmentation(Schedule.constant(build_schedule("none").at(0)))
    training.run_epochs(0, 12)
    after = evaluate(training.model, source, torch.arange(40), None)
    assert before.accuracy < 0.8 < after.accuracy
    single = evaluate(training.model, source, torch.arange(40), None, batch_size=1)
    assert single.values == pytest.approx(after.values, abs=1e-6)


def test_what_means_nothing_for_texts_is_refused() -> None:
    training = trainee()
    given = {"augmentation": schedule(), "view": "shared", "seed": 0, "teacher_augmentation": None}
    where = training.distiller, texts_of(8), torch.arange(8)
    with pytest.raises(InputError, match="mixing must be left out for texts"):
        source_feed_of(*where, TrainSettings(), device=torch.device("cpu"), mixing=object(), **given)
    with pytest.raises(InputError, match="channels_last must be false for texts"):
        source_feed_of(*where, TrainSettings(channels_last=True), device=torch.device("cpu"), **given)
    with pytest.raises(InputError, match="must not be mixed"):
        training.mixing = Mixing.__new__(Mixing)
    with pytest.raises(InputError, match="ops must be of tokens"):
        training.set_augmentation(build_schedule("randaugment"))
        training.run_epoch()


def test_batches_by_length_hold_every_text_once_with_less_padding_in_an_order_of_their_own() -> None:
    lengths = torch.randint(3, 60, (1000,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(1))
    found = by_length(order, lengths, 16, torch.Generator().manual_seed(2))
    assert sorted(found.tolist()) == list(range(1000))

    def padded(rows: torch.Tensor) -> int:
        return sum(int(lengths[part].max()) * len(part) for part in rows.split(16))

    needed = int(lengths.sum())
    assert padded(found) < 1.06 * needed < 1.5 * needed < padded(order)
    # The last batch, which is smaller, stays the last; the others come in no order of length.
    assert lengths[found[-8:]].diff().min() >= 0
    means = torch.stack([lengths[part].float().mean() for part in found[:992].split(16)])
    assert abs(float(torch.corrcoef(torch.stack([means, torch.arange(62.0)]))[0, 1])) < 0.4


def test_a_training_by_length_sees_other_batches_and_begins_anywhere() -> None:
    source = replace(texts_of(42), by_length=True)
    feed, plain = feed_of("own", source), feed_of("own")
    whole = list(feed.batches(1))
    rows = [torch.cat([batch.indices for batch in some]) for some in (whole, list(plain.batches(1)))]
    assert not torch.equal(*rows) and sorted(rows[0].tolist()) == sorted(rows[1].tolist())
    assert torch.equal(next(feed.batches(1, 4)).inputs["input_ids"], whole[4].inputs["input_ids"])


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    own_texts: Any = importlib.import_module("own_texts")
    threads = torch.get_num_threads()
    try:
        found = own_texts.main(train_texts=80, labelled=20, steps=3, test_texts=40)
    finally:
        torch.set_num_threads(threads)
    assert list(found) == ["teacher", "student alone", "student distilled"]
    assert all(0 <= value <= 1 for value in found.values())
    assert "student distilled: " in capsys.readouterr().out
    texts, targets = own_texts.sentences(200, 3)
    ids, mask = texts["input_ids"], texts["attention_mask"]
    # What is for and against, with what is turned round by the word before it.
    for row in range(len(ids)):
        words = ids[row, : int(mask[row].sum())].tolist()
        worth = [(2 <= word < 26) - (26 <= word < 50) for word in words]
        total = sum(-one if at and words[at - 1] in own_texts.NOT else one for at, one in enumerate(worth))
        assert total and int(targets[row]) == (total > 0)
