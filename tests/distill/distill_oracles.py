"""What each method is tested against: an independent computation, a value worked by hand, a pinned training.

A new method's tests run by themselves; it needs its entries here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import distill_oracles_dense as dense
import distill_oracles_logits as logits
import distill_oracles_parity as parity
import distill_oracles_peers as peers
import distill_oracles_relations as relations
import numpy as np
from distill_worked import Worked

Array = np.ndarray


def kd(student: Array, teacher: Array, temperature: float = 4.0) -> Array:
    """Kullback-Leibler divergence, straight from its definition."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        p = np.exp(t / temperature - max(t / temperature))
        q = np.exp(s / temperature - max(s / temperature))
        p, q = p / p.sum(), q / q.sum()
        losses.append(temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return np.array(losses)


def fitnets(student: Array, teacher: Array) -> Array:
    """Mean of squares, element by element."""
    return np.array([np.mean([(a - b) ** 2 for a, b in zip(s.flat, t.flat)]) for s, t in zip(student, teacher)])  # noqa: B905


def attention(student: Array, teacher: Array) -> Array:
    """Place by place."""
    losses = []
    for pair in zip(student, teacher, strict=True):
        maps = []
        for features in pair:
            _, height, width = features.shape
            flat = [np.mean(features[:, i, j] ** 2) for i in range(height) for j in range(width)]
            maps.append(np.array(flat) / math.sqrt(sum(value**2 for value in flat)))
        losses.append(np.mean((maps[0] - maps[1]) ** 2))
    return np.array(losses)


def rkd(student: Array, teacher: Array, distance: float = 25.0, angle: float = 50.0, normalise: bool = False) -> Array:
    """Pair by pair and triple by triple."""

    def huber(x: float) -> float:
        return x * x / 2 if abs(x) < 1 else abs(x) - 0.5

    def relations(features: Array) -> tuple[Array, Array]:
        x = features.reshape(len(features), -1)
        x = np.array([row / math.sqrt(sum(row**2)) for row in x]) if normalise else x
        num = len(x)
        lengths = np.array([[math.dist(x[i], x[j]) for j in range(num)] for i in range(num)])
        apart = [value for value in lengths.flat if value > 0]
        cosines = np.zeros((num, num, num))
        for j in range(num):
            for i in range(num):
                for k in range(num):
                    if lengths[i, j] > 0 and lengths[k, j] > 0:
                        cosines[j, i, k] = np.dot(x[i] - x[j], x[k] - x[j]) / lengths[i, j] / lengths[k, j]
        return (lengths / np.mean(apart) if apart else lengths), cosines

    (s_lengths, s_cosines), (t_lengths, t_cosines) = relations(student), relations(teacher)
    return np.array(
        [
            distance * np.mean([huber(a) for a in (s_lengths - t_lengths)[j]])
            + angle * np.mean([huber(a) for a in (s_cosines - t_cosines)[j].flat])
            for j in range(len(student))
        ]
    )


def directions(student: Array, teacher: Array, candidates: int = 4) -> tuple[Array, Array]:
    """The singular vectors of each image by themselves, from the library's own decomposition."""
    ours, theirs = [], []
    for s, t in zip(student, teacher, strict=True):
        target = np.linalg.svd(t.reshape(len(t), -1).T, full_matrices=False)[2][0]
        target = -target if target.sum() < 0 else target
        found = list(np.linalg.svd(s.reshape(len(s), -1).T, full_matrices=False)[2][:candidates])
        best = max(found, key=lambda vector: abs(float(np.dot(vector, target))))
        ours.append(-best if np.dot(best, target) < 0 else best)
        theirs.append(target)
    return np.array(ours), np.array(theirs)


def kd_svd(student: list[Array], teacher: list[Array], candidates: int = 4, spread: float = 8.0) -> Array:
    """Entry by entry of each relation."""
    stages = [directions(s, t, candidates) for s, t in zip(student, teacher, strict=True)]
    losses = np.zeros(len(student[0]))
    for before, after in itertools.pairwise(stages):
        for image in range(len(losses)):
            for d in range(after[0].shape[1]):
                for e in range(before[0].shape[1]):
                    s, t = (math.exp(-((after[r][image, d] - before[r][image, e]) ** 2) / spread) for r in (0, 1))
                    losses[image] += (s - t) ** 2
    return losses


def _standardised(vectors: Array, weights: dict[str, Array], name: str) -> Array:
    mapped = vectors @ weights[f"{name}.linear.weight"].T
    scaled = (mapped - np.mean(mapped, 0)) / np.sqrt(np.var(mapped, 0) + 1e-5)
    return scaled * weights[f"{name}.gain"] + weights[f"{name}.shift"]


def _softmax(row: Array) -> Array:
    powers = np.exp(row - max(row))
    return powers / powers.sum()


def mhgd(student: list[Array], teacher: list[Array], estimator: dict[str, Array], heads: int = 4) -> Array:
    """Head by head, row by row."""
    stages = [directions(s, t) for s, t in zip(student, teacher, strict=True)]
    losses = np.zeros(len(student[0]))
    for link, (before, after) in enumerate(itertools.pairwise(stages)):
        width = (before[0].shape[1] + after[0].shape[1]) // 2
        ends = [
            [
                _standardised(after[r], estimator, f"links.{link}.sender"),
                _standardised(before[r], estimator, f"links.{link}.receiver"),
            ]
            for r in (0, 1)
        ]
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for row in range(len(losses)):
                graphs = [[np.dot(sent[row, part], other[part]) for other in received] for sent, received in ends]
                s, t = (_softmax(np.tanh(np.array(graph))) for graph in graphs)
                losses[row] += sum(a * math.log(a / b) for a, b in zip(s, t, strict=True))
    return losses


def mhgd_estimator(teacher: list[Array], estimator: dict[str, Array], heads: int = 4) -> Array:
    """The attention's own loss: one minus the cosine of each head's estimate."""
    vectors = [directions(t, t)[1] for t in teacher]
    losses = np.zeros(len(teacher[0]))
    for link, (before, after) in enumerate(itertools.pairwise(vectors)):
        weights = {k.removeprefix(f"links.{link}."): v for k, v in estimator.items() if f"links.{link}." in k}
        out = after.shape[1]
        width = (before.shape[1] + out) // 2
        sent, received = _standardised(after, weights, "sender"), _standardised(before, weights, "receiver")
        values = np.maximum(_standardised(before, weights, "value"), 0)
        for head in range(heads):
            part, own = slice(head * width, (head + 1) * width), slice(head * out, (head + 1) * out)
            for row in range(len(losses)):
                shares = _softmax(np.array([np.dot(sent[row, part], other[part]) for other in received]))
                estimate = weights["out.weight"][own] @ (shares @ values) + weights["out.bias"][own]
                cosine = np.dot(estimate, after[row]) / np.linalg.norm(estimate) / np.linalg.norm(after[row])
                losses[row] += (1 - cosine) / heads
    return losses


def quantised(teacher: Array, bits: int = 4) -> Array:
    """Each value put on the nearest level between its example's least and greatest."""
    found = []
    for t in teacher:
        levels = np.linspace(t.min(), t.max(), 2**bits)
        found.append(np.array([levels[np.argmin(abs(levels - value))] for value in t.flat]).reshape(t.shape))
    return np.array(found)


def qfr(student: Array, teacher: Array, bits: int = 4) -> Array:
    """Mean of squares to what is left of the teacher's."""
    return fitnets(student, quantised(teacher, bits))


ORACLES: dict[str, Callable[..., Array]] = {
    "kd": kd,
    "fitnets": fitnets,
    "attention": attention,
    "rkd": rkd,
    "kd_svd": kd_svd,
    "mhgd": mhgd,
    "qfr": qfr,
    **logits.ORACLES,
    **relations.ORACLES,
    **dense.ORACLES,
    **parity.ORACLES,
}

#: The losses of learned parts that have their own: (teacher, weights) -> [B].
ESTIMATORS: dict[str, Callable[..., Array]] = {"mhgd": mhgd_estimator}

#: The student's feature that is best, given the teacher's, where it is not the teacher's own.
BEST: dict[str, Callable[[Array], Array]] = {"qfr": quantised, **logits.BEST}

#: The loss of the best student where it is not zero, given what is read of the teacher.
LEAST: dict[str, Callable[[Array], Array]] = {**logits.LEAST, **parity.LEAST}

#: Settings under which an equal student is best, where it is not under the defaults.
BEST_SETTINGS: dict[str, dict[str, Any]] = logits.BEST_SETTINGS

#: Settings other than the defaults, to try the oracle with.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "kd": [{"temperature": 1.5}],
    "rkd": [{"distance": 1.0, "angle": 3.0, "normalise": True}],
    "kd_svd": [{"candidates": 2, "spread": 0.5}],
    "qfr": [{"bits": 2}],
    **logits.SETTINGS,
    **relations.SETTINGS,
    **dense.SETTINGS,
    **parity.SETTINGS,
}


