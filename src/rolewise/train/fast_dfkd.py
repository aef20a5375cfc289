"""FastDFKD: a generator that a few steps adapt to each batch of images, and a pool of what it made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rolewise.batch import Batch, Context
from rolewise.distill import Terms
from rolewise.distill.running import unmoved
from rolewise.errors import InputError
from rolewise.networks import device_of
from rolewise.train.given import check_count
from rolewise.train.inversion_judges import InversionJudges
from rolewise.train.moved_images import cropped_and_mirrored

_BETAS = (0.5, 0.999)


class FastDFKDObjective(nn.Module):
    r"""The loss of a generator from which few steps lead to images of given classes; a round of them for each call.

    A copy of the generator and the noise take ``inner_steps`` of Adam on

    .. math:: \mathcal{L} = w_l \mathrm{CE}(t, y) + w_s \mathcal{L}_{BN}
        + w_a \mathcal{L}_{adv}

    and the images of the lowest loss go into the pool. The generator's gradient is the sum of the copy's gradients over
    these steps (first-order MAML), so that the next copy begins nearer to its images.

    Its state is the generator, the pool and the running statistics; labels, noise, crops and mirrors are drawn from the
    context's step: state dict, optimiser and number of the step resume it exactly.

    Source: Fang et al. (2022), https://arxiv.org/abs/2112.06253, in the form of the authors' code; the weights are its
    for wide ResNets on CIFAR-100, with 10 inner steps (ResNet-34: ``labels`` 0.5 and ``adversarial`` 1.33). Its outer
    optimiser is Adam with betas (0.5, 0.999) and a rate of ``inner_rate`` times ``inner_steps``; the student has ``kd``
    of temperature 20, and 400 steps for each round.
    Differs from source: images are normalised, padded by 0 and kept unrounded; the student learns also while the first
    rounds are made; the pool holds the newest ``rounds``; the generator's first layer is not drawn anew after 120
    rounds.

    Args:
        generator: noise [B, Z] -> images [B, C, H, W], normalised.
        teacher: a classifier with batch norms that keep running statistics, judged in eval mode.
        student: the network that the images are made for, judged in eval mode.
        noise: Z.
        classes: K, of which labels are drawn.
        batch_size: B, images of a round, at least 2.
        rounds: of the pool, which is kept in memory and in each checkpoint.
        inner_steps: of one round.
        inner_rate: learning rate of the copy.
        noise_rate: learning rate of the noise.
        labels: weight of the classes' cross-entropy.
        statistics: weight of `rolewise.train.image_losses.statistics_loss`, all batch norms alike.
        adversarial: weight of `rolewise.train.image_losses.agreed_divergence_loss`.
        warmup: rounds before the adversarial term is read.
        momentum: in [0, 1), how much the statistics of the rounds before count beside those of the batch.
        padding: pixels, see `rolewise.train.moved_images.cropped_and_mirrored`.
        mirrored: whether images are mirrored.

    Raises:
        InputError: the teacher has no such batch norm, or a number is out of its range.
    """

    pool: Tensor
    made: Tensor
    means: Tensor
    variances: Tensor

    def __init__(
        self,
        generator: nn.Module,
        teacher: nn.Module,
        student: nn.Module,
        *,
        noise: int,
        classes: int,
        batch_size: int = 256,
        rounds: int = 200,
        inner_steps: int = 10,
        inner_rate: float = 2e-3,
        noise_rate: float = 0.01,
        labels: float = 0.4,
        statistics: float = 10.0,
        adversarial: float = 1.1,
        warmup: int = 20,
        momentum: float = 0.9,
        padding: int = 4,
        mirrored: bool = True,
    ) -> None:
        super().__init__()
        counts = {"noise": (noise, 1), "classes": (classes, 2), "batch_size": (batch_size, 2), "rounds": (rounds, 1)}
        counts |= {"inner_steps": (inner_steps, 1), "warmup": (warmup, 0), "padding": (padding, 0)}
        for name, (value, least) in counts.items():
            check_count(name, value, least=least)
        if not 0 <= momentum < 1:
            raise InputError(f"momentum must be at least 0 and below 1, got {momentum}")
        for name, rate in (("inner_rate", inner_rate), ("noise_rate", noise_rate)):
            if not rate > 0:
                raise InputError(f"{name} must be above 0, got {rate}")
        self.generator = generator
        self.weights = {"labels": labels, "statistics": statistics, "adversarial": adversarial}
        if not any(self.weights.values()):
            raise InputError(f"weights must have one that is not 0, got {self.weights}; give a term a weight")
        self.noise, self.classes, self.batch_size, self.rounds = noise, classes, batch_size, rounds
        self.inner_steps, self.inner_rate, self.noise_rate = inner_steps, inner_rate, noise_rate
        self.warmup, self.momentum = warmup, momentum
        self.padding, self.mirrored = padding, mirrored
        judges = InversionJudges(teacher, student, "FastDFKD")
        self._judges = [judges]  # in a list, so that the networks do not become parts of this module
        device = device_of(generator)
        with torch.no_grad(), unmoved([generator]):
            shape = generator(torch.zeros(2, noise, device=device)).shape[1:]
        self.register_buffer("pool", torch.zeros(rounds * batch_size, *shape, device=device))
        self.register_buffer("made", torch.zeros((), dtype=torch.int64))
        self.register_buffer("means", torch.zeros(sum(judges.widths), device=device))
        self.register_buffer("variances", torch.zeros(sum(judges.widths), device=device))

    def forward(self, batch: Batch, /, *, context: Context) -> Terms:
        """Makes a round of images, and returns the terms of the loss as means over its inner steps.

        The total's gradient is that of first-order MAML; the images go into the pool, and the statistics move.

        Args:
            batch: of no influence.
            context: its step and seed make all draws.
        """
        draws, device = context.generator("fast_dfkd"), self.pool.device
        labels = torch.randint(self.classes, (self.batch_size,), generator=draws).to(device)
        noise = torch.randn(self.batch_size, self.noise, generator=draws).to(device).requires_grad_()
        outer = {name: weight for name, weight in self.generator.named_parameters() if weight.requires_grad}
        copy = {name: weight.detach().clone().requires_grad_() for name, weight in outer.items()}
        sums = {name: torch.zeros_like(weight) for name, weight in outer.items()}
        groups = [{"params": list(copy.values())}, {"params": [noise], "lr": self.noise_rate}]
        optimizer = torch.optim.Adam(groups, lr=self.inner_rate, betas=_BETAS)
        kept: list[tuple[float, Tensor]] = []
        record: list[dict[str, Tensor]] = []
        for _ in range(self.inner_steps):
            with unmoved([self.generator]):
                images = functional_call(self.generator, copy, (noise,))
            seen = cropped_and_mirrored(images, draws, padding=self.padding, mirrored=self.mirrored)
            parts, moments = self._judged(seen, labels)
            total = torch.stack([parts[name] * weight for name, weight in self.weights.items() if weight]).sum()
            optimizer.zero_grad()
            total.backward()
            for name, weight in copy.items():
                if weight.grad is not None:
                    sums[name] += weight.grad
            kept.append((total.item(), images.detach()))
            kept = [min(kept, key=lambda pair: pair[0])]
            record.append({name: part.detach() for name, part in parts.items()})
            optimizer.step()
        self._keep(kept[0][1], moments)
        means = {name: torch.stack([parts[name] for parts in record]).mean() for name in record[0]}
        value = torch.stack([means[name] * weight for name, weight in self.weights.items()]).sum()
        slope = torch.stack([(outer[name] * sums[name]).sum() for name in outer]).sum()
        return Terms(value + (slope - slope.detach()), means, None, weights=self.weights, task_parts=())

    def _judged(self, images: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        (judges,) = self._judges
        momentum = self.momentum if self.made else 0.0
        parts, moments = judges.judged(images, labels, (self.means, self.variances), momentum)
        if int(self.made) < self.warmup:
            parts["adversarial"] = torch.zeros_like(parts["adversarial"])
        return parts, moments

    @torch.no_grad()
    def _keep(self, images: Tensor, moments: tuple[Tensor, Tensor]) -> None:
        """Puts a round's images into the pool, in the place of the oldest, and moves the running statistics."""
        begin = int(self.made) % self.rounds * self.batch_size
        self.pool[begin : begin + self.batch_size] = images
        momentum = self.momentum if self.made else 0.0
        for running, now in zip((self.means, self.variances), moments, strict=True):
            running.copy_(momentum * running + (1 - momentum) * now)
        self.made += 1

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the generator's parameters."""
        return (weight for weight in self.generator.parameters() if weight.requires_grad)

    def after_step(self, *, taken: bool = True) -> None:
        """Does nothing: images and statistics are kept where they are made.

        Args:
            taken: whether the step was taken.
        """
