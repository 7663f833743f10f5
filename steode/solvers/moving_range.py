r"""The density equation for a quantization range omega that moves: the law of u = w/omega, with resting thresholds.

With w = omega u the drift and diffusion of u are those of w over omega and omega^2, and every u shrinks besides at the
rate d log(omega)/dtau. A learned range has the rate

    d omega/dtau = -rate E[l (c_h alpha_2 Q + c_* alpha_1 w*)]    (+ rate eta alpha_2 c_2/B E[dl/dw] if sequential),

omega^2 times as large where its logarithm is learned. One that follows a mean (E|w|^k)^{1/k} has the rate of that mean,
which the operator itself gives at fixed omega. One that follows the number q with P(|w| <= q) = p has the rate

    d q/dtau = -(d/dtau P(|w| <= q) at fixed q)/(mu(q) + mu(-q)),

and in units of omega that number stands still, at the inverse of the factor. Derived here.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.companion import Coupled, CoupledOperator
from steode.solvers.density import DensityOperator
from steode.solvers.entrywise import StepMap
from steode.solvers.equations import Problem
from steode.solvers.libraries import library


class MovingRange(eqx.Module):
    """How the range moves; see `steode.parts.range_rules`.

    Attributes
    ----------
    start : the range at time 0.
    rate : of a learned range.
    gradient : "lsq" or "pact"; None: it follows the weights.
    power : of |w| in the mean that it follows.
    at_once : the part of a gradient's effect on a weight that its own step has, where the range is stepped after it.
    share : P(|w| <= q), where it follows q.
    """

    start: Float[Array, ""]
    rate: Float[Array, ""] | None
    gradient: str | None = eqx.field(static=True)
    logarithmic: bool = eqx.field(static=True, default=False)
    sequential: bool = eqx.field(static=True, default=False)
    power: int = eqx.field(static=True, default=0)
    at_once: float = eqx.field(static=True, default=1.0)
    share: Float[Array, ""] | None = None

    def followed(self, w: Float[Array, " P"]) -> Float[Array, ""]:
        """What it follows, of these weights."""
        if self.share is not None:
            return jnp.quantile(jnp.abs(w), self.share)
        return jnp.mean(jnp.abs(w) ** self.power) ** (1 / self.power)

    def derivative(self, unit: StepMap, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """l, that of Q with respect to the range, at weights in units of it."""
        image, inside = unit(u), (u > unit.levels[0]) & (u < unit.levels[-1])
        return jnp.where(inside, image - u if self.gradient == "lsq" else 0.0, image)

    def speed(self, problem: Problem, force, range_now, by_weight, by_teacher, slope=0.0):
        """d omega/dtau of a learned range from E[alpha_2 l g], E[alpha_1 l w*] and E[alpha_2 dl/du]."""
        student, teacher, strength = force
        gradient = student * range_now * by_weight + teacher * by_teacher
        if self.sequential:
            gradient = gradient - self.at_once * problem.eta * strength / problem.batch * slope / range_now
        return -self.rate * gradient * (range_now**2 if self.logarithmic else 1.0)


class MovingRangeOperator(CoupledOperator):
    """The density operator of u with the range; the problem's map of the weights is the one of range 1."""

    def begin(self, masses):
        return Coupled(jnp.asarray(masses), jnp.asarray(self.problem.moving_range.start, float))

    def drive(self, masses, companion):
        # the fourth number is what all lengths are multiplied by, the fifth its rate, of either sign
        return jnp.append(self._force(masses, companion), jnp.stack([companion, self.rate(masses, companion)]))

    def _force(self, masses, companion) -> Float[Array, " 3"]:
        m, q, _ = self.density.overlaps(masses, companion)
        force = self.problem.force(m, q)
        return jnp.stack([jnp.ones(()), -jnp.ones(()), force]) if jnp.ndim(force) == 0 else force

    def rates(self, force):
        return self.density.rates(*in_motion(self.problem, force))

    def rate(self, masses, companion):
        moving, problem, density = self.problem.moving_range, self.problem, self.density
        force = self._force(masses, companion)
        if moving.gradient is None:
            still = density.rates(force[2] if problem.linear_response else force, companion)
            change = problem.teacher_weights @ density.apply(still, masses)
            marginal = problem.teacher_weights @ masses
            if moving.share is not None:
                return companion * relative_rate(density, marginal, change, 1 / moving.rate)
            power = jnp.abs(density.nodes) ** moving.power
            return companion * (change @ power) / (moving.power * (marginal @ power))
        between = interval_derivatives(moving, problem.weight_map, density.nodes)
        of_image, of_one = (masses @ density.node_average(values) for values in (between * density.image, between))
        slopes = (masses / density.volumes[None, :])[:, 1:-1] @ jnp.diff(between)
        by_weight, by_teacher, slope = (
            problem.teacher_weights @ values
            for values in (
                problem.alpha_2 * of_image,
                problem.alpha_1 * problem.teacher * of_one,
                problem.alpha_2 * slopes,
            )
        )
        return moving.speed(problem, force, companion, by_weight, by_teacher, slope)

    def observables(self, state):
        return self.density.observables(state.masses, state.companion) | {"range": state.companion}


def relative_rate(density: DensityOperator, marginal, change, place) -> Float[Array, ""]:
    """Rate of log q, of P(|u| <= q) = const, where q is at `place`, from the marginal masses and their rates, (N,)."""
    nodes = density.nodes
    faces = jnp.concatenate([nodes[:1], (nodes[1:] + nodes[:-1]) / 2, nodes[-1:]])
    below = jnp.diff(jnp.clip(faces, -place, place)) / density.volumes
    heights = jnp.interp(jnp.stack([-place, place]), nodes, marginal / density.volumes)
    return -(change @ below) / (place * jnp.sum(heights))


def in_motion(problem: Problem, force: Float[Array, " 5"]) -> tuple:
    """What `MovingRangeOperator.drive` gives, as the density operator takes it: force, scale and stretch."""
    strength = force[2] if problem.linear_response else force[:3]
    return strength, force[3], force[4] / force[3]


def interval_derivatives(moving: MovingRange, unit: StepMap, nodes: Float[Array, " N"]) -> Float[Array, " N-1"]:
    """l averaged over every interval between nodes; it may jump at the outermost levels, where no node is."""
    np_or_jnp = library(nodes)
    low, high = nodes[:-1], nodes[1:]
    image = unit((low + high) / 2)
    ends = [np_or_jnp.clip(edge, unit.levels[0], unit.levels[-1]) for edge in (low, high)]
    # nodes that fill up a mesh are at one place
    width = np_or_jnp.where(high > low, high - low, 1.0)
    share, middle = (ends[1] - ends[0]) / width, (ends[0] + ends[1]) / 2
    inside = image - middle if moving.gradient == "lsq" else 0.0
    return share * inside + (1 - share) * image


def moved(unit: StepMap, range_now) -> StepMap:
    """The map of range 1 at another range."""
    return StepMap(levels=range_now * unit.levels, thresholds=range_now * unit.thresholds)
