"""What studies measure: columns against the formulas and the instruments, and what a measurement may ask for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments import (
    corruption_accuracy,
    dispersion,
    linearity_gap,
    pgd,
    predict,
)
from rolewise.instruments.measure_call import OFFERED, call_measure, measure_settings
from rolewise.instruments.measurements import MEASURES, measure_faults
from rolewise.statistics.columns import COLUMNS, column_of
from rolewise.tasks import METRICS, TASKS

SPEC = InputSpec((0.4,), (0.3,))
OTHER = InputSpec((0.0,), (1.0,))


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Network(nn.Module):
    """Two layers, the first of which can be tapped."""

    taps = {"penultimate": "first"}

    def __init__(self, seed: int, classes: int = 4) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU())
            self.last = nn.Linear(12, classes)

    def forward(self, images: Tensor) -> Tensor:
        return 3 * self.last(self.first(images))


class Small(Network):
    """The same answers, a fifth as loud."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / 5


LEVELS = torch.randint(256, (40, 1, 8, 8), generator=stream(1)).to(torch.uint8)
LABELS = torch.arange(40) % 4
HELD = torch.randint(256, (24, 1, 8, 8), generator=stream(2)).to(torch.uint8)


def given(spec: InputSpec = SPEC, images: Tensor = LEVELS) -> list[tuple[Tensor, Tensor]]:
    labels = torch.arange(len(images)) % 4
    return list(zip(prepare(images, spec).split(16), labels.split(16), strict=True))


def offered(seed: int = 0) -> dict:
    pixels = list(zip(LEVELS.split(16), LABELS.split(16), strict=True))
    return {
        "validation": lambda: given(images=HELD),
        "teacher": lambda: Network(7),
        "teacher_batches": lambda: given(OTHER),
        "pixels": lambda: pixels,
        "spec": lambda: SPEC,
        "generator": lambda: stream(seed),
    }


def columns(name: str, seed: int = 0, **settings: object) -> dict[str, float | None]:
    return call_measure(MEASURES[name], Network(3), given(), offered(seed), settings)


def probabilities(logits: Tensor) -> np.ndarray:
    rows = np.exp(logits.double().numpy() - logits.double().numpy().max(1, keepdims=True))
    return rows / rows.sum(1, keepdims=True)


def test_calibration_by_hand_for_each_head() -> None:
    found = columns("calibration", bins=5)
    logits, labels = predict(Network(3), given())
    raw = logits.double().numpy()
    temperature = found["fitted_temperature"]
    assert temperature is not None
    held = predict(Network(3), given(images=HELD)).logits.double().numpy()

    def nll(scale: float) -> float:
        p = probabilities(torch.from_numpy(held / scale))
        return float(-np.log(p[np.arange(24), np.arange(24) % 4]).mean())

    # Fitted on the validation images and on no others: no temperature near it is better there.
    assert nll(temperature) <= min(nll(temperature * factor) for factor in (0.9, 0.99, 1.01, 1.1))
    logit_scales = {
        "": raw,
        "_standardised": raw / raw.std(1, ddof=1, keepdims=True),
        "_at_temperature": raw / temperature,
    }
    for name, read in logit_scales.items():
        p = probabilities(torch.from_numpy(read))
        truth = np.eye(4)[labels.numpy()]
        top, hit = p.max(1), p.argmax(1) == labels.numpy()
        inside = np.ceil(top * 5).astype(int)
        gaps = [abs(hit[inside == m].mean() - top[inside == m].mean()) * (inside == m).mean() for m in set(inside)]
        assert found[f"nll{name}"] == pytest.approx(-np.log((p * truth).sum(1)).mean(), abs=1e-6)
        assert found[f"brier{name}"] == pytest.approx(((p - truth) ** 2).sum(1).mean(), abs=1e-6)
        assert found[f"ece{name}"] == pytest.approx(sum(gaps), abs=1e-6)


def test_smoothness_has_the_same_pairs_for_both_heads_and_its_own_seed() -> None:
    found = columns("smoothness", 5)
    p = probabilities(predict(Network(3), given()).logits)
    assert found["entropy"] == pytest.approx(-(p * np.log(p)).sum(1).mean(), abs=1e-6)
    for logit_scale, name in (("raw", ""), ("standardised", "_standardised")):
        gap = linearity_gap(Network(3), given(), generator=stream(5), logit_scale=logit_scale)
        assert found[f"linearity_gap{name}"] == gap.mean
    # Neither number hangs on the size of the logits at the fitted temperature, which takes it away; as it is both do.
    temperature = columns("calibration")["fitted_temperature"] or 0.0
    p = probabilities(predict(Network(3), given()).logits.double() / temperature)
    assert found["entropy_at_temperature"] == pytest.approx(-(p * np.log(p)).sum(1).mean(), abs=1e-5)
    small = call_measure(MEASURES["smoothness"], Small(3), given(), offered(5))
    for column in ("entropy", "linearity_gap"):
        assert small[f"{column}_at_temperature"] == pytest.approx(found[f"{column}_at_temperature"], rel=1e-3)
        assert small[column] != pytest.approx(found[column], rel=0.1)
    assert columns("smoothness", 5) == found != columns("smoothness", 6)


