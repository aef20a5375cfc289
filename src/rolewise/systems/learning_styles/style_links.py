"""Four links between a teacher and two students, each of predictions, of features or of nothing, and their training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from rolewise.distill import build_methods
from rolewise.distill.method import Method
from rolewise.jobs.job import JobContext
from rolewise.systems.joint_training import train_together
from rolewise.systems.learning_styles.style_bench import StyleBench

Channel = Literal["prediction", "feature", "nothing"]
FIRST, SECOND, TEACHER = "first", "second", "teacher"


@dataclass(frozen=True)
class Links:
    """Channels of four links: predictions, features, or nothing.

    Args:
        teacher: channels from the teacher to the first and to the second student.
        peers: channels to the first student from the second, and to the second from the first.
    """

    teacher: tuple[Channel, Channel]
    peers: tuple[Channel, Channel]

    @property
    def channels(self) -> dict[tuple[str, str], Channel]:
        """The channel of each link, by the roles of who teaches and who learns."""
        return {
            (TEACHER, FIRST): self.teacher[0],
            (TEACHER, SECOND): self.teacher[1],
            (SECOND, FIRST): self.peers[0],
            (FIRST, SECOND): self.peers[1],
        }


def link_methods(
    links: Links, *, temperature: float, tap: str, teacher_weight: float, peer_weight: float
) -> list[Method]:
    r"""Returns the methods of the links; each trains the student that it leads to, beside labels of weight 1.

    .. math:: L_{\to s} = T^2 \, \mathrm{KL}(p_r^T \| p_s^T) \quad \text{or} \quad
        L_{\to s} = \mathrm{mean}_n \big( 1 - \cos(W F_s[n], F_r[n]) \big)

    for predictions and for features of N places, r being detached and W a learned map of each place.

    Args:
        links: the channels.
        temperature: T.
        tap: of the features.
        teacher_weight: weight of both links from the teacher.
        peer_weight: weight of both links between the students.
    """
    sections = []
    for (source, target), channel in links.channels.items():
        if channel == "nothing":
            continue
        weight = teacher_weight if source == TEACHER else peer_weight
        place = {"name": f"{source}_to_{target}", "teacher": source, "student": target, "weight": weight}
        if channel == "prediction":
            sections.append({"method": "kd", "temperature": temperature, **place})
        else:
            taps = {"student_taps": [tap], "teacher_taps": [tap]}
            sections.append({"method": "match", "loss": "cosine", "map": "linear", **taps, **place})
    return build_methods(sections)


def trained_pair(
    bench: StyleBench,
    teacher: nn.Module,
    methods: list[Method],
    epochs: int,
    learning_rate: float,
    seed: int,
    context: JobContext,
) -> tuple[nn.Module, nn.Module]:
    """Trains both students at once, each on the labels and by what its links carry, and returns them in eval mode.

    Args:
        bench: data and networks.
        teacher: it is frozen.
        methods: of the links.
        epochs: passes over the students' images.
        learning_rate: the highest.
        seed: of the order and of learned maps.
        context: the surroundings; a stop ends the training.
    """
    students = {role: bench.student(role) for role in (FIRST, SECOND)}
    train_together(
        teacher,
        students,
        methods,
        bench.few,
        epochs,
        context,
        seed=seed,
        batch_size=bench.batch_size,
        learning_rate=learning_rate,
        task=bench.task,
    )
    return students[FIRST], students[SECOND]
