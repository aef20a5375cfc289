"""Ensembles and self-distillation of small networks on real images: the embedded digits."""

from __future__ import annotations

from torch import nn

from rolewise.distill import build_methods
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.systems.digit_bench import MeanOf, accuracy_of, digit_bench, small_network, trained
from rolewise.systems.system import Row


def digit_rows(
    seed: int, networks: int, epochs: int, temperature: float, weight: float, context: JobContext
) -> list[Row]:
    """Trains an ensemble of small networks, a student of one of them and one of all, and one on labels alone.

    Args:
        seed: of the repetition.
        networks: members of the ensemble.
        epochs: of every network.
        temperature: of distillation.
        weight: of distillation beside labels of weight 1.
        context: the surroundings.
    """
    bench = digit_bench(seed)

    def network(name: str, teacher: nn.Module | None = None) -> nn.Module:
        context.report(name)
        methods = build_methods([{"name": "kd", "temperature": temperature, "weight": weight}])
        taught = {} if teacher is None else {"methods": methods, "label_weight": 1.0}
        return trained(small_network(seed, name), bench.few, epochs, context, seed=seed, teacher=teacher, **taught)

    members = [network(f"network {number}") for number in range(networks)]
    ensemble = MeanOf(members)
    found = {
        "single": network("student"),
        "self-distilled": network("student", members[0]),
        "distilled ensemble": network("student", ensemble),
        "ensemble": ensemble,
    }
    return [
        {
            "network": name,
            ACCURACY.key: accuracy_of(one, bench.test),
            "training_accuracy": accuracy_of(one, bench.few),
        }
        for name, one in found.items()
    ]