def test_a_fitted_temperature_takes_any_size_of_the_logits_away() -> None:
    class Faint(Network):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) / 5000

    for name in ("calibration", "smoothness", "fidelity"):
        found, faint = columns(name), call_measure(MEASURES[name], Faint(3), given(), offered())
        compared = [column for column in found if column.endswith("_at_temperature")]
        assert compared and all(faint[column] == pytest.approx(found[column], rel=1e-3) for column in compared)
    loud, quiet = columns("calibration"), call_measure(MEASURES["calibration"], Faint(3), given(), offered())
    assert 5000 * (quiet["fitted_temperature"] or 0) == pytest.approx(loud["fitted_temperature"], rel=1e-4)
    # Answers that are all the same have no size, and no temperature but 1.
    flat = call_measure(MEASURES["calibration"], Constant(), given(), offered())
    assert flat["fitted_temperature"] == 1 and flat["nll"] == pytest.approx(math.log(4))


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 4), 7.0)


def test_fidelity_asks_the_teacher_about_its_own_inputs() -> None:
    found = columns("fidelity")
    ours, theirs = predict(Network(3), given()).logits, predict(Network(7), given(OTHER)).logits
    p, q = probabilities(theirs), probabilities(ours)
    assert found["agreement"] == (p.argmax(1) == q.argmax(1)).mean()
    wrong = p.argmax(1) != LABELS.numpy()
    assert found["agreement_teacher_wrong"] == pytest.approx((p.argmax(1) == q.argmax(1))[wrong].mean())
    assert found["teacher_student_kl"] == pytest.approx((p * np.log(p / q)).sum(1).mean(), abs=1e-6)
    z, t = (one / one.std(1, keepdim=True) for one in (ours, theirs))
    p, q = probabilities(t), probabilities(z)
    assert found["teacher_student_kl_standardised"] == pytest.approx((p * np.log(p / q)).sum(1).mean(), abs=1e-6)
    temperature = columns("calibration")["fitted_temperature"] or 0.0
    q = probabilities(predict(Network(3), given()).logits.double() / temperature)
    p = probabilities(predict(Network(7), given(OTHER)).logits)
    assert found["teacher_student_kl_at_temperature"] == pytest.approx((p * np.log(p / q)).sum(1).mean(), abs=1e-6)
    sure = {**offered(), "teacher": lambda: Sure()}
    assert call_measure(MEASURES["fidelity"], Network(3), given(), sure)["agreement_teacher_wrong"] is None


