"""Generators that evolve: mutation, evaluation, crossover, selection, and a step of the discriminator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.seeds import generator
from rolewise.train.generator_genome import MUTATIONS, Genome, crossed, picked_samples
from rolewise.train.generator_objective import still


@dataclass(frozen=True)
class Course:
    """A method of evolving a generator.

    Args:
        mutations: names of the losses, each of which gives a child.
        crossover: whether the two fittest children have an offspring.
        fitness: ``discriminator``: the critic's mean logit; ``diversity``: that and the samples' mean distance from
            one another; ``gradient``: the critic's mean probability less the logarithm of its gradient (E-GAN).
        weight: weight of the second part of the fitness.
        generations: factor of the number of generations.
    """

    mutations: tuple[str, ...]
    crossover: bool = False
    fitness: str = "discriminator"
    weight: float = 0.0
    generations: int = 1


@dataclass
class Evolution:
    """A generator and a discriminator under way.

    Args:
        course: the method.
        networks: makes a generator, the same one with every call.
        critic: samples [B, D] -> logits [B, 1].
        real: samples [N, D].
        learning_rate: of both Adams.
        batch_size: samples of a step.
        evaluated: samples that a fitness is measured on.
        noise: Z.
        seed: of all draws.
    """

    course: Course
    networks: Callable[[], nn.Module]
    critic: nn.Module
    real: Tensor
    learning_rate: float
    batch_size: int
    evaluated: int
    noise: int
    seed: int
    fit: list[bool] = field(init=False, default_factory=list)
    kept: list[bool] = field(init=False, default_factory=list)
    distances: list[tuple[float, float]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        def genome() -> Genome:
            return Genome(self.networks(), self.learning_rate)

        self.survivor, self._offspring = genome(), genome()
        self._children = [genome() for _ in self.course.mutations]
        self._optimizer = torch.optim.Adam(self.critic.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
        # Methods draw the same noise for the same purpose, whatever else each of them draws.
        purposes = ("mutation", "evaluation", "crossover", "fresh", "real")
        self._draws = {name: generator(self.seed, "evolution", name) for name in purposes}

    def run_generation(self) -> None:
        """Runs one generation: the survivor is replaced, and the discriminator takes a step."""
        with still(self.critic):
            best = self._best()
        self.survivor.take(best)
        self._step_of_critic()

    def _best(self) -> Genome:
        """Returns the fittest child or offspring."""
        noise = self._noise("mutation", self.batch_size)
        for child, name in zip(self._children, self.course.mutations, strict=True):
            loss = MUTATIONS[name]
            child.take(self.survivor).step(lambda samples, loss=loss: loss(self.critic(samples)[:, 0]), noise)  # type: ignore[misc]
        if len(self._children) == 1:
            return self._children[0]
        seen = self._noise("evaluation", self.evaluated)
        ranked = ranked_by(self._children, [self.fitness(child, seen) for child in self._children])
        if not self.course.crossover:
            return ranked[0]
        fitter, other = ranked[:2]
        noise = self._noise("crossover", self.batch_size)
        offspring = crossed(self._offspring, fitter, other, self.critic, noise)
        fresh = self._noise("fresh", self.evaluated)
        every = [*ranked, offspring]
        found = [self.fitness(one, fresh) for one in every]
        best = ranked_by(every, found)[0]
        self._note(fitter, other, fresh, found, best is offspring)
        return best

    def _note(self, fitter: Genome, other: Genome, fresh: Tensor, found: Sequence[float], kept: bool) -> None:
        self.fit.append(found[-1] >= max(found[:2]))
        self.kept.append(kept)
        wanted = picked_samples(fitter.network, other.network, self.critic, fresh)
        with torch.no_grad():
            own, before = (float(F.mse_loss(one.network(fresh), wanted)) for one in (self._offspring, fitter))
        self.distances.append((own, before))

    def fitness(self, genome: Genome, noise: Tensor) -> float:
        """Returns the fitness of a generator by the samples of some noise.

        Args:
            genome: the generator.
            noise: [B, Z].
        """
        with torch.no_grad():
            samples = genome.network(noise)
            logits = self.critic(samples)[:, 0]
        if self.course.fitness == "discriminator":
            return float(logits.mean())
        if self.course.fitness == "diversity":
            return float(logits.mean()) + self.course.weight * diversity(samples)
        return float(logits.sigmoid().mean()) - self.course.weight * self._log_gradient(samples)

    def _log_gradient(self, samples: Tensor) -> float:
        """Returns the logarithm of the norm of the discriminator's gradient on samples and as many real ones."""
        weights = list(self.critic.parameters())
        with torch.enable_grad():
            # The critic is still here: it is let go for its own gradient.
            for weight in weights:
                weight.requires_grad_(True)
            loss = critic_loss(self.critic, self.real[: len(samples)], samples)
            gradients = torch.autograd.grad(loss, weights)
            for weight in weights:
                weight.requires_grad_(False)
        return float(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt().log())

    def _step_of_critic(self) -> None:
        rows = torch.randint(len(self.real), (self.batch_size,), generator=self._draws["real"])
        with torch.no_grad():
            samples = self.survivor.network(self._noise("real", self.batch_size))
        self._optimizer.zero_grad()
        torch.autograd.backward(critic_loss(self.critic, self.real[rows], samples))
        self._optimizer.step()

    def _noise(self, purpose: str, count: int) -> Tensor:
        return torch.randn(count, self.noise, generator=self._draws[purpose])


def critic_loss(critic: nn.Module, real: Tensor, samples: Tensor) -> Tensor:
    """Returns the discriminator's loss: binary cross-entropy, real samples being 1 and generated ones 0.

    Args:
        critic: samples [B, D] -> logits [B, 1].
        real: [B, D].
        samples: [B, D].
    """
    return F.softplus(-critic(real)).mean() + F.softplus(critic(samples)).mean()


def diversity(samples: Tensor) -> float:
    """Returns the mean distance between two samples [B, D], as a root of the mean square over D."""
    count, width = samples.shape
    return float(torch.cdist(samples, samples).sum() / (count * (count - 1)) / width**0.5)


def ranked_by(genomes: Sequence[Genome], fitness: Sequence[float]) -> list[Genome]:
    """Returns genomes by their fitness, the fittest first; of equal ones the earlier first."""
    order = sorted(range(len(genomes)), key=lambda place: -fitness[place])
    return [genomes[place] for place in order]
