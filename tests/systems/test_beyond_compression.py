"""Hard training sets, the nine methods by their terms, probes of new classes, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rolewise.distill import METHODS as REGISTERED
from rolewise.errors import InputError, Interrupted
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.seeds import generator
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.beyond_compression import beyond_system
from rolewise.systems.beyond_compression.beyond_system import (
    BEYOND_COMPRESSION,
    METHODS,
    NINE,
    BeyondSettings,
    beyond_rows,
    known_examples,
    probed,
    taught,
)
from rolewise.systems.beyond_compression.hard_data import of_classes, with_uneven_classes, with_wrong_labels
from rolewise.systems.digit_bench import digit_bench, small_network, trained
from rolewise.systems.known_systems import system_settings

QUIET = JobContext(lambda line: None, lambda: False)
EXAMPLES = torch.arange(200.0)[:, None], torch.arange(200) % 10


def weights_of(one: nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in one.parameters()])


@pytest.mark.parametrize("share", [0.4, 0.25])
def test_exactly_a_share_of_the_labels_is_wrong_and_every_other_class_is_as_likely(share: float) -> None:
    labels = torch.arange(10_000) % 10
    inputs, noisy = with_wrong_labels((labels, labels), share, 10, generator(0, "wrong"))
    wrong = noisy != labels
    assert torch.equal(inputs, labels) and int(wrong.sum()) == round(share * 10_000)
    counts = np.bincount(((noisy - labels) % 10)[wrong].numpy(), minlength=10)[1:]
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()
    assert torch.equal(with_wrong_labels((labels, labels), share, 10, generator(0, "wrong"))[1], noisy)


def test_uneven_classes_follow_their_law_by_hand() -> None:
    inputs, labels = with_uneven_classes(EXAMPLES, 0.1, 10)
    assert torch.bincount(labels).tolist() == [round(20 * 0.1 ** (k / 9)) for k in range(10)]
    assert torch.equal(inputs[:, 0].long() % 10, labels)
    assert torch.bincount(with_uneven_classes(EXAMPLES, 0.001, 10)[1]).min() == 1


def test_classes_are_chosen_and_conditions_are_what_they_say() -> None:
    inputs, labels = of_classes(EXAMPLES, 5, 9)
    assert sorted(set(labels.tolist())) == [5, 6, 7, 8, 9] and torch.equal(inputs[:, 0].long() % 10, labels)
    settings = BeyondSettings(wrong=0.5)
    assert known_examples("clean", EXAMPLES, settings, 0) is EXAMPLES
    assert int((known_examples("wrong labels", EXAMPLES, settings, 0)[1] != EXAMPLES[1]).sum()) == 100
    assert known_examples("new classes", EXAMPLES, settings, 0)[1].max() == 4


def test_there_are_nine_methods_and_all_of_them_are_registered() -> None:
    assert len(NINE) == 9 and set(METHODS) == {"labels", *NINE}
    names = {section.get("method", section["name"]) for sections, _ in METHODS.values() for section in sections}
    assert names <= set(REGISTERED)
    assert {claim.metric for claim in BEYOND_COMPRESSION.claims} == {"accuracy", "corrupted_accuracy"}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_the_student_in_its_own_way(name: str) -> None:
    bench = digit_bench(0, 50)
    plain, found = (
        taught(one, small_network(0, "teacher", widths=(32, 64)), bench.few, 2, 0, QUIET) for one in ("labels", name)
    )
    assert weights_of(found).isfinite().all() and found(bench.test[0][:3]).shape == (3, 10)
    if name == "labels":
        alone = trained(small_network(0, "student", widths=(16, 32)), bench.few, 2, QUIET, seed=0)
        assert torch.allclose(weights_of(found), weights_of(alone), atol=1e-6)
    elif name != "one":
        assert not torch.allclose(weights_of(found), weights_of(plain), atol=1e-5)


def test_a_probe_learns_new_classes_of_features_that_hold_them_and_of_no_others() -> None:
    class Told(nn.Module):
        """Features that hold the class, or none of it."""

        def __init__(self, num_classes: int, knows: bool) -> None:
            super().__init__()
            self.knows, self.fc = knows, nn.Linear(num_classes, num_classes)
            self.pool = nn.Identity()
            self.taps = {"penultimate": "pool", "logits": "fc"}

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            held = torch.nn.functional.one_hot(images.flatten(1)[:, 0].long(), 10).float()
            found: torch.Tensor = self.fc(self.pool(held if self.knows else torch.zeros_like(held)))
            return found

    examples = (torch.arange(200) % 10).float().reshape(200, 1, 1, 1).expand(-1, 1, 2, 2), torch.arange(200) % 10
    scores = [
        probed(build(Told, num_classes=10, seed=0, knows=knows), examples, (examples,), 20, 0, QUIET)[0]
        for knows in (True, False)
    ]
    assert scores[0] == 1.0 and scores[1] == pytest.approx(0.2)


def test_a_short_run_repeats_and_hears_a_stop() -> None:
    few = BeyondSettings(images=60, epochs=1, teacher_epochs=1, probe_epochs=1, methods=("labels", "kd"))
    piece = Piece(0, {"condition": "new classes"})
    first, second = (beyond_rows(piece, few, QUIET) for _ in range(2))
    assert first == second and [row["method"] for row in first] == ["labels", "kd"]
    assert all(0 <= row[key] <= 1 for row in first for key in ("accuracy", "corrupted_accuracy"))
    with pytest.raises(Interrupted):
        beyond_rows(piece, few, JobContext(lambda line: None, lambda: True))
    names = [one.name for one in beyond_system.beyond_pieces(few)]
    assert len(names) == 12 and names[3] == "seed0-wrong_labels"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (['methods=["kd","bss"]'], "methods must have labels"),
        (['methods=["labels","labels"]'], "methods must differ"),
        (['conditions=["clean","clean"]'], "conditions must differ"),
        (["wrong=1"], "wrong"),
        (["least=0"], "least"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["beyond_compression"], settings)
