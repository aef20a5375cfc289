"""Evolved generators: losses, cloned optimisers, crossover, selection, and how samples are judged, each by itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rolewise.errors import InputError, Interrupted
from rolewise.instruments.sample_coverage import modes_reached, precision_and_coverage
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.ce_gan import gan_system
from rolewise.systems.ce_gan.gan_system import CE_GAN, METHODS, GanSettings, evolution_of
from rolewise.systems.ce_gan.sample_data import ring_of_gaussians
from rolewise.systems.known_systems import system_settings
from rolewise.train.generator_evolution import Course, Evolution, critic_loss, diversity, ranked_by
from rolewise.train.generator_genome import MUTATIONS, Genome, crossed, picked_samples

QUIET = JobContext(lambda line: None, lambda: False)
FEW = GanSettings(data=("ring",), generations=3, hidden=8, batch_size=8, evaluated=16)
RING = ring_of_gaussians(4, 2.0, 0.1, 0)


def network(seed: int, outputs: int = 2) -> nn.Module:
    made = nn.Sequential(nn.Linear(2, 5), nn.LeakyReLU(0.2), nn.Linear(5, outputs))
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))
    return made


def noise(seed: int, count: int = 6) -> torch.Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


def weights_of(one: nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in one.parameters()])


def evolution(course: Course, seed: int = 0) -> Evolution:
    return evolution_of(course, RING, FEW, seed, is_ring=True)


def test_the_losses_of_mutations_against_numpy() -> None:
    logits = torch.tensor([-2.0, 0.0, 0.7, 3.0], dtype=torch.float64)
    known = 1 / (1 + np.exp(-logits.numpy()))
    assert float(MUTATIONS["nsgan"](logits)) == pytest.approx(-np.log(known).mean(), rel=1e-12)
    assert float(MUTATIONS["vanilla"](logits)) == pytest.approx(np.log(1 - known).mean(), rel=1e-12)
    assert float(MUTATIONS["lsgan"](logits)) == pytest.approx(((logits.numpy() - 1) ** 2).mean(), rel=1e-12)
    real, made = noise(0), noise(1)
    critic = network(2, outputs=1)
    with torch.no_grad():
        expected = F.binary_cross_entropy_with_logits(critic(real), torch.ones(6, 1))
        expected = expected + F.binary_cross_entropy_with_logits(critic(made), torch.zeros(6, 1))
        assert float(critic_loss(critic, real, made)) == pytest.approx(float(expected), rel=1e-5)


def test_a_clone_goes_on_as_its_original_would_have() -> None:
    """The optimiser's state is cloned with the weights: a step of the clone is the next step of an ordinary Adam."""

    def loss(samples: torch.Tensor) -> torch.Tensor:
        return samples.square().mean()

    parent, child = Genome(network(0), 0.01), Genome(network(1), 0.01)
    plain = network(0)
    adam = torch.optim.Adam(plain.parameters(), lr=0.01, betas=(0.5, 0.999))
    for step in range(3):
        adam.zero_grad()
        loss(plain(noise(step))).backward()
        adam.step()
        if step < 2:
            parent.step(loss, noise(step))
    before = weights_of(parent.network).clone()
    child.take(parent).step(loss, noise(2))
    assert torch.equal(weights_of(child.network), weights_of(plain))
    assert torch.equal(weights_of(parent.network), before)
    assert all(float(state["step"]) == 2 for state in parent.optimizer.state.values())