class Sure(nn.Module):
    """Is right of every image: it knows the order in which they come."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        labels = (torch.arange(len(images)) + self.seen) % 4
        self.seen += len(images)
        return nn.functional.one_hot(labels, 4).float()


def test_robustness_is_of_pixels_and_of_the_weaker_head() -> None:
    model = Network(3)
    found = columns("robustness", radii=[4, 32.5], steps=3)
    assert len(found) == 2 * 2 * 3
    # FGSM by hand: one step of the loss's sign through the normalisation.
    pixels = (LEVELS.float() / 255).requires_grad_()
    right = model(prepare(LEVELS, SPEC)).argmax(1) == LABELS
    kept = {}
    for logit_scale in ("raw", "standardised"):
        logits = model((pixels - 0.4) / 0.3)
        read = logits if logit_scale == "raw" else logits / logits.std(1, keepdim=True)
        (slope,) = torch.autograd.grad(nn.functional.cross_entropy(read, LABELS, reduction="sum"), pixels)
        moved = (pixels + 32.5 / 255 * slope.sign()).clamp(0, 1)
        kept[logit_scale] = right & (model((moved - 0.4) / 0.3).argmax(1) == LABELS)
        assert found[f"fgsm_32.5_{logit_scale}_accuracy"] == pytest.approx(kept[logit_scale].double().mean())
    assert found["fgsm_32.5_accuracy"] == pytest.approx((kept["raw"] & kept["standardised"]).double().mean())
    for radius in (4, 32.5):
        worst, *logit_scales = (
            found[f"pgd_{radius:g}_{logit_scale}accuracy"] for logit_scale in ("", "raw_", "standardised_")
        )
        assert worst is not None
        assert all(one is not None and worst <= one <= float(right.double().mean()) for one in logit_scales)
    # A radius beside it changes nothing, and the number of steps is the one that was asked for.
    assert columns("robustness", radii=[4], steps=3).items() <= found.items()
    start = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=stream(0))))
    withstood = {logit_scale: [] for logit_scale in ("raw", "standardised")}
    for images, labels in offered()["pixels"]():
        for logit_scale, hits in withstood.items():
            moved = pgd(
                model, images, labels, epsilon=4 / 255, generator=start, steps=3, spec=SPEC, logit_scale=logit_scale
            )
            hits.append(model(prepare(moved, SPEC)).argmax(1) == labels)
    for logit_scale, hits in withstood.items():
        assert found[f"pgd_4_{logit_scale}_accuracy"] == pytest.approx((torch.cat(hits) & right).double().mean())


def test_corruptions_and_geometry_are_those_of_the_instruments() -> None:
    found = columns("corruptions", names=["gaussian_noise", "contrast"], strengths=[2, 5])
    table = corruption_accuracy(
        Network(3),
        offered()["pixels"](),
        generator=stream(0),
        names=["gaussian_noise", "contrast"],
        strengths=[2, 5],
        spec=SPEC,
    )
    assert found == {"corruption_accuracy": table.mean} and table.mean != table.clean
    features = Network(3).first(prepare(LEVELS, SPEC)).detach()
    spread = dispersion(features, LABELS)
    assert columns("geometry") == pytest.approx(
        {
            "dispersion_within": spread.within,
            "dispersion_between": spread.between,
            "dispersion_ratio": spread.ratio,
            "collapse": spread.collapse,
        }
    )

    class Flat(Network):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images * 0)

    flat = call_measure(MEASURES["geometry"], Flat(3), given(), {})
    assert flat["dispersion_between"] == 0 and flat["dispersion_ratio"] is None


def test_every_column_has_a_unit_and_none_is_made_twice() -> None:
    made = [column for name in MEASURES for column in columns(name)]
    assert len(made) == len(set(made)) and len(made) > 30
    assert all(column_of(column).unit for column in made)
    of_tasks = {info.key for name in TASKS for info in TASKS[name]().metrics}
    added = {info.key for name in METRICS for info in METRICS[name]().infos}
    assert set(COLUMNS) <= {*made, *of_tasks, *added}
    assert column_of("pgd_8_accuracy").leads and not column_of("pgd_8_raw_accuracy").leads
    assert column_of("my_accuracy").percent and not column_of("mine").percent and column_of("mine").leads


def test_a_measurement_gets_what_it_asks_for_by_name() -> None:
    seen: list = []

    def mine(model, batches, generator, *, factor: float = 2.0, teacher=None):
        seen.append((generator, factor, teacher))
        return {"mine": factor}

    assert call_measure(mine, Network(3), given(), {"generator": lambda: 5}) == {"mine": 2.0}
    assert call_measure(mine, Network(3), given(), offered(), {"factor": 3}) == {"mine": 3.0}
    assert seen[0] == (5, 2.0, None) and isinstance(seen[1][2], Network)
    assert measure_settings(mine) == {"factor": 2.0}
    # A parameter without default that nobody has leaves it out; what nobody offers is an error.
    without = {name: make for name, make in offered().items() if "teacher" not in name}
    assert call_measure(MEASURES["fidelity"], Network(3), given(), without) == {}
    assert call_measure(lambda m, b, **more: {"n": len(more)}, Network(3), given(), offered()) == {"n": 0}
    assert call_measure(lambda validation, b: {"n": 1}, Network(3), given(), offered()) == {"n": 1}
    with pytest.raises(InputError, match="must take arguments that are offered, got 'train'"):
        call_measure(lambda m, b, train: {}, Network(3), given(), offered())
    for name in ("factr", "teacher"):
        with pytest.raises(InputError, match="no such setting of the measurement"):
            call_measure(mine, Network(3), given(), offered(), {name: 1})
    assert set(offered()) == set(OFFERED)


@pytest.mark.parametrize(
    ("name", "settings", "part"),
    [
        ("robustness", {"radii": [4, 8], "steps": 5}, None),
        ("corruptions", {"names": ["fog"], "strengths": [1]}, None),
        ("geometry", {"tap": "stage2"}, None),
        ("a.b:c", {"whatever": 1}, None),
        ("robustnes", {}, 'did you mean "robustness"'),
        ("robustness", {"radius": [8]}, 'did you mean "radii"'),
        ("robustness", {"radii": 8}, "must be a list of at least one, got 8"),
        ("robustness", {"radii": []}, "must be a list of at least one"),
        ("robustness", {"radii": [8, 0]}, "must hold a positive number, got 0"),
        ("robustness", {"radii": [True]}, "must hold a positive number, got True"),
        ("robustness", {"radii": [math.inf]}, "must hold a positive number, got inf"),
        ("robustness", {"steps": 2.5}, "must be a positive whole number, got 2.5"),
        ("robustness", {"generator": 3}, "no such setting"),
        ("robustness", {"radii": [8, 300]}, "must hold radii in levels of 255, got 300"),
        ("robustness", {"radii": [0.5, 8]}, None),
        (
            "robustness",
            {"radii": [8 / 255]},
            "must hold a radius of at least one level of 255, got at most 0.0314; 8 is",
        ),
        ("corruptions", {"names": [3]}, "must hold text, got 3"),
        ("corruptions", {"names": ["fog", "fogg"]}, "must hold known corruptions, got 'fogg'; did you mean \"fog\"?"),
        ("corruptions", {"strengths": [1, 6]}, "must hold strengths from 1 to 5, got 6"),
        ("geometry", {"tap": 3}, "must be text, got 3"),
    ],
)
def test_faults_of_a_measurement_are_named(name: str, settings: dict, part: str | None) -> None:
    found = measure_faults(name, settings)
    assert (not found) if part is None else part in " ".join(found.values())
