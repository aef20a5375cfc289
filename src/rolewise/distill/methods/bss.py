"""BSS: the student agrees with the teacher on samples that an attack brings just across the teacher's boundary."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.boundary_attack import base_samples, boundary_samples, drawn_classes, logits_of_run
from rolewise.distill.checks import check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.running import unmoved
from rolewise.distill.stored_outputs import StoredTeacher
from rolewise.distill.term import Bound, NetworkRun, Shapes, Term
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError
from rolewise.networks import evaluating


@method(
    reads="logits",
    name="bss",
    mixed_labels="unsound",
    weight=2.0,
    limits={"temperature": "temperature", "step": "positive", "steps": "few", "size": "count", "until": "fraction"},
)
class BSS(Term):
    r"""Divergence on boundary supporting samples, which an attack makes of images that both networks have right.

    .. math:: x_{i+1} = x_i + \eta \, (t_g(x_i) - t_k(x_i) + 10^{-4})
        \frac{\nabla (t_k - t_g)(x_i)}{\lVert \nabla (t_k - t_g)(x_i) \rVert}, \quad
        \ell_b = \max\Big(0, 1 - \frac{\tau}{u}\Big) \frac{B}{M} \,
        \mathrm{KL}(\mathrm{softmax}(t(x')_b / T) \,\|\, \mathrm{softmax}(s(x')_b / T))

    with t the teacher's logits, g the class of the image and k another one, drawn by the teacher's probabilities. A
    sample stops as soon as the teacher has it wrong. M images of the batch are attacked, at most ``size``: those on
    whose other classes the networks differ most; all other losses are 0. It goes beside ``kd`` and the labels, and ends
    at the fraction u of the training.

    Source: Heo, Lee, Yun, Choi (2019), https://arxiv.org/abs/1805.05532, and the authors' code: 10 steps, eta = 0.3,
    T = 3, 64 samples, weight 2 that falls to 0 at three quarters of the training.
    Differs from source: the divergence, whose gradient is that of the cross-entropy; samples are kept in the range of
    the batch's own values; the student's norms see the samples with statistics of their own and keep none of them;
    fewer than two samples count as none.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless; there is no factor T^2.
        step: eta, length of a step by the difference of logits, in the unit of the inputs.
        steps: most steps of the attack.
        size: most samples of a batch.
        until: u, fraction of the training at which the weight has fallen to 0.

    Raises:
        InputError: inputs are no tensor, the teacher is stored outputs, or the logits are not [B, K] of the same
            classes.
    """

    of_examples = True
    targets = "labels"
    runs: tuple[NetworkRun, NetworkRun]

    def __init__(
        self,
        shapes: Shapes,
        *,
        temperature: float = 3.0,
        step: float = 0.3,
        steps: int = 10,
        size: int = 64,
        until: float = 0.75,
    ) -> None:
        super().__init__()
        self.temperature, self.step, self.steps, self.size, self.until = temperature, step, steps, size, until

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes the passes of both networks; InputError where the teacher is stored outputs alone."""
        if isinstance(teacher.network, StoredTeacher):
            raise InputError(
                'teacher must be a network that runs for "bss", which attacks it, got a StoredTeacher; give the network'
            )
        self.runs = student.run, teacher.run

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        own, aim = student.logits, teacher.logits
        check_same_shape(own, aim, "logits [B, K]", 2)
        losses = own.sum(1) * 0.0
        left = max(0.0, 1 - context.progress / self.until) if self.until > 0 else 0.0
        rows = base_samples(own.detach(), aim, batch.targets, self.size)
        if left == 0 or len(rows) < 2:
            return losses
        wanted = drawn_classes(aim[rows], context.generator(self.name))
        inputs = _inputs(batch, self.runs[1])
        made = boundary_samples(self.runs[1], inputs, rows, wanted, self.step, self.steps)
        with torch.no_grad(), evaluating(self.runs[1].network):
            target = (logits_of_run(self.runs[1], made) / self.temperature).log_softmax(1)
        with unmoved([self.runs[0].network]):
            predicted = (logits_of_run(self.runs[0], made) / self.temperature).log_softmax(1)
        apart = left * len(own) / len(rows) * divergence(target, predicted)
        return losses.index_add(0, rows, apart.to(losses.dtype))


def _inputs(batch: Batch, run: NetworkRun) -> Tensor:
    """Returns the teacher's inputs in floating point: pixels in [0, 1] where they are uint8."""
    inputs = batch.view(run.role, run.kind)
    if not isinstance(inputs, Tensor):
        raise InputError(f'inputs must be a tensor for "bss", which moves them, got {type(inputs).__name__}')
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.detach()
