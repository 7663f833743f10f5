"""Errors of weights that depend on the teacher weight and the eigenvalue of their coordinate alone."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from steode.parts.laws import ContinuousLaw
from steode.parts.quantizers import EntrywiseMap, StepFunction
from steode.parts.stochastic import StochasticMap, grid_of
from steode.solvers import latent, self_consistency
from steode.solvers.equations import Problem
from steode.systems.linear.fixed_point import FixedPoint

NODES = 64
"""Points of the teacher law's quadrature, besides two for every panel between the points where rounding changes."""


@dataclasses.dataclass(frozen=True)
class Row:
    """The coordinates of one eigenvalue.

    Attributes
    ----------
    share : their fraction of all coordinates.
    alpha_2, ratio : E[Q_x^2], and alpha_1/alpha_2, the target of a teacher weight over it.
    problem : the equations of these coordinates, under the force of the fixed point.
    """

    share: float
    alpha_2: float
    ratio: float
    problem: Problem

    def teacher_at(self, targets: np.ndarray) -> np.ndarray:
        """Teacher weights with these targets, increasing; none where all targets are 0."""
        return np.sort(targets / self.ratio) if self.ratio else np.zeros(0)


Image = Callable[[Row, np.ndarray], tuple[np.ndarray, np.ndarray | float]]
"""Mean and variance of the deployed weight of each teacher weight."""


