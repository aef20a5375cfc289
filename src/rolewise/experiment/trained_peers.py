"""Peers of a student: networks that are trained beside it, in the same stage, and left behind at its end."""

from __future__ import annotations

from torch import nn

from rolewise.config.network_sections import StudentSection
from rolewise.experiment.seed_data import SeedData
from rolewise.models import init_from

#: The role of the student itself where it has peers.
STUDENT = "student"


def with_peers(
    data: SeedData, section: StudentSection, student: nn.Module, teacher: nn.Module | None
) -> nn.Module | dict[str, nn.Module]:
    """Returns a student's network, or it and its peers by role: the student first, since that is the one that is kept.

    Args:
        data: of the run's seed.
        section: of the student.
        student: its network.
        teacher: the first network that teaches it, whose weights a peer may begin with; None where nothing is
            distilled, and then there are no peers.
    """
    if not section.peers or teacher is None:
        return student
    networks = {STUDENT: student}
    for peer in section.peers:
        networks[peer.name] = data.network(peer.model, "peer", section.name, peer.name)
        if peer.init == "teacher":
            init_from(networks[peer.name], teacher)
    return networks