def test_of_each_noise_the_sample_is_picked_that_the_critic_prefers() -> None:
    first, second, critic, drawn = network(0), network(1), network(2, outputs=1), noise(3, 40)
    with torch.no_grad():
        rows = [
            (a if float(critic(a[None])) > float(critic(b[None])) else b)
            for a, b in zip(first(drawn), second(drawn), strict=True)
        ]
        scores = [critic(one(drawn)).squeeze(1) for one in (first, second)]
    found = picked_samples(first, second, critic, drawn)
    assert torch.allclose(found, torch.stack(rows), atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(critic(found).squeeze(1), torch.maximum(*scores), atol=1e-5)


def test_the_offspring_of_two_equal_parents_is_their_clone() -> None:
    first, second = Genome(network(0), 0.01), Genome(network(0), 0.01)
    child = crossed(Genome(network(5), 0.01), first, second, network(2, outputs=1), noise(3))
    assert torch.equal(weights_of(child.network), weights_of(first.network))


def test_crossover_is_one_step_from_the_fitter_parent_towards_the_picked_samples() -> None:
    first, second, critic, drawn = Genome(network(0), 0.01), Genome(network(1), 0.01), network(2, outputs=1), noise(3)
    wanted = picked_samples(first.network, second.network, critic, drawn)
    plain = network(0)
    adam = torch.optim.Adam(plain.parameters(), lr=0.01, betas=(0.5, 0.999))
    F.mse_loss(plain(drawn), wanted).backward()
    adam.step()
    child = crossed(Genome(network(9), 0.01), first, second, critic, drawn)
    assert torch.equal(weights_of(child.network), weights_of(plain))
    with torch.no_grad():
        assert F.mse_loss(child.network(drawn), wanted) < F.mse_loss(first.network(drawn), wanted)


def test_one_mutation_without_crossover_is_a_plain_gan() -> None:
    found = evolution(Course(("nsgan",)))
    again = evolution(Course(("nsgan",)))
    plain, critic = again.survivor.network, again.critic
    adam = torch.optim.Adam(plain.parameters(), lr=FEW.rate, betas=(0.5, 0.999))
    for _ in range(3):
        found.run_generation()
        adam.zero_grad()
        F.softplus(-critic(plain(again._noise("mutation", 8)))).mean().backward()
        adam.step()
        again._step_of_critic()
    assert torch.equal(weights_of(found.survivor.network), weights_of(plain))
    assert torch.equal(weights_of(found.critic), weights_of(critic))


def test_the_fittest_survives_and_the_fitness_is_that_of_the_method() -> None:
    genomes: list[Any] = ["a", "b", "c"]
    assert ranked_by(genomes, [1.0, 3.0, 3.0]) == ["b", "c", "a"]
    made, drawn = evolution(Course(("nsgan", "lsgan"))), noise(4, 16)
    with torch.no_grad():
        samples = made.survivor.network(drawn)
        logits = made.critic(samples)[:, 0]
    assert made.fitness(made.survivor, drawn) == pytest.approx(float(logits.mean()), rel=1e-6)
    made.course = Course(("nsgan",), fitness="diversity", weight=0.5)
    assert made.fitness(made.survivor, drawn) == pytest.approx(float(logits.mean()) + 0.5 * diversity(samples))
    made.course = Course(("nsgan",), fitness="gradient", weight=0.1)
    gradients = torch.autograd.grad(critic_loss(made.critic, made.real[:16], samples), list(made.critic.parameters()))
    norm = math.sqrt(sum(float(one.square().sum()) for one in gradients))
    assert made.fitness(made.survivor, drawn) == pytest.approx(
        float(logits.sigmoid().mean()) - 0.1 * math.log(norm), rel=1e-5
    )


def test_a_course_takes_the_steps_that_it_counts() -> None:
    made = evolution(METHODS["ce_gan"])
    for _ in range(4):
        made.run_generation()
    assert len(made.fit) == len(made.kept) == len(made.distances) == 4
    assert METHODS["gan, as many steps"].generations == 4
    assert {float(state["step"]) for state in made.survivor.optimizer.state.values()} <= {4.0, 5.0, 6.0, 7.0, 8.0}


def test_diversity_precision_coverage_and_modes_against_numpy() -> None:
    draws = np.random.default_rng(0)
    real, samples = draws.standard_normal((12, 3)), draws.standard_normal((9, 3))
    radii = [sorted(np.sqrt(((real - one) ** 2).sum(1)))[2] for one in real]
    inside = np.array([[np.sqrt(((a - b) ** 2).sum()) <= r for b in samples] for a, r in zip(real, radii, strict=True)])
    good, covered = precision_and_coverage(torch.tensor(real), torch.tensor(samples), 2)
    assert good.tolist() == inside.any(0).tolist() and covered == pytest.approx(inside.any(1).mean())
    apart = [np.sqrt(((a - b) ** 2).mean()) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j]
    assert diversity(torch.tensor(samples)) == pytest.approx(np.mean(apart))
    modes = torch.tensor([0, 0, 1, 1, 2, 2, 2, 2, 2, 2])
    fine = torch.tensor([True, True, True, False, False, False, True, True, True, True])
    assert modes_reached(modes, fine, 4, 0.2) == 2 and modes_reached(modes, fine, 4, 0.1) == 3


def test_the_ring_covers_itself() -> None:
    other = ring_of_gaussians(4, 2.0, 0.1, 1)
    good, covered = precision_and_coverage(RING.held_out, other.real, 5)
    assert covered > 0.95 and float(good.double().mean()) > 0.9
    assert modes_reached(RING.mode_of(other.real), good, 4, 0.01) == 4
    assert torch.bincount(RING.mode_of(RING.real)).tolist() == [1000] * 4


def test_a_short_run_repeats_and_hears_a_stop() -> None:
    first, second = (gan_system.gan_rows(Piece(0, {"data": "ring"}), FEW, QUIET) for _ in range(2))
    assert first == second and {row["method"] for row in first} >= set(METHODS)
    assert {side["method"] for claim in CE_GAN.claims for side in (claim.of, claim.against)} <= {
        row["method"] for row in first
    }
    with pytest.raises(Interrupted):
        gan_system.gan_rows(Piece(0, {"data": "ring"}), FEW, JobContext(lambda line: None, lambda: True))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["modes=1"], "modes must be at least 2, got 1: of a single mode none can be missed"),
        (["modes=40"], "modes that overlap cannot be counted"),
        (['data=["ring","ring"]'], "data must differ"),
        (["data=[]"], "data"),
    ],
)
def test_one_mode_and_settings_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["ce_gan"], settings)


def test_pictures_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLEWISE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="fashion"):
        system_settings(SYSTEMS["ce_gan"], ['data=["ring","fashion_mnist"]'])
