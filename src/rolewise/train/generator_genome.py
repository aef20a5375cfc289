"""A generator with the state of its optimiser: what is cloned, mutated and crossed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.batch import Batch, Context
from rolewise.train.generated_feed import NOISE
from rolewise.train.generator_objective import GeneratorObjective
from rolewise.train.step import Update, train_step

#: The generator's losses by the critic's logits [B] of its samples; each is one mutation.
MUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "nsgan": lambda logits: F.softplus(-logits).mean(),
    "vanilla": lambda logits: -F.softplus(logits).mean(),
    "lsgan": lambda logits: (logits - 1).square().mean(),
}


class Genome:
    """A generator and its Adam.

    Args:
        network: noise [B, Z] -> samples [B, D].
        learning_rate: of Adam, with the decays 0.5 and 0.999.
    """

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        self.network = network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999))

    @torch.no_grad()
    def take(self, other: Genome) -> Genome:
        """Becomes a clone of another genome, its optimiser's state included, and returns itself.

        Args:
            other: of the same layers; it is left as it is.
        """
        for own, copied in zip(self.network.parameters(), other.network.parameters(), strict=True):
            own.copy_(copied)
            known = other.optimizer.state.get(copied, {})
            self.optimizer.state[own] = {name: value.clone() for name, value in known.items()}
        return self

    def step(self, loss: Callable[[Tensor], Tensor], noise: Tensor) -> Genome:
        """Takes one step of Adam, and returns itself.

        Args:
            loss: of the samples of the noise.
            noise: [B, Z].
        """
        objective = GeneratorObjective(self.network, lambda samples: {"loss": loss(samples)}, {"loss": 1.0})
        train_step([Update(objective, self.optimizer)], Batch(noise, views={NOISE: noise}), Context())
        return self


@torch.no_grad()
def picked_samples(first: nn.Module, second: nn.Module, critic: nn.Module, noise: Tensor) -> Tensor:
    r"""Returns for each noise the sample of two generators that the critic scores higher; the second's where equal.

    .. math:: x^*(z) = G_a(z) \text{ if } D(G_a(z)) > D(G_b(z)) \text{ else } G_b(z)

    Source: the official code of Li et al. (2021).

    Args:
        first: G_a.
        second: G_b.
        critic: D, samples [B, D] -> logits [B, 1].
        noise: [B, Z].
    """
    mine, other = first(noise), second(noise)
    return torch.where(critic(mine) > critic(other), mine, other)


def crossed(child: Genome, fitter: Genome, other: Genome, critic: nn.Module, noise: Tensor) -> Genome:
    """Makes a child of two parents: a clone of the fitter one after a step towards the samples that are picked of both.

    Source: the official code of Li et al. (2021).

    Args:
        child: it becomes the offspring, and is returned.
        fitter: the parent whose weights and optimiser it begins with.
        other: the other parent.
        critic: it picks the samples.
        noise: [B, Z].
    """
    wanted = picked_samples(fitter.network, other.network, critic, noise)
    return child.take(fitter).step(lambda samples: F.mse_loss(samples, wanted), noise)
