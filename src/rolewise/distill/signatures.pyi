"""The methods as functions, for type checkers and editors: written by tools/method_signatures.py."""

from collections.abc import Sequence
from typing import Any, Literal

from rolewise.distill.combinations import function_matching as function_matching
from rolewise.distill.combinations import ii_kd as ii_kd
from rolewise.distill.method import Method
from rolewise.moving_weight import Weight

def ab(
    *,
    margin: float = 1.0,
    weight: float | Weight | dict[str, Any] = 10.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared distance of the student's neurons from the side of zero that the teacher's are on."""

def aekd(
    *,
    temperature: float = 4.0,
    tolerance: float = 0.6,
    weight: float | Weight | dict[str, Any] = 0.9,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Convex sum of the divergences from several teachers whose gradient by the student's logits is shortest."""

def attention(
    *,
    weight: float | Weight | dict[str, Any] = 1000.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the normalised attention maps."""

def bss(
    *,
    temperature: float = 3.0,
    step: float = 0.3,
    steps: int = 10,
    size: int = 64,
    until: float = 0.75,
    weight: float | Weight | dict[str, Any] = 2.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence on boundary supporting samples, which an attack makes of images that both networks have right."""

def byot(
    *,
    outputs: float = 0.1,
    temperature: float = 3.0,
    features: float = 0.0001,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Exits behind earlier stages, which learn from the labels, and from the outputs and the feature of the last."""

def ca_mkd(
    *,
    temperature: float = 4.0,
    form: Literal["paper", "code"] = "paper",
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean of the divergences from several teachers, weighted by each one's cross-entropy with the label."""

def cat_kd(
    *,
    grid: int = 2,
    normalise: bool = False,
    weight: float | Weight | dict[str, Any] = 15.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of class activation maps, averaged over a small grid."""

def cirkd(
    *,
    temperature: float = 0.1,
    pool: int = 1,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the similarities between the pixels of every two images, averaged over the other image."""

def correlation(
    *,
    gamma: float = 0.4,
    order: int = 2,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of the Gaussian kernel between examples, expanded to a few terms."""

def crd(
    *,
    width: int = 128,
    negatives: int = 16384,
    temperature: float = 0.07,
    momentum: float = 0.5,
    negatives_from: Literal["other_classes", "all"] = "other_classes",
    weight: float | Weight | dict[str, Any] = 0.8,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Noise-contrastive estimate of an example's embedding among those of others in the other network's memory."""

def crld(
    *,
    temperature: float = 4.0,
    within: float = 2.0,
    across: float = 0.5,
    label_share: float = 1.0,
    sure: float = 0.9,
    sure_of_strong: float = 0.2,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergences between networks within each of two views and across them, where the teacher is sure."""

def cs_kd(
    *,
    temperature: float = 4.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of softened class probabilities from those of another example of the same class in the batch."""

def ctkd(
    *,
    per: Literal["all", "example"] = "all",
    lowest: float = 1.0,
    span: float = 20.0,
    rise: float = 10.0,
    width: int = 128,
    weight: float | Weight | dict[str, Any] = 0.9,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of softened class probabilities at a learned temperature, which ascends where the student descends."""

def cwd(
    *,
    temperature: float = 4.0,
    weight: float | Weight | dict[str, Any] = 50.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's distribution over places from the teacher's, in each channel."""

def defeat(
    *,
    foreground: float = 3.0,
    background: float = 12.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared differences of features, averaged over the places of objects and over those of the background."""

def deit_token(
    *,
    target: Literal["hard", "soft"] = "hard",
    temperature: float = 3.0,
    weight: float | Weight | dict[str, Any] = 0.5,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropy of the distillation token's class probabilities under the class that the teacher takes."""

def dgkd(
    *,
    temperature: float = 5.0,
    dropped: int = 1,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Sum of the divergences from the teacher and its assistants, of which some are left out of each step at random."""

def dist(
    *,
    inter: float = 1.0,
    intra: float = 1.0,
    temperature: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """One minus the correlation of the class probabilities, of each example and of each class over the batch."""

def dist_plus(
    *,
    channels: float = 1.0,
    places: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """One minus the correlation of each place's channels, and of each place's sum of channels over the batch."""

def dkd(
    *,
    target: float = 1.0,
    others: float = 8.0,
    temperature: float = 4.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence between targets and rest, and divergence among the rest, each with its own weight."""

def dlb(
    *,
    temperature: float = 3.0,
    size: int = 1024,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of an example's softened class probabilities from those of the step before."""

def ebkd(
    *,
    temperature: float = 4.0,
    form: Literal["normalised", "code"] = "normalised",
    weight: float | Weight | dict[str, Any] = 0.9,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean of the divergences from several teachers, weighted by what each lacks of the entropy of all."""

def ensemble_kd(
    *,
    temperature: float = 4.0,
    average: Literal["probabilities", "logits", "losses"] = "probabilities",
    weight: float | Weight | dict[str, Any] = 0.9,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's softened class probabilities from the mean of all teachers'."""

def fcfd(
    *,
    appearance: float = 5.0,
    function: float = 1.0,
    temperature: float = 4.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared differences of bridged stages, and divergences of outputs that go through both networks."""

def fgd(
    *,
    foreground: float = 0.001,
    background: float = 0.0005,
    attention: float = 0.0005,
    relation: float = 5e-06,
    temperature: float = 0.5,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared differences of features at objects and background, of attentions, and of features with their context."""

def fitnets(
    *,
    weight: float | Weight | dict[str, Any] = 100.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the student's regressed feature to the teacher's."""

def fsp(
    *,
    weight: float | Weight | dict[str, Any] = 50.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the products of consecutive stages' channels."""

def ft(
    *,
    rate: float = 0.5,
    weight: float | Weight | dict[str, Any] = 500.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean difference of the student's factors from the teacher's, each at unit length."""

def hidden_cosine(
    *,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Distance of the directions of hidden states, token by token."""

def hkd(
    *,
    width: int = 128,
    neighbours: int = 8,
    negatives: int = 16384,
    temperature: float = 0.07,
    momentum: float = 0.9,
    share: float = 0.25,
    individual: float = 1.0,
    holistic: float = 1.0,
    negatives_from: Literal["other_classes", "all"] = "other_classes",
    memory: Literal["own", "other"] = "own",
    weight: float | Weight | dict[str, Any] = 3.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropy of an example among negatives, by its embedding alone and by that of its place in a graph."""

def ickd(
    *,
    weight: float | Weight | dict[str, Any] = 2.5,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of the correlations between channels, each channel's at unit length."""

def ifvd(
    *,
    weight: float | Weight | dict[str, Any] = 200.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the cosines between each pixel's feature and the centre of its class."""

def kd(
    *,
    temperature: float = 4.0,
    weight: float | Weight | dict[str, Any] = 0.9,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's softened class probabilities from the teacher's."""

def kd_svd(
    *,
    candidates: int = 4,
    spread: float = 8.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of the relations between the main directions of consecutive stages."""

def kdcl(
    *,
    temperature: float = 2.0,
    target: Literal["naive", "linear", "minimum"] = "minimum",
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of a student's softened class probabilities from a target made of its own and its peers' logits."""

def kta(
    *,
    rate: float = 0.5,
    affinity: float = 1.0,
    sparsity: float = 1e-07,
    weight: float | Weight | dict[str, Any] = 50.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Difference of an adapted map from the teacher's translated one, and of the cosines between places of both."""

def ld(
    *,
    temperature: float = 10.0,
    valuable: float = 0.25,
    weight: float | Weight | dict[str, Any] = 0.25,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's distributions of distances to a box's sides from the teacher's."""

def logit_standardisation(
    *,
    temperature: float = 2.0,
    weight: float | Weight | dict[str, Any] = 9.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's standardised and softened logits from the teacher's."""

def manifold(
    *,
    within: float = 4.0,
    across: float = 0.1,
    random: float = 0.2,
    tokens: int = 192,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared differences of the cosines between tokens of an image, tokens of a place, and tokens drawn at random."""

def match(
    *,
    loss: Literal["mse", "l1", "smooth_l1", "huber", "cosine", "kl", "pearson"] = "mse",
    map: Literal["none", "linear", "conv"] = "linear",
    reduction: Literal["mean", "sum"] = "mean",
    normalise: bool = False,
    threshold: float = 1.0,
    temperature: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Distance of the student's feature from the teacher's, element by element or place by place."""

def mgd(
    *,
    drop: float = 0.65,
    drop_from: Literal["places", "channels"] = "places",
    weight: float | Weight | dict[str, Any] = 2e-05,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of the teacher's feature to one generated from the student's, of which parts are dropped."""

def mhgd(
    *,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's graphs between images from the teacher's, under one learned attention."""

def minilm(
    *,
    heads: int = 12,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of attention distributions, and of the relations of values, head by head."""

def minilm_v2(
    *,
    heads: int = 12,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the relations of queries, of keys and of values, each with itself."""

def mixstd(
    *,
    version: Literal["final", "v1", "v2", "v3", "dec2021", "no_mixup"] = "final",
    scale: float = 1.0,
    temperature: float = 4.0,
    label_share: float = 0.1,
    teacher_share: float = 0.9,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropy and divergence of rescaled logits: the labels' term is part of it, so set label_weight to 0."""

def mlkd(
    *,
    label_share: float = 0.1,
    teacher_share: float = 0.9,
    masked: bool = True,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergences of probabilities, and squared differences of their products over examples and over classes."""

def nkd(
    *,
    target: float = 1.0,
    others: float = 1.5,
    temperature: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropy of the target under the teacher's probability, and of the other classes at the sum 1."""

def norm_direction(
    *,
    weight: float | Weight | dict[str, Any] = 2.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """One minus the student's feature along its class's direction, relative to the longer of both features."""

def nst(
    *,
    weight: float | Weight | dict[str, Any] = 50.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared maximum mean discrepancy of the two sets of channels, under a quadratic kernel."""

def ofa(
    *,
    power: float = 1.0,
    temperature: float = 1.0,
    branches: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropy of logits, of the student and of a branch behind each stage, under an enhanced target."""

def ofd(
    *,
    weight: float | Weight | dict[str, Any] = 0.001,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Partial squared distance to the teacher's features, cut off below at a margin of each channel."""

def okddip(
    *,
    temperature: float = 3.0,
    rise: float = 80.0,
    form: Literal["paper", "code"] = "paper",
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropies of peers, divergences from an attended sum to each of them, and from their mean to the leader."""

def one(
    *,
    temperature: float = 3.0,
    rise: float = 80.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropies of the further branches and of the gated ensemble, and divergences from it to each branch."""

def output_match(
    *,
    error: Literal["squared", "absolute", "huber"] = "squared",
    huber_delta: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean error of the student's outputs against the teacher's, as regression has it."""

def pad(
    *,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of features over a learned variance, and that variance's logarithm."""

def pairwise(
    *,
    grid: int = 2,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the cosines between an image's places."""

def patient(
    *,
    token: Literal["first", "mean"] = "first",
    weight: float | Weight | dict[str, Any] = 10.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared distance of the normalised hidden states of whole texts, layer by layer."""

def pcl(
    *,
    temperature: float = 3.0,
    rise: float = 80.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropies of branches and of their joint classifier, divergences from that one and from averaged peers."""

def pearson_kd(
    *,
    weight: float | Weight | dict[str, Any] = 6.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Half the mean squared difference of features whose channels are standardised over the batch and all places."""

def pkt(
    *,
    weight: float | Weight | dict[str, Any] = 30000.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's probabilities of being neighbours from the teacher's."""

def ps_kd(
    *,
    weight: float | Weight | dict[str, Any] = 0.8,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Difference between the cross-entropies under the network's former probabilities of an example and its label."""

def qfr(
    *,
    bits: int = 4,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the student's feature to the teacher's, rounded to a few levels."""

def quadratic_kd(
    *,
    source: Literal["logits", "features"] = "logits",
    matrix: Literal["identity", "diagonal", "fisher", "head"] = "fisher",
    temperature: float = 4.0,
    unit_trace: bool = True,
    more_classes: bool = False,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Quadratic form of the difference of logits or features, with the teacher's Fisher information as a matrix."""

def reverse_kd(
    *,
    temperature: float = 4.0,
    weight: float | Weight | dict[str, Any] = 0.9,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the teacher's softened class probabilities from the student's."""

def review_kd(
    *,
    middle: int = 512,
    weight: float | Weight | dict[str, Any] = 5.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of fused student stages to the teacher's, on several grids."""

def rkd(
    *,
    distance: float = 25.0,
    angle: float = 50.0,
    normalise: bool = False,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Huber distance between the relations of the batch in the two networks."""

def sdd(
    *,
    temperature: float = 4.0,
    scales: int = 3,
    complementary: float = 2.0,
    weight: float | Weight | dict[str, Any] = 0.9,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of softened class probabilities of regions, from the whole image to ever smaller cells."""

def semckd(
    *,
    width: int = 32,
    weight: float | Weight | dict[str, Any] = 400.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared differences of every pair of stages, weighted by an attention of the student's over the teacher's."""

def similarity(
    *,
    weight: float | Weight | dict[str, Any] = 3000.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of the batch's similarities."""

def simkd(
    *,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of the student's projected last map to the teacher's; the teacher's head is reused."""

def skd_direction(
    *,
    ridge: float = 0.1,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mahalanobis length of the difference between an example's cosines to the batch in both networks."""

def soft_cross_entropy(
    *,
    temperature: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropy of the student's softened probabilities under the teacher's."""

def srd(
    *,
    power: float = 4.0,
    weight: float | Weight | dict[str, Any] = 2.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Logarithm of the summed powers of differences between features at mean 0 and variance 1 over the batch."""

def srrl(
    *,
    regression: float = 1.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Squared difference of mean features, and of the logits that the teacher's classifier makes of them."""

def sskd(
    *,
    plain: float = 0.9,
    transformed: float = 2.7,
    contrast: float = 10.0,
    temperature: float = 4.0,
    contrast_temperature: float = 0.5,
    kept_outputs: float = 1.0,
    kept_similarities: float = 0.75,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergences of outputs for plain and turned images, and of similarities between turned images and plain ones."""

def tf_kd(
    *,
    temperature: float = 20.0,
    certainty: float = 0.99,
    form: Literal["code", "softened"] = "code",
    weight: float | Weight | dict[str, Any] = 0.1,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's class probabilities from a virtual teacher's, which is always right."""

def tinybert_attention(
    *,
    heads: int = 12,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of attention scores, head by head."""

def tinybert_hidden(
    *,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Mean squared difference of hidden states, the student's through one learned linear map."""

def ttm(
    *,
    power: float = 0.1,
    weighted: bool = False,
    weight: float | Weight | dict[str, Any] = 45.0,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the student's class probabilities, as they are, from a power of the teacher's."""

def uskd(
    *,
    target: float = 1.0,
    others: float = 0.1,
    weak: float = 0.005,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Cross-entropies with the student's own smoothed target and with Zipf's law over the ranks of other classes."""

def vid(
    *,
    variance: float = 5.0,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Negative log-likelihood of the teacher's features under a Gaussian that is regressed from the student's."""

def vitkd(
    *,
    shallow: float = 3e-05,
    deep: float = 3e-06,
    masked: float = 0.5,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Summed squared differences: of shallow layers through linear maps, and of masked tokens of the deepest."""

def vkd(
    *,
    weight: float | Weight | dict[str, Any] = 1.0,
    student_taps: str | Sequence[str] = (),
    teacher_taps: str | Sequence[str] = (),
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Smooth difference of the student's feature, orthogonally mapped, to the teacher's, normalised."""

def wsld(
    *,
    temperature: float = 2.0,
    weight: float | Weight | dict[str, Any] = 2.5,
    name: str | None = None,
    teacher: str | Sequence[str] | None = None,
    student: str | None = None,
) -> Method:
    """Divergence of the softened class probabilities, weighted by the cross-entropies under the label."""
