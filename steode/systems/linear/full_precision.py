"""Training without quantizers first: the law that it leaves, from which training with them goes on."""

import dataclasses

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.errors import UnsupportedError
from steode.parts.laws import Constant, Normal
from steode.parts.surrogates import IdentitySurrogate
from steode.parts.update_rules import STE, Momentum
from steode.solvers.domain import TAIL, Extent
from steode.solvers.equations import Problem
from steode.solvers.log_linear import TracedRate
from steode.solvers.moments import largest_square
from steode.solvers.start import Rows, Start
from steode.systems.linear.fixed_point_function import without_quantizers
from steode.systems.linear.problem import make_problem, nominal_start, rate_factor
from steode.systems.linear.spec import LinearModel

LEAST_STD = 1e-4
"""Of weights given their teacher weight, relative to the teacher's: a law without width has no density."""
SPREADS = 9
"""Standard deviations that stand for the support of a normal law."""
ROWS = 16
"""Teacher values at which the law after full precision is found."""
STEPS, ACCURACY = 4096, 1e-8
"""Most steps in time of the moment equations, and the error of one."""


class NormalRows(Rows):
    """Teacher values with w_0 | w* ~ N(mean, variance); mean and variance may be traced."""

    def __init__(self, base: Rows, mean: Float[Array, " K"], variance: Float[Array, " K"]):
        self.teacher, self.weights, self.rho = base.teacher, base.weights, base.rho
        self.eigenvalues, self.mean, self.variance = base.eigenvalues, mean, variance

    def masses(self, nodes, band=None):
        faces = (jnp.asarray(nodes)[1:] + jnp.asarray(nodes)[:-1]) / 2
        distances = (faces[None, :] - self.mean[:, None]) / jnp.sqrt(self.variance)[:, None]
        one = jnp.ones((distances.shape[0], 1))
        below = jnp.concatenate([0 * one, jax.scipy.special.ndtr(distances), one], axis=1)
        above = jnp.concatenate([one, jax.scipy.special.ndtr(-distances), 0 * one], axis=1)
        # each side from its own tail, for relative accuracy
        right = jnp.concatenate([-one, distances], axis=1) > 0
        return jnp.where(right, above[:, :-1] - above[:, 1:], below[:, 1:] - below[:, :-1])


def can_begin_unquantized(model: LinearModel) -> str:
    """Why the law after training without quantizers is not known in closed form; empty where it is."""
    if not isinstance(model.init, Normal | Constant):
        return f"the law of the weights after training from {model.init} is not normal"
    if not model.is_plain:
        return "with a spectrum, random maps or an output the mean weight is not one affine function of the teacher's"
    if not isinstance(model.update_rule, STE | Momentum):
        return f"{model.update_rule} does not train without quantizers as SGD does"
    return "" if isinstance(model.surrogate, IdentitySurrogate) else "the surrogate is not the identity"


def trained(model: LinearModel, rows: Rows, times: Float[Array, " K"], logs: Float[Array, " K"]) -> NormalRows:
    """The law of the weights given each teacher weight after training without quantizers.

    The rate is exp of the piecewise linear function through (times, logs), all of which may be traced; training begins
    at time 0 and ends at the last of `times`. Mean and variance given w* follow closed equations, and the law is normal
    if it was at the start.
    """
    problem: Problem = make_problem(without_quantizers(model.replace(learning_rate=1.0)), rows)
    rate = TracedRate(times, logs + np.log(rate_factor(model.update_rule)))
    problem = dataclasses.replace(problem, traced={"eta": rate})

    def rates(time, state, args):
        now, strength = problem.at(time).under(problem.gaussian_force(*state))
        arguments = (*now.training, problem.alpha_1, problem.alpha_2, problem.teacher, strength)
        return problem.equations.closure(*arguments, problem.weight_map, *state)

    least = (LEAST_STD**2) * largest_square(rows.teacher**2, rows.mean**2 + rows.variance)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rates),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=(jnp.asarray(rows.mean), jnp.asarray(rows.variance)),
        stepsize_controller=diffrax.PIDController(rtol=ACCURACY, atol=ACCURACY),
        max_steps=STEPS,
        throw=False,
    )
    mean, variance = (values[-1] for values in solution.ys)
    return NormalRows(rows, mean, jnp.maximum(variance, least))


@dataclasses.dataclass(frozen=True, eq=False)
class AfterFullPrecision(Start):
    """The start of quantized training that full-precision training from the model's laws leaves.

    Attributes
    ----------
    model : the specification; its quantizers wait.
    rows_before : a few teacher values with the normal laws found at them; the means are affine in the teacher value,
        the variances equal.
    """

    model: LinearModel
    rows_before: NormalRows

    @property
    def extent(self):
        mean, std = np.asarray(self.rows_before.mean), float(np.sqrt(self.rows_before.variance[0]))
        low, high = self.model.teacher.support(TAIL)
        ends = self._mean(np.array([low, high]))
        low, high = float(ends.min()) - SPREADS * std, float(ends.max()) + SPREADS * std
        # the width of each law, not of all of them, says how fine a mesh has to be
        return Extent(low, high, float(self.rows_before.weights @ mean), std)

    def rows(self, kinks, count):
        base = nominal_start(self.model).rows(kinks, count)
        variance = np.full(base.teacher.shape, float(self.rows_before.variance[0]))
        return NormalRows(base, self._mean(base.teacher), variance)

    def draw(self, generator, size):
        teacher = self.model.teacher.sample(generator, size)
        noise = generator.normal(size=size) * np.sqrt(float(self.rows_before.variance[0]))
        return teacher, self._mean(teacher) + noise, None

    def moments(self):
        raise UnsupportedError("the moment equations do not go on from full-precision training: use the density.")

    def _mean(self, teacher: np.ndarray) -> np.ndarray:
        values, means = self.rows_before.teacher, np.asarray(self.rows_before.mean)
        if values.size == 1:
            return np.full(np.shape(teacher), means[0])
        first, last = np.argmin(values), np.argmax(values)
        slope = (means[last] - means[first]) / (values[last] - values[first])
        return means[first] + slope * (teacher - values[first])


def after_full_precision(model: LinearModel, times: np.ndarray, logs: np.ndarray) -> AfterFullPrecision:
    """The start after training without quantizers at the rate exp of the line through (times, logs)."""
    base = nominal_start(model).rows(np.zeros(0), ROWS)
    found = trained(model, base, jnp.asarray(times), jnp.asarray(logs))
    return AfterFullPrecision(model, NormalRows(base, np.asarray(found.mean), np.asarray(found.variance)))
