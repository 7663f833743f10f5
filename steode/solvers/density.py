r"""The density equation: an exponentially fitted finite-volume scheme in space, positive and implicit in time.

Space. Unknowns are the masses p_i in the control volumes of the nodes. Between neighboring nodes the drift f is
constant (thresholds are nodes; weight decay is taken at the middle), so the flux solves a two-point problem exactly
(Scharfetter-Gummel, Chang-Cooper):

    J = (D/h) [ B(-f h/D) s_i mu_i - B(f h/D) s_{i+1} mu_{i+1} ],   B(x) = x/(e^x - 1),   D = diffusion/2,

with mu = p/volume and s the surrogate derivative at the node, 0 or 1. A smooth one has s^2 in its place, and f/s for
the drift, as the diffusion of a weight is proportional to s^2 and its drift to s. The stationary density is
reproduced exactly at the nodes; frozen nodes (s = 0) absorb, which is the boundary condition of the clipped
surrogate. Second order in the mesh width.

Time. TR-BDF2, second order and L-stable, with V (or the averages of the output) iterated to the implicit stage values
and its third-order error estimate driving the step size. No method of order above one is positive for every step
size; where a step leaves a negative mass it is set to zero and the others are scaled to the same total, and the change
counts as part of the step's error, so that a step for which it matters is refused. States are nonnegative and mass is
kept to rounding.

Sources: Scharfetter and Gummel 1969; Chang and Cooper 1970; Bank et al. 1985; Hosea and Shampine 1996.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers import time_step
from steode.solvers.entrywise import StepMap, interval_images, interval_squares
from steode.solvers.equations import Problem, rows
from steode.solvers.exponential_fit import fitted_rates
from steode.solvers.initial import inside
from steode.solvers.libraries import library
from steode.solvers.time_step import Masses
from steode.solvers.time_step import positive_part as positive_part

NO_MASS = 1e-6
"""Probability in a control volume below which the resolution there does not matter."""


class DensityOperator(eqx.Module):
    """The semi-discrete density equation on one mesh; everything that does not depend on V or time is computed once.

    With a schedule, `speed` is that of one moment: `at(time)` gives the operator of another. Arrays are
    NumPy's if the problem's and the nodes are.
    """

    problem: Problem
    nodes: Float[Array, " N"]
    widths: Float[Array, " N-1"]
    volumes: Float[Array, " N"]
    image: Float[Array, " N-1"]  # Q between nodes
    speed: Float[Array, "K N-1"]  # drift between nodes
    mobile: Float[Array, " N"]  # square of the surrogate derivative at the nodes
    between: Float[Array, " N-1"] | None  # the derivative itself between them; None: it is 1 where it is not 0
    at_bound: Float[Array, " N"]  # 1 at the two nodes that absorb, 0 elsewhere
    rightward: Float[Array, " N-1"]  # 1/width times mobile/volume of the node on the left, and
    leftward: Float[Array, " N-1"]  # of that on the right: zero where nothing passes
    node_image: Float[Array, " N"]  # Q and Q^2 averaged over each control volume
    node_square: Float[Array, " N"]
    cells: tuple | None  # of a step function, see `_cells`
    mirrored: bool = eqx.field(static=True, default=False)  # every row stands for its mirror image as well

    def __init__(self, problem: Problem, nodes: Float[Array, " N"], mirrored: bool = False):
        np_or_jnp = library(nodes)
        widths = np_or_jnp.diff(nodes)
        image = interval_images(problem.weight_map, nodes)
        self.problem, self.nodes, self.widths, self.mirrored = problem, nodes, widths, mirrored
        self.volumes = (_left(widths) + _right(widths)) / 2
        self.image = image
        self.speed = self._speed(problem)
        self.mobile, self.at_bound = np.ones(nodes.shape), np.zeros(nodes.shape)
        if problem.band is not None:
            low, high = inside(problem.band)
            self.mobile = ((nodes > low) & (nodes < high)) * 1.0
            # frozen nodes beyond the band, a threshold perhaps, hold what started around them
            low, high = problem.band
            self.at_bound = (1 - self.mobile) * (inside(nodes) >= low) * (inside(nodes) <= high)
        self.between = None
        if problem.mobility is not None:
            slope = lambda w: jnp.broadcast_to(problem.mobility(w), w.shape)  # noqa: E731
            self.mobile, self.between = slope(nodes) ** 2, slope((nodes[1:] + nodes[:-1]) / 2)
        per_mass = self.mobile / self.volumes
        self.rightward, self.leftward = per_mass[:-1] / widths, per_mass[1:] / widths
        self.node_image = self.node_average(image)
        self.node_square = self.node_average(interval_squares(problem.weight_map, nodes))
        self.cells = self._cells() if isinstance(problem.weight_map, StepMap) else None

    def padded(self, size: int) -> "DensityOperator":
        """The same operator on `size` nodes: those that are added stand at the last one, and nothing reaches them."""
        count = size - self.nodes.size

        def at(array, mode, **options):
            return np.pad(array, [(0, 0)] * (np.ndim(array) - 1) + [(0, count)], mode, **options)

        ends = {name: at(getattr(self, name), "edge") for name in ("nodes", "image")}
        zeros = {
            name: at(getattr(self, name), "constant")
            for name in ("widths", "speed", "mobile", "at_bound", "rightward", "leftward", "node_image", "node_square")
        }
        volumes = at(self.volumes, "constant", constant_values=1.0)
        changes = ends | zeros | {"volumes": volumes}
        if self.cells is not None:
            # two halves, of which each is extended
            changes["cells"] = tuple(at(part.reshape(2, -1), "constant").ravel() for part in self.cells)
        return eqx.tree_at(lambda it: [getattr(it, name) for name in changes], self, list(changes.values()))

    def _speed(self, problem: Problem):
        # with weight decay the drift is linear between thresholds: its midpoint keeps the stationary density exact
        middles = (self.nodes[1:] + self.nodes[:-1]) / 2
        return problem.drift(problem.teacher[:, None], self.image[None, :], middles[None, :])

    def at(self, time) -> "DensityOperator":
        """The operator at this time; itself if nothing follows a schedule."""
        if not self.problem.changes:
            return self
        problem = self.problem.at(time)
        return eqx.tree_at(lambda it: (it.problem, it.speed), self, (problem, self._speed(problem)))

    def node_average(self, values):
        """What is given between the nodes, averaged over the control volume of each."""
        widths = self.widths
        average = (_left(values * widths) + _right(values * widths)) / (2 * self.volumes)
        if self.problem.band is None:
            return average
        # weights frozen at an end of the band have just crossed it, so they take the value outside
        where = library(average).where
        outside = where(self.nodes > 0, _right(values), _left(values))
        return where(self.at_bound == 1, outside, average)

    def overlaps(self, masses: Masses, scale=1.0) -> tuple:
        """m, q and V of a state; the nodes are weights in units of `scale`."""
        return self.problem.overlaps(scale * (masses @ self.node_image), scale**2 * (masses @ self.node_square))

    def residual_variance(self, masses: Masses) -> Float[Array, ""]:
        """V of a state."""
        return self.overlaps(masses)[2]

    def force(self, masses: Masses) -> Float[Array, "..."]:
        """What drives the weights in a state: V, or the averages of an output that is not linear."""
        m, q, _ = self.overlaps(masses)
        return self.problem.force(m, q, self.mean_slope(masses) if self.problem.needs_slope else 1.0)

    def mean_slope(self, masses: Masses) -> Float[Array, ""]:
        """E[Q'] = -int Q dmu: every change of Q from interval to interval times the density at the node between."""
        density = self.problem.teacher_weights @ masses / self.volumes
        return jnp.diff(self.image) @ density[1:-1]

    def rates(
        self, force: Float[Array, "..."], scale=None, stretch=0.0
    ) -> tuple[Float[Array, "K N-1"], Float[Array, "K N-1"]]:
        """Rates of probability per unit mass to the right from the left node, and to the left from the right node.

        With a `scale` the nodes are weights in units of it, and it grows at the rate `stretch`, relative to itself.
        """
        speed, diffusivity = self._motion(force, scale, stretch)
        right, left = fitted_rates(speed * self.widths[None, :] / diffusivity)
        return diffusivity * right * self.rightward[None, :], diffusivity * left * self.leftward[None, :]

    def _motion(self, force, scale, stretch) -> tuple:
        """Drift between the nodes and half the diffusion, in the units of the nodes."""
        problem, strength = self.problem.under(force)
        # at V = 0 the scheme becomes the upwind scheme; the tiny constant only avoids dividing 0 by 0 there
        diffusivity = rows(problem.diffusion(strength) / 2 + 1e-300, 2)
        if scale is None:
            speed = self.speed if problem is self.problem else self._speed(problem)
            return speed if self.between is None else speed / self.between[None, :], diffusivity
        middles = ((self.nodes[1:] + self.nodes[:-1]) / 2)[None, :]
        drift = problem.drift(problem.teacher[:, None], scale * self.image[None, :], scale * middles)
        return drift / scale - stretch * middles, diffusivity / scale**2

    def layer_peclet(self, masses: Masses, force: Float[Array, "..."], scale=None, stretch=0.0) -> Float[Array, ""]:
        """Largest |f| h/D where there is mass and Q changes from one interval to the next, as at a threshold.

        Far beyond 1, the layers there are not resolved.
        """
        np_or_jnp = library(masses)
        problem = self.problem
        speed, diffusivity = self._motion(force, scale, stretch)
        peclet = abs(speed) * self.widths[None, :] / diffusivity
        steps = np_or_jnp.concatenate([np.zeros(1), np_or_jnp.diff(self.image), np.zeros(1)])
        shares = rows(problem.teacher_weights, 2) * masses
        matters = ((steps != 0) * self.mobile)[None, :] * shares > NO_MASS
        return np_or_jnp.max(np_or_jnp.where(matters[:, 1:] | matters[:, :-1], peclet, 0.0))

    def apply(self, rates, masses: Masses) -> Masses:
        """Time derivative of the masses."""
        right, left = rates
        return divergence(right * masses[:, :-1] - left * masses[:, 1:])

    def implicit(self, rates, step, right_hand_side: Masses) -> Masses:
        """Solve (1 - step * operator) masses = right_hand_side; an M-matrix, so positive data give positive masses."""
        bands = implicit_bands(rates, step)
        return jax.lax.linalg.tridiagonal_solve(*bands, right_hand_side[..., None])[..., 0]

    def masses_of(self, state: Masses) -> Masses:
        """The masses of a state: here they are all of it."""
        return state

    def smoothed(self, rates, step, error: Masses) -> Masses:
        """An error estimate without what fast modes, which the step damps, contribute to it."""
        return self.implicit(rates, step, error)

    def positive(self, end: Masses, start: Masses) -> Masses:
        """Masses that are not negative, with the totals of those at the start of the step."""
        return positive_part(end, start)

    def error_size(self, error: Masses, masses: Masses) -> Float[Array, ""]:
        """L1 norm of an error, averaged over the rows."""
        # averages that make the error grow like the square of w*: rare rows far out do not rule the steps of all
        weights, squares = self.problem.teacher_weights, self.problem.teacher_weights * self.problem.teacher**2
        shares = (weights + squares / jnp.maximum(jnp.sum(squares), 1e-300)) / 2
        return shares @ jnp.sum(error, axis=-1)

    def step(self, masses: Masses, dt, time=0.0) -> tuple[Masses, Masses]:
        """One positive TR-BDF2 step from `time`; returns the new masses and the local error estimate."""
        return time_step.step(self, masses, dt, time)

    def observables(self, masses: Masses, scale=1.0) -> dict[str, Array]:
        """Every named observable of a state; the nodes are weights in units of `scale`."""
        m, q, variance = self.overlaps(masses, scale)
        marginal = self.problem.teacher_weights @ masses
        marginal = (marginal + marginal[::-1]) / 2 if self.mirrored else marginal
        mean = marginal @ self.nodes
        values = self.problem.observables(m, q, variance)
        values |= {"mean_w": scale * mean, "std_w": scale * jnp.sqrt(marginal @ (self.nodes - mean) ** 2)}
        if self.problem.needs_slope:
            values["mean_slope"] = self.mean_slope(masses)
        if isinstance(self.problem.weight_map, StepMap):
            values["level_fraction"] = self._level_fraction(marginal)
        return values

    def _level_fraction(self, marginal):
        cell, share = self.cells
        parts = share * jnp.concatenate([marginal[1:], marginal[:-1]])
        return jnp.zeros(self.problem.weight_map.levels.size).at[cell].add(parts)

    def _cells(self):
        """Cells of the intervals, twice, and the shares in them of the nodes on their right and left, (2 N - 2,)."""
        np_or_jnp = library(self.nodes, self.problem.weight_map.levels)
        middles = (self.nodes[1:] + self.nodes[:-1]) / 2
        cell = np_or_jnp.searchsorted(self.problem.weight_map.thresholds, middles, side="right")
        # a control volume cut by a threshold belongs to both cells in proportion; one at a bound to the outer cell
        share = np_or_jnp.stack([_left(self.widths), _right(self.widths)]) / (2 * self.volumes)[None, :]
        outer = np_or_jnp.stack([self.nodes <= 0, self.nodes > 0]) * 1.0
        share = np_or_jnp.where(self.at_bound[None, :] == 1, outer, share)
        return np_or_jnp.concatenate([cell, cell]), np_or_jnp.concatenate([share[0, 1:], share[1, :-1]])


def _left(interval_values):
    return library(interval_values).concatenate([np.zeros(1), interval_values])


def _right(interval_values):
    return library(interval_values).concatenate([interval_values, np.zeros(1)])


def implicit_bands(rates: tuple[Float[Array, "K N-1"], Float[Array, "K N-1"]], step) -> tuple[Masses, Masses, Masses]:
    """Lower diagonal, diagonal and upper diagonal of 1 - step * operator."""
    right, left = rates
    zero = jnp.zeros((right.shape[0], 1))
    diagonal = 1 + step * (jnp.concatenate([right, zero], 1) + jnp.concatenate([zero, left], 1))
    return jnp.concatenate([zero, -step * right], 1), diagonal, jnp.concatenate([-step * left, zero], 1)


def divergence(flux: Float[Array, "K N-1"]) -> Masses:
    """Change of the masses by the fluxes between neighboring nodes; sums to zero over the nodes."""
    zero = jnp.zeros((flux.shape[0], 1))
    return jnp.concatenate([zero, flux], 1) - jnp.concatenate([flux, zero], 1)
