r"""Gaussian averages of an output that is not linear, by quadrature over the two pre-activations.

Given h the teacher's pre-activation is normal, h* ~ N(M, S), M = (m/q) h, S = rho - m^2/q. Let e_1(h, M) and e_2(h, M)
be the conditional mean and second moment of Q_o(f(h) - Q_l(f_*(h*) + sigma xi)). Then, by Stein's lemma in h* given h,

    c_* = E[f'(h) de_1/dM],   c_h = (E[e h] - m c_*)/q,   c_2 = E[f'(h)^2 e_2],

which needs no division by S and so holds up to perfect recovery. A linear teacher's label is normal given h, and every
inner average is a closed form; a quantized teacher's label has a few values; a smooth one is integrated. The average
over h is cut at the jumps of f and f', where a smooth f or f' is narrow, and around the points where a label given h
passes from one value to the next.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc
from jaxtyping import Array, Float

from steode.solvers.entrywise import IdentityMap, Map, StepMap
from steode.solvers.random_maps import NoisyMap, RoundingMap

REACH = 9.0
"""Standard deviations of h that are integrated."""
PANELS = np.linspace(-REACH, REACH, 25)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)


def inner_rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the trapezoidal rule for a standard normal variable."""
    nodes = np.linspace(-8.0, 8.0, count)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


INNER_COUNT = 321
INNER_NODES, INNER_WEIGHTS = inner_rule(INNER_COUNT)
"""Trapezoidal rule for h* given h: exact to rounding for what is smooth over 0.1, 1e-4 of the change of slope at kinks.
"""
BISECTIONS = 60
PASSAGE = np.array([-8.0, -2.5, 0.0, 2.5, 8.0])
"""Cuts around a passage of the label from one value to the next, in standard deviations of the label given h."""
LEAST = 1e-14
"""Smallest variance, as a fraction of the labels', of a Gaussian that is averaged over a jump."""


class Averages(NamedTuple):
    """The averages of an output at given overlaps."""

    student_response: Array
    teacher_response: Array
    residual_square: Array
    loss_square: Array
    error_square: Array


class Conditional(NamedTuple):
    """Moments given h: mean and square of the residual behind Q_o, squares of the loss and of the error."""

    mean: Array
    square: Array
    loss: Array
    error: Array


