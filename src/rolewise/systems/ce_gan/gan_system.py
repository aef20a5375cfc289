"""CE-GAN beside E-GAN and plain GANs: what crossover by distillation does, and how much of the data each covers."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from rolewise.data import read
from rolewise.errors import InputError, Interrupted
from rolewise.instruments.sample_coverage import modes_reached, precision_and_coverage
from rolewise.jobs.job import JobContext
from rolewise.metric_info import MetricInfo
from rolewise.models import build
from rolewise.seeds import derive_seed, generator
from rolewise.systems.ce_gan.sample_data import SampleData, fashion_pictures, ring_of_gaussians
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings, claim_between
from rolewise.train.generator_evolution import Course, Evolution
from rolewise.train.generator_genome import MUTATIONS

COVERAGE = MetricInfo("coverage", "coverage", "fraction")
PRECISION = MetricInfo("precision", "precision", "fraction")
MODES = MetricInfo("modes", "modes reached")
FIT = MetricInfo("operator", "offspring at least as fit as both parents", "fraction")
KEPT = MetricInfo("kept", "offspring that survive", "fraction")
#: In units of the fitter parent's distance, which is therefore 1.
IMITATION = MetricInfo("imitation", "squared distance from the picked samples, relative", higher_is_better=False)
Data = Literal["ring", "fashion_mnist"]

_ALL = tuple(MUTATIONS)
#: The methods that are compared. A generation of CE-GAN has a step for each mutation and one of crossover.
METHODS: dict[str, Course] = {
    "gan": Course(("nsgan",)),
    "gan, as many steps": Course(("nsgan",), generations=len(_ALL) + 1),
    "e_gan": Course(_ALL, fitness="gradient"),
    "ce_gan, no crossover": Course(_ALL),
    "ce_gan": Course(_ALL, crossover=True),
    "ce_gan, diversity": Course(_ALL, crossover=True, fitness="diversity"),
}
#: Methods of pictures; the ring has all.
_OF_PICTURES = ("gan", "e_gan", "ce_gan", "ce_gan, diversity")
PARENT, CHANCE = "fitter parent", "three equal networks"
#: Samples that are judged at the end, neighbours of a ball, and the share of samples that reaches a mode.
_JUDGED, _NEIGHBOURS, _LEAST = 2000, 5, 0.01


class GanSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own samples, weights and noise.
        data: ``ring``, the Gaussians, and ``fashion_mnist``, which is read from ROLEWISE_DATA.
        picture_seeds: number of the seeds, the first ones, that pictures have.
        modes: number of Gaussians.
        radius: of their ring.
        spread: standard deviation of a Gaussian.
        generations: generations on the ring.
        picture_generations: generations on pictures.
        hidden: units of each of the three hidden layers of both networks, on the ring.
        picture_hidden: units of each of the two hidden layers on pictures.
        rate: learning rate of both networks on the ring.
        picture_rate: learning rate of both networks on pictures.
        batch_size: samples of a step.
        evaluated: samples that a fitness is measured on.
        gradient_weight: weight of the gradient in E-GAN's fitness.
        diversity_weight: weight of diversity in the fitness that has it.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    data: Annotated[tuple[Data, ...], Field(min_length=1)] = ("ring",)
    picture_seeds: Annotated[int, Field(ge=1, le=100)] = 3
    modes: Annotated[int, Field(ge=1, le=100)] = 8
    radius: Annotated[float, Field(gt=0)] = 2.0
    spread: Annotated[float, Field(gt=0)] = 0.1
    generations: Annotated[int, Field(ge=1, le=1_000_000)] = 1500
    picture_generations: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    hidden: Annotated[int, Field(ge=1, le=10_000)] = 128
    picture_hidden: Annotated[int, Field(ge=1, le=10_000)] = 128
    rate: Annotated[float, Field(gt=0)] = 1e-3
    picture_rate: Annotated[float, Field(gt=0)] = 2e-4
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 64
    evaluated: Annotated[int, Field(ge=2, le=4000)] = 256
    gradient_weight: Annotated[float, Field(ge=0)] = 1e-3
    diversity_weight: Annotated[float, Field(ge=0)] = 1.0


def check_gan(settings: GanSettings) -> None:
    """Raises InputError where there is one mode alone, Gaussians overlap, or pictures are not there."""
    if settings.modes < 2:
        raise InputError(
            f"modes must be at least 2, got {settings.modes}: of a single mode none can be missed, so that nothing "
            "would be compared"
        )
    if len(set(settings.data)) < len(settings.data):
        raise InputError(f"data must differ from one another, got {list(settings.data)}")
    apart = 2 * settings.radius * float(torch.sin(torch.tensor(torch.pi / settings.modes)))
    if apart < 4 * settings.spread:
        raise InputError(
            f"spread must be at most {apart / 4:.3g}, a quarter of the distance between two of {settings.modes} modes, "
            f"got {settings.spread}; modes that overlap cannot be counted"
        )
    if "fashion_mnist" in settings.data:
        read("fashion_mnist")


def gan_pieces(settings: GanSettings) -> list[Piece]:
    """Returns a piece for each set and seed."""
    seeds = {"ring": settings.seeds, "fashion_mnist": settings.seeds[: settings.picture_seeds]}
    return [Piece(seed, {"data": data}) for data in settings.data for seed in seeds[data]]


def gan_rows(piece: Piece, settings: GanSettings, context: JobContext) -> list[Row]:
    """Evolves a generator by each method."""
    seed, is_ring = piece.seed, piece.levels["data"] == "ring"
    data = (
        ring_of_gaussians(settings.modes, settings.radius, settings.spread, seed)
        if is_ring
        else fashion_pictures(seed, context)
    )
    found: list[Row] = []
    for name in METHODS if is_ring else _OF_PICTURES:
        evolution = evolution_of(METHODS[name], data, settings, seed, is_ring=is_ring)
        count = settings.generations if is_ring else settings.picture_generations
        for number in range(count * METHODS[name].generations):
            if number % 50 == 0:
                if context.should_stop():
                    raise Interrupted("stopped between two generations")
                context.report(f"{name}: generation {number}")
            evolution.run_generation()
        row = {"method": name, **_scores(evolution, data, seed)}
        found.append(row)
        if name == "ce_gan":
            own, parent = (sum(values) for values in zip(*evolution.distances, strict=True))
            row[IMITATION.key] = own / parent if parent > 0 else 1.0
            found.append({"method": PARENT, IMITATION.key: 1.0})
            # Of three networks that are equal but for noise each is the fittest in a third of all cases.
            found.append({"method": CHANCE, FIT.key: 1 / 3})
    return found


def evolution_of(course: Course, data: SampleData, settings: GanSettings, seed: int, *, is_ring: bool) -> Evolution:
    """Returns an evolution at its beginning; every method begins with the same weights.

    Args:
        course: the method.
        data: the samples.
        settings: of the system.
        seed: of the repetition.
        is_ring: whether the data are the ring.
    """
    width = data.real.shape[1]
    noise, depth = (2, 3) if is_ring else (32, 2)
    hidden = settings.hidden if is_ring else settings.picture_hidden

    def network(name: str, inputs: int, outputs: int, last: type[nn.Module]) -> nn.Module:
        weights = derive_seed(seed, "evolution", "weights", name)
        sizes = [inputs, *[hidden] * depth, outputs]
        return build(_layers, num_classes=outputs, seed=weights, sizes=sizes, last=last)

    weight = settings.diversity_weight if course.fitness == "diversity" else settings.gradient_weight
    return Evolution(
        course=Course(course.mutations, course.crossover, course.fitness, weight, course.generations),
        networks=lambda: network("generator", noise, width, nn.Identity if is_ring else nn.Tanh),
        critic=network("critic", width, 1, nn.Identity),
        real=data.real,
        learning_rate=settings.rate if is_ring else settings.picture_rate,
        batch_size=settings.batch_size,
        evaluated=settings.evaluated,
        noise=noise,
        seed=seed,
    )


def _layers(num_classes: int, sizes: list[int], last: type[nn.Module]) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1], last())


@torch.no_grad()
def _scores(evolution: Evolution, data: SampleData, seed: int) -> Row:
    noise = torch.randn(_JUDGED, evolution.noise, generator=generator(seed, "evolution", "judged"))
    samples = evolution.survivor.network(noise)
    good, covered = precision_and_coverage(data.features(data.held_out), data.features(samples), _NEIGHBOURS)
    row: Row = {
        COVERAGE.key: covered,
        PRECISION.key: float(good.double().mean()),
        MODES.key: float(modes_reached(data.mode_of(samples), good, data.modes, _LEAST)),
    }
    if evolution.fit:
        row |= {FIT.key: sum(evolution.fit) / len(evolution.fit), KEPT.key: sum(evolution.kept) / len(evolution.kept)}
    return row


def _claim(text: str, of: str, against: str, metric: MetricInfo, data: str = "ring") -> Claim:
    return claim_between(("method",), text, (of,), (against,), metric, data=data)


CE_GAN = System(
    name="ce_gan",
    title="Evolving generators with crossover by distillation (CE-GAN)",
    source="Li et al., Evolutionary Generative Adversarial Networks with Crossover Based Knowledge Distillation, "
    "IJCNN 2021",
    origin="code",
    settings=GanSettings,
    axes=("data", "method"),
    metrics=(COVERAGE, PRECISION, MODES, FIT, KEPT, IMITATION),
    pieces=gan_pieces,
    train=gan_rows,
    claims=(
        _claim(
            "On fresh noise the offspring is at least as fit as both parents in more than a third of all generations",
            "ce_gan",
            CHANCE,
            FIT,
        ),
        _claim("The offspring is closer to the picked samples than the fitter parent", "ce_gan", PARENT, IMITATION),
        _claim("CE-GAN covers more than without crossover", "ce_gan", "ce_gan, no crossover", COVERAGE),
        _claim("CE-GAN covers more than E-GAN", "ce_gan", "e_gan", COVERAGE),
        _claim("CE-GAN covers more than a plain GAN of as many generations", "ce_gan", "gan", COVERAGE),
        _claim("CE-GAN covers more than a plain GAN of as many steps", "ce_gan", "gan, as many steps", COVERAGE),
        _claim("A fitness with diversity covers more than one without", "ce_gan, diversity", "ce_gan", COVERAGE),
        _claim(
            "In pictures the offspring is at least as fit as both parents in more than a third of all generations",
            "ce_gan",
            CHANCE,
            FIT,
            "fashion_mnist",
        ),
        _claim("In pictures CE-GAN covers more than E-GAN", "ce_gan", "e_gan", COVERAGE, "fashion_mnist"),
        _claim(
            "In pictures a fitness with diversity covers more than one without",
            "ce_gan, diversity",
            "ce_gan",
            COVERAGE,
            "fashion_mnist",
        ),
    ),
    controls="All methods begin with the same generator and discriminator, draw the same noise for the same purpose, "
    "and take one step of the discriminator in each generation. The plain GAN is trained for as many generations as "
    "the others, and for as many as the generators of CE-GAN take steps, children included.",
    check=check_gan,
)