class Deployed:
    """Errors of what may be deployed at a fixed point; 64-bit floats have to be on."""

    def __init__(self, point: FixedPoint):
        problem = point.problem
        self.point, self.strength = point, 0.0
        if point.V > 0:
            problem, strength = problem.under(jnp.asarray(point.force))
            self.strength = float(strength)
        weights, values = np.asarray(problem.teacher_weights), problem.eigenvalues
        if values is None:
            self.rows = [_row(1.0, problem, None)]
        else:
            own, index = np.unique(np.asarray(values), return_inverse=True)
            shares = np.bincount(index, weights)
            self.rows = [_row(share, problem, value) for share, value in zip(shares, own, strict=True)]

    def error(self, image: Image, jumps: Callable[[Row], np.ndarray]) -> float:
        """The error of an image, integrated over the teacher law between its jumps."""
        gap, power = 0.0, 0.0
        for row in self.rows:
            nodes, weights = self._quadrature(jumps(row))
            mean, variance = image(row, nodes)
            gap += row.share * row.alpha_2 * float(weights @ ((mean - row.ratio * nodes) ** 2 + variance))
            power += row.share * row.alpha_2 * float(weights @ (mean**2 + variance))
        return self.point.input_term + gap / 2 + self._noise_of_output(power)

    def _quadrature(self, jumps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.point.model.teacher.quadrature(jumps, NODES + 2 * jumps.size)

    def _noise_of_output(self, power: float) -> float:
        output = self.point.problem.output
        return 0.0 if output is None else float(output.gaussian_square(jnp.zeros(()), power) - power) / 2

    @property
    def averaged(self) -> float:
        """The error of E[Q | w*]."""
        power = 0.0
        if self.strength and self.point.problem.output is not None:
            found = self_consistency.state(self.point.problem, jnp.asarray(self.point.force))
            power = float(found.self_overlap - found.dithering - found.noise)
        elif self.point.problem.output is not None:
            return self.floor
        return self.point.input_term + self.point.clipping_term + self.point.decay_term + self._noise_of_output(power)

    @property
    def floor(self) -> float:
        """The error of the targets, clipped at the range."""
        levels = grid_of(self.point.model.weight_quantizer).levels
        power = 0.0
        for row in self.rows:
            nodes, weights = self._quadrature(row.teacher_at(levels[[0, -1]]))
            power += row.share * row.alpha_2 * float(weights @ np.clip(row.ratio * nodes, levels[0], levels[-1]) ** 2)
        return self.point.input_term + self.point.clipping_term + self._noise_of_output(power)

    @property
    def rounded_average(self) -> float:
        """The error of Q_w(E[w | w*])."""
        quantizer = self.point.model.weight_quantizer
        if not self.strength:
            # latent weights rest, each where its image is its target
            return self.point.eps_g
        changes = {id(row): latent.crossings(row.problem, self.strength) for row in self.rows}

        def image(row: Row, w: np.ndarray):
            if isinstance(quantizer, StepFunction):
                return quantizer.levels[np.searchsorted(changes[id(row)], row.ratio * w, side="right")], 0.0
            return image_of(quantizer, np.asarray(latent.mean_weights(row.problem, self.strength, row.ratio * w)))

        return self.error(image, lambda row: row.teacher_at(changes[id(row)]))

    @property
    def averaged_latent(self) -> float:
        """The error of E[w | w*]."""
        if not self.strength:
            return np.nan
        levels = grid_of(self.point.model.weight_quantizer).levels
        if not self.rows[0].problem.is_pulled and any(self._reaches(row, levels) for row in self.rows):
            return np.inf

        def image(row: Row, w: np.ndarray):
            return np.asarray(latent.mean_weights(row.problem, self.strength, row.ratio * w)), 0.0

        return self.error(image, lambda row: row.teacher_at(levels))

    def _reaches(self, row: Row, levels: np.ndarray) -> bool:
        """Whether targets lie on or beyond the ends of the range, or a continuous law of them reaches it."""
        low, high = self.point.model.teacher.support(0.0)
        ends = row.teacher_at(levels[[0, -1]])
        return bool(ends.size) and not ends[0] < low <= high < ends[1]

    def averaging(self) -> tuple[float, float]:
        """What averages over a time T have beyond `averaged`: the coefficients of 1/T and of -1/T^2."""
        model = self.point.model
        if model.weight_decay or model.dampening:
            return np.nan, np.nan
        levels = grid_of(model.weight_quantizer).levels
        excess, correction = 0.0, 0.0
        for row in self.rows:
            ends = row.teacher_at(levels[[0, -1]])
            nodes, weights = self._quadrature(ends)
            inside = (row.ratio * nodes > levels[0]) & (row.ratio * nodes < levels[-1])
            # the drift is speed (a - Q): averaged over T, Q - a is noise of variance diffusion/(speed^2 T)
            speed = float(row.problem.drift(0.0, 0.0, 0.0) - row.problem.drift(0.0, 1.0, 0.0))
            scale = row.share * row.alpha_2 / speed**2
            excess += scale / 2 * float(row.problem.diffusion(self.strength)) * float(weights @ inside)
            correction += scale * self._variance(row, levels) if self.strength and inside.any() else 0.0
        return excess, correction

    def _variance(self, row: Row, levels: np.ndarray) -> float:
        """E[Var(w | w*)] over targets inside the range; infinite where a continuous law reaches its ends."""
        if isinstance(self.point.model.teacher, ContinuousLaw) and self._reaches(row, levels):
            return np.inf
        nodes, weights = self._quadrature(row.teacher_at(levels))
        inside = (row.ratio * nodes > levels[0]) & (row.ratio * nodes < levels[-1])
        variances = latent.weight_variances(row.problem, self.strength, row.ratio * nodes[inside])
        return float(weights[inside] @ np.asarray(variances))


def _row(share: float, problem: Problem, value: float | None) -> Row:
    one = {"teacher": jnp.ones(1), "teacher_weights": jnp.ones(1)}
    own = dataclasses.replace(problem, eigenvalues=None if value is None else jnp.asarray(value), **one)
    alpha_1, alpha_2 = float(own.alpha_1), float(own.alpha_2)
    return Row(float(share), alpha_2, alpha_1 / alpha_2, own)


def image_of(quantizer: EntrywiseMap, u: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
    """Mean and variance of one draw of Q(u)."""
    if isinstance(quantizer, StochasticMap):
        return quantizer.mean(u), quantizer.variance(u)
    return quantizer(u), 0.0