_TRIANGLE = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]  # sides 3, 4, 5: their mean is 4; cosines 0, 3/5, 4/5
_EQUAL_SIDES = [[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]]  # every side the mean; every cosine 1/2
_NEAR = 1 / (1 + math.exp(-2 * math.tanh(0.25 / (0.25 + 1e-5))))

WORKED: dict[str, list[Worked]] = {
    # At T = 2 the teacher says 3/4, 1/4 and the student 1/2, 1/2.
    "kd": [
        Worked(
            [[0.0, 0.0]],
            [[2 * math.log(3), 0.0]],
            [4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))],
            {"temperature": 2.0},
        )
    ],
    "fitnets": [Worked([[1.0, 2.0]], [[3.0, 2.0]], [2.0])],
    # The student's map is (3, 4) / 5, the teacher's (1, 0): (0.16 + 0.64) / 2.
    "attention": [Worked([[[[math.sqrt(3), 2.0]]]], [[[[7.0, 0.0]]]], [0.4])],
    # Vectors are their own directions: (3, 4) / 5 and (1, 0) against (1, 0) twice; with this spread R is 2 ** -(x * x).
    "kd_svd": [
        Worked(
            [[[3.0, 4.0]], [[2.0, 0.0]]],
            [[[1.0, 0.0]], [[1.0, 0.0]]],
            [(2**-0.16 - 1) ** 2 + (2**-0.04 - 0.5) ** 2 + (2**-0.36 - 0.5) ** 2 + (2**-0.64 - 1) ** 2],
            {"spread": 1 / math.log(2)},
        )
    ],
    # Every head looks at the first entry alone. The teacher's images differ in it and get +-q; the student's later ones
    # do not, so that they attend to both alike.
    "mhgd": [
        Worked(
            [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]],
            [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]],
            [-2 * math.log(4 * _NEAR * (1 - _NEAR))] * 2,
            weights={
                **{f"links.0.{end}.linear.weight": [[1.0, 0.0], [0.0, 0.0]] * 4 for end in ("sender", "receiver")},
                **{f"links.0.{end}.gain": [1.0] * 8 for end in ("sender", "receiver")},
            },
        )
    ],
    # One bit leaves 0 and 2: 0.4 becomes 0.
    "qfr": [Worked([[0.0, 1.0, 2.0]], [[0.0, 0.4, 2.0]], [1 / 3], {"bits": 1})],
    "rkd": [
        Worked(_TRIANGLE, _EQUAL_SIDES, [1 / 96, 2 / 96, 1 / 96], {"distance": 1.0, "angle": 0.0}),
        Worked(_TRIANGLE, _EQUAL_SIDES, [0.25 / 9, 0.01 / 9, 0.09 / 9], {"distance": 0.0, "angle": 1.0}),
    ],
    **logits.WORKED,
    **relations.WORKED,
    **dense.WORKED,
    **parity.WORKED,
}

