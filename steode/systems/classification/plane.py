"""Expected loss and coarse gradient of a class in a plane, as an integral over angle and length.

On a circle of radius r all that jumps does so at known angles: where a pre-activation r |w| cos(phi - psi) crosses a
level of the staircase or a kink of mu'. Between two of them the error set either holds the arc or not, and what is left
is smooth: Gauss-Legendre on each arc, and over the lengths. Nothing here is shared with the simulation.
"""

import numpy as np

from steode.systems.binary_relu.surrogates import Surrogate

NODES = 8
"""Gauss-Legendre points on every arc."""


def plane_averages(
    weights: np.ndarray,
    votes: np.ndarray,
    number: int,
    *,
    classes: int,
    top: int,
    vote: float,
    surrogate: Surrogate,
    radii: tuple[float, float],
    lengths: int = 48,
) -> tuple[float, float, np.ndarray]:
    """Mean loss, share of positive loss, and mean coarse gradient (K, 2) over samples of one class.

    Parameters
    ----------
    weights : (K, 2), of all neurons in the plane of the class.
    votes : (K,), class of each neuron.
    number : the class the samples are of.
    classes, top, vote, surrogate, radii : as in the model; `surrogate` is mu' with the number of bits put in.
    lengths : Gauss-Legendre points over the length r.
    """
    low, high = radii
    nodes, masses = np.polynomial.legendre.leggauss(lengths)
    if low == high:
        nodes, masses = np.zeros(1), np.full(1, 2.0)
    loss, positive, gradient = 0.0, 0.0, np.zeros((len(votes), 2))
    member = (votes[:, None] == np.arange(classes)[None, :]).astype(float)
    for radius, mass in zip((low + high + (high - low) * nodes) / 2, masses / 2, strict=True):
        angles = _jumps(weights, radius, [*range(top), *surrogate.kinks])
        middle, width = (angles[1:] + angles[:-1]) / 2, np.diff(angles)
        kept = width > 1e-14
        middle, width = middle[kept], width[kept]
        value, push = _errors(radius * _hidden(weights, middle), member, number, top, vote)
        share = mass * width / (2 * np.pi)
        loss += share @ value
        positive += share @ (value > 0)
        on = value > 0
        points, inside = np.polynomial.legendre.leggauss(NODES)
        phi = middle[on, None] + width[on, None] * points[None, :] / 2
        slope = surrogate(radius * _hidden(weights, phi))
        along = np.stack([np.cos(phi), np.sin(phi)], axis=-1)
        gradient -= radius * np.einsum("a,ak,n,ank,and->kd", share[on], push[on], inside / 2, slope, along)
    return float(loss), float(positive), gradient


def _hidden(weights: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """w.s for directions s at the angles phi: shape of phi, then K."""
    return np.cos(phi)[..., None] * weights[:, 0] + np.sin(phi)[..., None] * weights[:, 1]


def _jumps(weights: np.ndarray, radius: float, heights: list[float]) -> np.ndarray:
    """Sorted angles in [-pi, pi] at which some pre-activation has one of the heights, both ends among them."""
    size, psi = radius * np.hypot(*weights.T), np.arctan2(weights[:, 1], weights[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.arccos(np.array(heights, float)[:, None] / size[None, :])
    angles = np.concatenate([psi[None, :] - half, psi[None, :] + half]).ravel()
    angles = (angles[np.isfinite(angles)] + np.pi) % (2 * np.pi) - np.pi
    return np.concatenate([[-np.pi], np.sort(angles), [np.pi]])


def _errors(
    hidden: np.ndarray, member: np.ndarray, number: int, top: int, vote: float
) -> tuple[np.ndarray, np.ndarray]:
    """Loss on each arc (A,), and minus its derivative with respect to h without mu', (A, K)."""
    sums = np.clip(np.ceil(hidden), 0, top) @ member
    rivals = np.delete(np.arange(member.shape[1]), number)
    best = sums[:, rivals].max(axis=1)
    loss = np.maximum(0, 1 - vote * (sums[:, number] - best))
    pull = np.zeros_like(sums)
    tied = sums[:, rivals] == best[:, None]
    pull[:, rivals] = -1.0 * tied / tied.sum(axis=1, keepdims=True)
    pull[:, number] = 1
    return loss, vote * (loss > 0)[:, None] * pull @ member.T


def arcs_with_loss(weights: np.ndarray, model, number: int, radius: float | None = None) -> list[tuple[float, float]]:
    """Arcs (first angle, last angle) of samples of a class with positive loss, at one length; None: the mean length.

    Parameters
    ----------
    weights : (K, 2), of all neurons in the plane of the class.
    model : a `ClassificationModel`.
    number : the class the samples are of.
    radius : length r of the samples.
    """
    radius = sum(model.radii) / 2 if radius is None else radius
    angles = _jumps(weights, radius, list(range(model.top)))
    middle = (angles[1:] + angles[:-1]) / 2
    member = (model.votes[:, None] == np.arange(model.classes)[None, :]).astype(float)
    loss, _ = _errors(radius * _hidden(weights, middle), member, number, model.top, model.vote)
    found: list[tuple[float, float]] = []
    for start, stop, bad in zip(angles[:-1], angles[1:], loss > 0, strict=True):
        if bad and stop > start:
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((float(start), float(stop)))
    return found
