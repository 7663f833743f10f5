"""The verbs `examine` and `trapped`: where training rests, and explicit states where it rests without being perfect."""

import dataclasses
import math

import numpy as np

from steode.errors import SpecificationError, UnsupportedError
from steode.systems.classification.gradients import gradients, sampled_gradients
from steode.systems.classification.hull import spans
from steode.systems.classification.simulate import check_weights
from steode.systems.classification.spec import ClassificationModel, check_model

AT_REST = 1e-12
"""Norm of a coarse gradient that counts as zero: rounding of the integrals."""
KINDS = ("saturated", "uncovered")
FAR, NEAR = 3.0, 0.01
"""Lengths of saturated neurons in units of (2^b - 1)/r_0, and of neurons on the lowest level in units of 1/r_1."""
SAMPLES = 100_000


@dataclasses.dataclass(frozen=True)
class ClassState:
    """What training finds in the subspace of one class.

    Attributes
    ----------
    number : of the class.
    kind : "perfect" (no loss, so that nothing moves), "trapped" (loss, and a coarse gradient of zero), or "moving".
    loss : mean loss of the class.
    positive : share of its samples with positive loss.
    coarse : norm of the part of E g that lies in the subspace, with all neurons.
    covered : True if 0 lies inside the convex hull of the class's own neurons there: for every sample one is on.
    """

    number: int
    kind: str
    loss: float
    positive: float
    coarse: float
    covered: bool


def examine(model: ClassificationModel, weights, *, key: int = 0) -> tuple[ClassState, ...]:
    """For each class: perfect, trapped or moving.

    By integrals where all d_i = 2, otherwise on 100,000 samples.

    Parameters
    ----------
    model : the specification.
    weights : W in the coordinates of the subspaces, (K, sum of d_i).
    key : of the random numbers, if any.

    Raises `SpecificationError` if the weights have another shape.
    """
    check_model(model)
    weights = check_weights("weights", model, weights)
    planes = set(model.dimensions) == {2}
    found = gradients(model, weights) if planes else sampled_gradients(model, weights, SAMPLES, key=key)
    states = []
    for number, block in enumerate(model.blocks):
        norm = float(np.linalg.norm(found.coarse[:, block]))
        moving = "moving" if norm > AT_REST else "trapped"
        kind = "perfect" if found.positive[number] == 0 else moving
        covered = spans(weights[model.votes == number, block])
        loss, positive = float(found.loss[number]), float(found.positive[number])
        states.append(ClassState(number, kind, loss, positive, norm, covered))
    return tuple(states)


def trapped(model: ClassificationModel, kind: str) -> np.ndarray:
    """Weights with positive loss in every class at which a coarse gradient vanishes; every d_i = 2.

    "saturated": three own neurons at angles 0 and +-120 degrees cover the plane, but one neuron of the next class lies
    on the first of them and is as long. Within 30 degrees of both they tie, and both are far beyond the highest level.
    With mu' = 0 there nothing moves; with a lower bound everything does.

    "uncovered": three own neurons at angles 0 and +-60 degrees leave a cone of 60 degrees where no neuron at all is on.
    Every mu' that vanishes for x <= 0 leaves it so.

    All conditions are strict inequalities (between neurons of the class and of the next one), so that an open set of
    weights around is trapped as well; in "saturated" the two that tie may move apart by any angle less than the width
    of the band in which they are not saturated.

    Parameters
    ----------
    model : the specification, with at least three neurons for each class, and at most 2^b - 1.
    kind : "saturated" or "uncovered".

    Returns
    -------
    W in the coordinates of the subspaces, (K, sum of d_i).

    Raises
    ------
    SpecificationError
        If there is no such kind, or the numbers of neurons do not fit.
    UnsupportedError
        If a subspace is no plane.
    """
    check_model(model)
    if kind not in KINDS:
        raise SpecificationError("kind", "one of " + ", ".join(KINDS), kind, "See the documentation of each.")
    if set(model.dimensions) != {2}:
        raise UnsupportedError("trapped: explicit states for subspaces of dimension 2 only.")
    counts = model.neurons_per_class
    if min(counts) < 3 or max(counts) > model.top or model.margin > 1:
        expected = f"3 to {model.top} neurons for each class, and a vote >= 1"
        raise SpecificationError("model", expected, counts, "Raise bits, or change neurons_per_class.")
    long, short = FAR * model.top / model.radii[0], NEAR / model.radii[1]
    apart = 120 if kind == "saturated" else 60
    weights = np.zeros((model.neurons, sum(model.dimensions)))
    for number, block in enumerate(model.blocks):
        for votes in range(model.classes):
            size = counts[votes]
            if votes == number:
                # further ones lie on the last two
                angles = [0, *(apart * (1 - 2 * (place % 2)) for place in range(size - 1))]
                lengths = [long] * size
            elif kind == "uncovered":
                angles, lengths = [0] * size, [short] * size
            elif votes == (number + 1) % model.classes:
                angles, lengths = [0, *[180] * (size - 1)], [long, *[short] * (size - 1)]
            else:
                angles, lengths = [120 * (1 - 2 * (place % 2)) for place in range(size)], [short] * size
            turned = [(math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in angles]
            weights[model.votes == votes, block] = np.array(lengths)[:, None] * np.array(turned)
    return weights
