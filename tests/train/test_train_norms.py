"""The gradients' norms beside a step: what they are, and that they change nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from train_toys import SPEC, batch, data, trainee, weights

from rolewise.batch import Context
from rolewise.distill import Distiller, Terms, configure
from rolewise.models import build
from rolewise.quant import quantise
from rolewise.train import Mixing, StepRule, Update, fit, train_step
from rolewise.train.gradients import GradientNorms, GradientProbe, gradient_norms, measured_epochs


def distiller(low: bool = False, **settings) -> Distiller:
    student = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    teacher = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8])
    # The attention's estimator moves nothing of the student.
    methods = [configure("kd", weight=2.0), configure("fitnets", weight=50.0), configure("mhgd", weight=0.3)]
    inputs = {"student_input": SPEC, "teacher_input": SPEC}
    student = quantise(student, 2) if low else student
    return Distiller(teacher, student, methods, example=data().images[:2], **inputs, **settings).train()


def measured(share: float | None = None, *, scaler: torch.amp.GradScaler | None = None, **settings) -> GradientNorms:
    made, source = distiller(**settings), data()
    terms = made(source.images[:16], source.labels[:16])
    before = torch.get_rng_state()
    found = gradient_norms(terms, list(made.student.parameters()), scaler=scaler, gradient_ratio=share)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.grad is None for weight in made.parameters())
    terms.total.backward()  # the graph is still there
    return found


def by_hand(name: str, weight: float) -> list[np.ndarray]:
    """The gradient of one term, of a network of its own that went forward and back once."""
    made, source = distiller(), data()
    made(source.images[:16], source.labels[:16]).parts[name].backward()
    return [
        np.zeros(weights.shape) if weights.grad is None else weight * weights.grad.double().numpy()
        for weights in made.student.parameters()
    ]


def norm(gradients: list[np.ndarray]) -> float:
    return math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))


def test_norms_are_those_of_separate_passes_times_the_weights() -> None:
    found = measured(label_weight=0.5).to_json()
    each = {"labels": by_hand("labels", 0.5), "kd": by_hand("kd", 2.0)}
    each |= {"fitnets": by_hand("fitnets", 50.0), "mhgd": by_hand("mhgd", 0.3)}
    assert found["terms"] == {name: pytest.approx(norm(gradients), rel=1e-5) for name, gradients in each.items()}
    together = [sum(parts) for parts in zip(*(each[name] for name in ("kd", "fitnets", "mhgd")), strict=True)]
    assert found["distillation"] == pytest.approx(norm(together), rel=1e-5)
    assert "left" not in found


@pytest.mark.parametrize("share", [0.5, 0.05, 1e20])
def test_what_the_bound_leaves_is_what_it_leaves_tensor_by_tensor(share: float) -> None:
    labels = by_hand("labels", 1.0)
    methods = [by_hand("kd", 2.0), by_hand("fitnets", 50.0), by_hand("mhgd", 0.3)]
    kept, whole = 0.0, 0.0
    for task, *parts in zip(labels, *methods, strict=True):
        size = float(np.linalg.norm(sum(parts)))
        whole += size**2
        kept += min(size, share * float(np.linalg.norm(task))) ** 2
    expected = math.sqrt(kept / whole)
    assert measured(share).to_json()["left"] == pytest.approx(expected, rel=1e-4)
    assert (expected < 0.9) == (share < 1)


def test_a_term_without_weight_is_not_measured() -> None:
    assert set(measured(label_weight=0.0).to_json()["terms"]) == {"kd", "fitnets", "mhgd"}


def test_scaled_gradients_are_scaled_back_and_what_overflows_is_left_open() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    plain, scaled = measured(0.5).to_json(), measured(0.5, scaler=scaler).to_json()
    assert scaled["terms"] == {name: pytest.approx(value, rel=1e-4) for name, value in plain["terms"].items()}
    for key in ("distillation", "left"):
        assert scaled[key] == pytest.approx(plain[key], rel=1e-4)
    weight = torch.nn.Parameter(torch.ones(2))
    terms = Terms(weight.sum(), {"labels": weight.sum() * math.inf}, torch.zeros(1, 3), weights={"labels": 1.0})
    assert gradient_norms(terms, [weight]).to_json() == {"terms": {"labels": None}}


STEPS = [
    {},
    {"gradient_ratio": 0.5},
    {"clip_norm": 0.1},
    {"precision": "bfloat16"},
    {"scaler": True},
    {"scaler": True, "gradient_ratio": 0.5},
]


@pytest.mark.parametrize("settings", STEPS, ids=lambda settings: "-".join(settings) or "plain")
@pytest.mark.parametrize("low", [False, True], ids=["float", "low"])
def test_measuring_changes_no_bit_of_the_steps(low: bool, settings: dict) -> None:
    kept = []
    for wanted in (False, True):
        made = distiller(low)
        updates = [Update(made, torch.optim.Adam(made.trainable_parameters(), lr=0.01))]
        own = (
            {**settings, "scaler": torch.amp.GradScaler("cpu", init_scale=1024.0)} if "scaler" in settings else settings
        )
        for at in range(0, 48, 16):
            probe = GradientProbe(list(made.student.parameters())) if wanted else None
            train_step(updates, batch(at), Context(), StepRule(probe=probe, **own))
            assert probe is None or probe.norms is not None
        kept.append(torch.cat([tensor.double().flatten() for tensor in made.state_dict().values()]))
    assert torch.equal(*kept)


@pytest.mark.parametrize(
    "settings",
    [{}, {"ema": 0.9}, {"distill_gradient": "limited"}, {"channels_last": True}, {"view": "own"}],
    ids=lambda settings: next(iter(settings), "plain"),
)
def test_a_training_and_its_record_stay_the_same_but_for_the_field(settings: dict) -> None:
    plain, watched = trainee("adam", **settings), trainee("adam", **settings)
    expected, records = plain.run_epochs(0, 3), watched.run_epochs(0, 3, measured={0, 2})
    assert torch.equal(weights(plain), weights(watched))
    assert torch.equal(*(made.model.state_dict()["fc.weight"] for made in (plain, watched)))
    fields = [record.pop("gradients", None) for record in records]
    assert records == expected and [field is not None for field in fields] == [True, False, True]
    for field in (fields[0], fields[2]):
        assert set(field["terms"]) == {"labels", "kd", "fitnets"}
        assert ("left" in field) == ("distill_gradient" in settings)
    # Resumed in between, the same field.
    first, second = trainee("adam", **settings), trainee("adam", **settings)
    first.run_epochs(0, 2)
    second.load_state_dict(first.state_dict())
    assert second.run_epochs(2, 3, measured={0, 2})[0]["gradients"] == fields[2]


def test_mixed_images_are_measured_too_and_stay_the_same() -> None:
    plain, watched = trainee("adam"), trainee("adam")
    plain.mixing = watched.mixing = Mixing()
    plain.run_epochs(0, 2)
    records = watched.run_epochs(0, 2, measured={1})
    assert torch.equal(weights(plain), weights(watched))
    assert set(records[1]["gradients"]["terms"]) == {"labels", "kd", "fitnets"} and records[1]["mixed_share"] > 0


def test_a_fit_measures_some_epochs_and_only_where_there_are_methods(tmp_path: Path) -> None:
    def fields(name: str, **settings) -> list[bool]:
        made = trainee(epochs=12, **settings)
        fit(made, tmp_path / name, measurements=0 if name == "off" else 20)
        lines = (tmp_path / name / "record.jsonl").read_text().splitlines()
        return ["gradients" in json.loads(line) for line in lines]

    assert [epoch for epoch, there in enumerate(fields("distilled")) if there] == [0, 4, 7, 11]
    assert not any(fields("labels", distilled=False)) and not any(fields("off"))
    one, other = (tmp_path / name / "weights.safetensors" for name in ("distilled", "off"))
    assert one.read_bytes() == other.read_bytes()


def test_epochs_are_spread_evenly_and_as_many_as_they_may_cost() -> None:
    assert sorted(measured_epochs(300, 100, 2)) == [round(index * 299 / 19) for index in range(20)]
    # 400 steps: 8 measurements of two passes each, of which none takes more than half a step, are 2% of them.
    assert len(measured_epochs(20, 20, 2)) == 8 and len(measured_epochs(20, 20, 4)) == 4
    assert measured_epochs(3, 1, 2) == {0, 1, 2} and measured_epochs(1, 9, 2) == {0}
    assert measured_epochs(20, 20, 2, 1) == {0} and measured_epochs(20, 20, 2, 0) == frozenset()
    for epochs in range(1, 60):
        found = measured_epochs(epochs, 50, 2)
        assert {0, epochs - 1} <= found <= set(range(epochs)) and len(found) == min(20, epochs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::torch")
def test_compiled_networks_keep_what_a_second_pass_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    source = data()

    def gradient(backend: str, passes: int) -> Tensor:
        made = distiller()
        made.compile_networks(backend=backend)
        terms = made(source.images[:16], source.labels[:16])
        for _ in range(passes):
            gradient_norms(terms, list(made.student.parameters()))
        terms.total.backward()
        return torch.cat([weight.grad.flatten() for weight in made.student.parameters()])

    # Torch as it is by itself: its graphs give their buffers away, and it keeps them on disk.
    monkeypatch.setattr("torch._functorch.config.donated_buffer", True)
    monkeypatch.setattr("torch.compiler.config.cache_key_tag", "")
    careless = distiller()
    careless.student.compile()
    careless(source.images[:16], source.labels[:16]).total.backward()
    torch._dynamo.reset()
    once = gradient("inductor", 0)
    torch._dynamo.reset()
    assert torch.equal(gradient("inductor", 2), once)
    torch.testing.assert_close(gradient("eager", 0), once, rtol=1e-4, atol=1e-6)