class GeneralOutput(eqx.Module):
    """Maps of output, teacher's output, labels and residual, and the surrogate derivative of the output."""

    activation: Map
    backward: Callable | None = eqx.field(static=True)  # None: 1, within the band
    band: Float[Array, " 2"] | None
    teacher_map: Map
    label_map: Map
    residual_map: Map
    cuts: Float[Array, " n"]  # of h, where smooth maps of it need them: see `steode.solvers.cuts`

    def averages(self, m, q, rho, sigma) -> Averages:
        """Every average at overlaps m, q and rho and label noise sigma."""
        scale = jnp.sqrt(jnp.maximum(q, LEAST * rho))
        slope = m / scale**2
        spread = jnp.maximum(rho - m * slope, LEAST * rho)
        u, weights = _rule(self._edges(scale, slope, spread, sigma))
        h = scale * u
        surrogate = self._surrogate(h)

        def given(mean):
            return self._conditional(h, mean, spread, sigma)

        value, change = jax.jvp(given, (slope * h,), (jnp.ones_like(h),))
        teacher_response = weights @ (surrogate * change.mean)
        student_response = (weights @ (surrogate * value.mean * h) - m * teacher_response) / scale**2
        return Averages(
            student_response,
            teacher_response,
            weights @ (surrogate**2 * value.square),
            weights @ value.loss,
            weights @ value.error,
        )

    def _surrogate(self, h):
        values = jnp.ones_like(h) if self.backward is None else self.backward(h) * jnp.ones_like(h)
        if self.band is None:
            return values
        return jnp.where((h > self.band[0]) & (h < self.band[1]), values, 0.0)

    def _edges(self, scale, slope, spread, sigma):
        jumps = [self.cuts]
        jumps += [self.activation.thresholds] if isinstance(self.activation, StepMap) else []
        jumps += [] if self.band is None else [self.band]
        if isinstance(self.activation, RoundingMap):
            jumps.append(self.activation.levels)
        # near perfect recovery the label changes within a narrow passage as its mean crosses a threshold
        for steps, variance in ((self.label_map, spread + sigma**2), (self.teacher_map, spread)):
            if isinstance(steps, StepMap):
                passages = steps.thresholds[:, None] + jnp.sqrt(variance) * jnp.asarray(PASSAGE)[None, :]
                jumps.append(passages.reshape(-1) / jnp.where(slope == 0, 1.0, slope))
        if isinstance(self.residual_map, StepMap) and not isinstance(self.activation, StepMap):
            jumps += [self._preimages(edge, scale) for edge in self._residual_edges()]
        inner = jnp.concatenate(jumps) / scale
        return jnp.sort(jnp.concatenate([jnp.asarray(PANELS), jnp.clip(inner, -REACH, REACH)]))

    def _residual_edges(self):
        """Outputs at which the residual's map jumps for one of the labels' values, if those are discrete."""
        maps = [entry for entry in (self.label_map, self.teacher_map) if isinstance(entry, StepMap | RoundingMap)]
        return [(self.residual_map.thresholds[:, None] + maps[0].levels[None, :]).reshape(-1)] if maps else []

    def _preimages(self, values, scale):
        """Where a nondecreasing f takes these values."""
        if isinstance(self.activation, IdentityMap):
            return values

        def halve(_, ends):
            middle = (ends[0] + ends[1]) / 2
            below = self.activation(middle) < values
            return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

        far = REACH * scale * jnp.ones_like(values)
        return jax.lax.fori_loop(0, BISECTIONS, halve, (-far, far))[0]

    def _conditional(self, h, mean, spread, sigma) -> Conditional:
        image, image_square = self.activation(h), self.activation.square(h)
        clean_mean, clean_square = self._label_moments(mean, spread)
        error = image_square - 2 * image * clean_mean + clean_square
        if isinstance(self.label_map, IdentityMap | NoisyMap):
            label_mean = clean_mean
            label_square = self.label_map.gaussian_square(0 * clean_mean, clean_square + sigma**2)
        else:
            centers, chances, variance = self._labels(mean, spread, sigma)
            label_mean = jnp.sum(chances * self.label_map.gaussian_mean(centers, variance + 0 * centers), axis=-1)
            label_square = jnp.sum(chances * self.label_map.gaussian_square(centers, variance + 0 * centers), axis=-1)
        loss = image_square - 2 * image * label_mean + label_square
        if isinstance(self.residual_map, IdentityMap | NoisyMap):
            second = self.residual_map.square(jnp.sqrt(jnp.maximum(loss, 0.0)))
            return Conditional(image - label_mean, second, loss, error)
        centers, chances, variance = self._labels(mean, spread, sigma)
        if isinstance(self.label_map, StepMap | RoundingMap):
            levels, shares = self._level_shares(centers, chances, variance)
            residuals = image[:, None] - levels[None, :]
            first = jnp.sum(shares * self.residual_map(residuals), axis=-1)
            second = jnp.sum(shares * self.residual_map.square(residuals), axis=-1)
            return Conditional(first, second, loss, error)
        noise = variance + (self.label_map.added if isinstance(self.label_map, NoisyMap) else 0.0)
        residuals = image[:, None] - centers
        first = jnp.sum(chances * self.residual_map.gaussian_mean(residuals, noise + 0 * residuals), axis=-1)
        second = jnp.sum(chances * self.residual_map.gaussian_square(residuals, noise + 0 * residuals), axis=-1)
        return Conditional(first, second, loss, error)

    def _label_moments(self, mean, spread):
        """Mean and square of the teacher's noiseless output given h."""
        if isinstance(self.teacher_map, IdentityMap | StepMap):
            arguments = mean, spread + 0 * mean
            return self.teacher_map.gaussian_mean(*arguments), self.teacher_map.gaussian_square(*arguments)
        values = self.teacher_map(mean[:, None] + jnp.sqrt(spread) * jnp.asarray(INNER_NODES)[None, :])
        return values @ jnp.asarray(INNER_WEIGHTS), values**2 @ jnp.asarray(INNER_WEIGHTS)

    def _labels(self, mean, spread, sigma):
        """The noisy label given h as a mixture of normals: centers and chances (N, n), and their common variance."""
        least = LEAST * spread + 1e-300
        if isinstance(self.teacher_map, IdentityMap):
            return mean[:, None], jnp.ones((1, 1)), spread + sigma**2
        if isinstance(self.teacher_map, StepMap):
            levels, chances = _shares(self.teacher_map.thresholds, mean[:, None], spread), self.teacher_map.levels
            return jnp.broadcast_to(chances[None, :], levels.shape), levels, sigma**2 + least
        points = mean[:, None] + jnp.sqrt(spread) * jnp.asarray(INNER_NODES)[None, :]
        weights = jnp.asarray(INNER_WEIGHTS)[None, :]
        return self.teacher_map(points), weights, sigma**2 + least

    def _level_shares(self, centers, chances, variance):
        """Levels of the label map, and the probability of each given h."""
        if isinstance(self.label_map, StepMap):
            shares = _shares(self.label_map.thresholds, centers[..., None], variance)
            return self.label_map.levels, jnp.sum(chances[..., None] * shares, axis=1)
        levels = self.label_map.levels
        # stochastic rounding: a level's chance is a hat function between its neighbors
        excess = _excess(levels, centers[..., None], variance)
        slopes = jnp.diff(excess, axis=-1) / jnp.diff(levels)[None, None, :]
        above = jnp.concatenate([jnp.ones((*slopes.shape[:-1], 1)), -slopes], axis=-1)
        above = above.at[..., 0].set(1.0)
        shares = above - jnp.concatenate([above[..., 1:], jnp.zeros((*slopes.shape[:-1], 1))], axis=-1)
        return levels, jnp.sum(chances[..., None] * shares, axis=1)


def _rule(edges):
    """Gauss-Legendre nodes in every panel, and weights of the standard normal law that sum to 1."""
    halves = jnp.diff(edges)[:, None] / 2
    points = (edges[:-1, None] + halves * (1 + jnp.asarray(NODES)[None, :])).reshape(-1)
    weights = (halves * jnp.asarray(WEIGHTS)[None, :]).reshape(-1) * jnp.exp(-(points**2) / 2)
    return points, weights / jnp.sum(weights)


def _tail(points, center, variance):
    """P(y > point) for y ~ N(center, variance), along a new last axis."""
    points = jnp.reshape(points, (1,) * (center.ndim - 1) + (-1,))
    return erfc((points - center) / jnp.sqrt(2 * variance)) / 2


def _shares(thresholds, center, variance):
    """Probability of each cell between thresholds, for y ~ N(center, variance)."""
    tails = _tail(thresholds, center, variance)
    one = jnp.ones((*tails.shape[:-1], 1))
    return jnp.concatenate([one, tails], axis=-1) - jnp.concatenate([tails, 0 * one], axis=-1)


def _excess(points, center, variance):
    """E (y - point)_+ for y ~ N(center, variance)."""
    points = jnp.reshape(points, (1,) * (center.ndim - 1) + (-1,))
    u = (points - center) / jnp.sqrt(variance)
    return jnp.sqrt(variance) * (jnp.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) - u * erfc(u / np.sqrt(2.0)) / 2)