#: The total loss before and after 20 steps, in double precision; see test_twenty_steps_are_as_they_were.
PINNED: dict[str, tuple[float, float]] = {
    "ab": (29.041772114106347, 5.468708016126994),
    "attention": (47.01756132365443, 6.540593900191721),
    "cat_kd": (8.744825397508778, 2.1211138041524618),
    "cirkd": (4.346233131205585, 2.4612703510855782),
    "correlation": (1.7467730359988562, 1.5479722182969553),
    "crd": (24.886779736510515, 7.743263163260657),
    "crld": (3.6935759614834813, 2.966519220655851),
    "ctkd": (1.9414008921065442, 1.555797626591854),
    "cwd": (4.351677004509291, 1.6380817872024902),
    "defeat": (7.895529667463886, 0.17165114508619558),
    "dist": (4.4489055358079685, 2.125020168540453),
    "dist_plus": (3.6796826599861374, 2.209139030459373),
    "dkd": (3.445582877805729, 1.738065957511266),
    "fcfd": (6.595884546972183, 2.02053020605587),
    "fgd": (0.18497086340403052, 0.019602736760919406),
    "fitnets": (30.026956792149146, 2.2579503113678068),
    "fsp": (2.25560391632252, 1.5942819555697376),
    "ft": (38.45136508001871, 7.856630349099961),
    "hidden_cosine": (2.6028439352304202, 1.5943391599461398),
    "ickd": (5.598573568559293, 2.6316852335901864),
    "ifvd": (26.86136954871708, 5.524694332509636),
    "kd": (1.941860882103779, 1.5563703140797247),
    "kd_svd": (1.8231143495917166, 1.59809520748816),
    "kta": (52.437313663379456, 4.179350908529325),
    "ld": (2.372357225008306, 2.349881855963381),
    "logit_standardisation": (14.39161027928435, 3.004091821506903),
    "manifold": (2.585437410200888, 1.9967068039340798),
    "match": (1.8339565341900141, 1.5725142554005922),
    "mgd": (1.745453069270095, 1.5446454530744413),
    "mhgd": (5.0131439705885, 3.947343645291893),
    "minilm": (2.602202403211027, 1.5835630550676614),
    "minilm_v2": (3.030582713829041, 1.5759257752291929),
    "mixstd": (3.0780612764096986, 2.0863944473194467),
    "mlkd": (3.855894254749686, 1.9085058266049093),
    "nkd": (4.443011303535929, 3.849759901549341),
    "norm_direction": (4.629994183557368, 1.7332769158550816),
    "nst": (18.534550267695764, 7.6896581857878825),
    "ofa": (6.963023843523635, 6.327979947590762),
    "ofd": (1.9641129911997657, 1.747713614975921),
    "output_match": (2.1972629950704645, 1.5507456394812769),
    "pad": (1.9841861775564278, 1.4785222632526906),
    "pairwise": (1.7979481487150837, 1.5501468989002112),
    "patient": (7.99128993479397, 1.7081064470683351),
    "pearson_kd": (7.377393066076438, 3.91402272937007),
    "pkt": (2.0242063680718743, 1.5843820009383511),
    "qfr": (1.7654568117593734, 1.5579457718442382),
    "reverse_kd": (1.9413588466927096, 1.557347670739472),
    "review_kd": (14.537068320046869, 1.7853842330715446),
    "quadratic_kd": (2.018233466136664, 1.5515768881503516),
    "rkd": (12.40495237501633, 2.251567383045394),
    "sdd": (1.973242081479765, 1.5803361221168384),
    "semckd": (96.68390752056588, 2.974912626098867),
    "similarity": (11.508595367546338, 1.7539461704982486),
    "simkd": (2.21559528225959, 1.7636357176286124),
    "skd_direction": (2.0570593053509643, 1.6618057590196122),
    "soft_cross_entropy": (3.5294536920870287, 3.1252831651725526),
    "srd": (14.01315415289559, 9.722090351559512),
    "srrl": (1.9333354255586064, 1.667005193252245),
    "tinybert_attention": (8.07292999197275, 1.6678259511754139),
    "tinybert_hidden": (2.457787501476626, 1.61897218074263),
    "ttm": (6.040917150581917, 1.6073408003197776),
    "uskd": (3.614843005740611, 3.047160507193148),
    "vid": (3.369463265407859, 3.164302241312937),
    "vitkd": (1.7479375710350011, 1.5470145001761835),
    "vkd": (2.033148220841111, 1.8030619678346604),
    "wsld": (2.0999490936926994, 1.5470338946027058),
    **peers.PINNED,
}
