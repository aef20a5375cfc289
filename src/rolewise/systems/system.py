"""The parts of a system: its settings, the pieces of work that it consists of, and the claims that it is to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.report.drawing import Drawing
from rolewise.seeds import LARGEST_SEED
from rolewise.strict_settings import Section

#: The levels of a network's axes, and its metrics, by name.
Row: TypeAlias = dict[str, Any]
#: Seeds of repetitions.
Seeds: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...], Field(min_length=1, max_length=100)
]


class SystemSettings(Section):
    """The settings that every system has; a system adds its own.

    Args:
        seeds: seeds of the repetitions; each draws its own data, initial weights and orders.
    """

    seeds: Seeds = (0, 1, 2)


@dataclass(frozen=True)
class Piece:
    """One piece of a system's work, which a single process does from its beginning to its end.

    Args:
        seed: its seed.
        levels: the levels of the axes that it fixes, by axis.
    """

    seed: int
    levels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name, which is also that of its file."""
        return "-".join([f"seed{self.seed}", *(value.replace(" ", "_") for value in self.levels.values())])


@dataclass(frozen=True)
class Claim:
    """A claim that a system is to confirm or refute: some networks are better than others, all else equal.

    Args:
        text: the claim, as a sentence.
        of: levels of the networks that are claimed to be better, by axis.
        against: levels of those that they are compared with.
        metric: key of the metric.
        wanted: direction of ``metric`` for which the claim is confirmed.
    """

    text: str
    of: Mapping[str, Any]
    against: Mapping[str, Any]
    metric: str
    wanted: Literal["higher", "lower"] = "higher"

    @property
    def question(self) -> dict[str, Any]:
        """The claim as `rolewise.statistics.questions.answer_questions` reads it."""
        sides = {
            name: {axis: value if isinstance(value, (list, tuple)) else [value] for axis, value in side.items()}
            for name, side in (("of", self.of), ("against", self.against))
        }
        return {"ask": self.text, **sides, "metric": self.metric, "wanted": self.wanted}


def claim_between(
    axes: Sequence[str],
    text: str,
    of: Sequence[str],
    against: Sequence[str],
    metric: MetricInfo = ACCURACY,
    **alike: str,
) -> Claim:
    """Returns the claim that levels of some axes are better than others of the same axes.

    Args:
        axes: names of the axes.
        text: the claim.
        of: the levels that are claimed to be better, one of each axis.
        against: those that they are compared with.
        metric: the metric, with its direction.
        alike: levels that both sides have, by axis.
    """
    first, second = ({**dict(zip(axes, side, strict=True)), **alike} for side in (of, against))
    return Claim(text, first, second, metric.key, "higher" if metric.higher_is_better else "lower")


@dataclass(frozen=True)
class System:
    """A procedure with its controls.

    Args:
        name: its name in commands.
        title: one line of what it is.
        source: the paper, with its arXiv number or venue.
        origin: ``code`` where it follows the authors' published code, ``paper`` where it follows the paper's text,
            ``reconstruction`` where neither could be read and the formulas are consistent with the abstract alone.
        settings: the class of its settings.
        axes: names of the axes that its rows have levels of.
        metrics: its metrics, the first one the primary.
        pieces: returns the pieces of a run.
        train: does a piece, and returns its rows; the same piece and settings give the same rows.
        claims: the claims that it is to answer.
        controls: the equal treatment of networks that are compared, in words.
        check: raises InputError where settings fit one by one and not together, before anything is trained.
        draw: draws the figures of its page out of all rows.
    """

    name: str
    title: str
    source: str
    origin: Literal["code", "paper", "reconstruction"]
    settings: type[SystemSettings]
    axes: tuple[str, ...]
    metrics: tuple[MetricInfo, ...]
    pieces: Callable[[Any], Sequence[Piece]]
    train: Callable[[Piece, Any, JobContext], Sequence[Row]]
    claims: tuple[Claim, ...]
    controls: str
    check: Callable[[Any], None] = lambda settings: None
    draw: Callable[[Sequence[Row], Any], Sequence[Drawing]] = lambda rows, settings: ()

    @property
    def first_line(self) -> str:
        """The source that the system follows, as the first line of its descriptions."""
        follows = {
            "code": "It follows the authors' published code",
            "paper": "It follows the paper's text",
            "reconstruction": "A reconstruction, not the paper's own procedure: its formulas agree with the abstract",
        }
        return f"{follows[self.origin]} ({self.source})."
