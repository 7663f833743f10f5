"""The verb `fluctuations`: how far runs of finite dimension scatter around the limit, predicted."""

from collections.abc import Sequence

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode import bridge
from steode.errors import ConvergenceError, SpecificationError, check_positive
from steode.parts.laws import Law
from steode.parts.laws.continuous import ContinuousLaw
from steode.parts.quantizers import StepFunction
from steode.solvers.adaptive import MAX_STEPS
from steode.solvers.functionals import SCALARS, start_noise
from steode.solvers.functionals import columns as columns_of
from steode.solvers.moment_noise import moment_noise
from steode.solvers.noise_refinement import PARTS, solve_noise
from steode.solvers.start import NominalStart
from steode.systems.linear.derive import derive
from steode.systems.linear.fluctuation import Fluctuations
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.properties import missing, require
from steode.systems.linear.solve import check_model, checked_times
from steode.systems.linear.spec import LinearModel

METHODS = ("density", "moments")
INTEGRATOR_TOLERANCE = 1e-9


def fluctuations(
    model: LinearModel,
    t_end: float,
    *,
    times: Sequence[float] | None = None,
    observable: str | Sequence[str] = "eps_g",
    method: str | None = None,
    tolerance: float = 1e-2,
) -> Fluctuations:
    r"""Predict the variance of observables over runs of `model`, at leading order 1/d.

    With f_t(w*, w) the derivative of the observable at time T with respect to the law at time t (the adjoint of the
    limit linearized around its solution), and <.> averages over (w*, w),

        d Var = Var f_0(w*, w_0) + int_0^T N dt,
        N = <diffusion f_t'^2> + (2 S^2 - D^2)/B,  D = <drift f_t'>,  S = D + <diffusion f_t''>/2,

    drift and diffusion those of one weight, without weight decay. Derived here: docs/fluctuations.md.

    Parameters
    ----------
    model : the specification. Its laws are drawn from independently in every coordinate and run, w_0 independent of w*.
    t_end : last rescaled time tau = step/d, > 0.
    times : increasing times in [0, t_end] to report; 21 equally spaced ones if not given. Cost grows with their number.
    observable : one name or several, of eps_g, V, m, q, mean_w and, for a weight quantizer with levels,
        level_fraction.
    method :
        "density": through the density equation, for any model;
        "moments": five closed linear equations (unquantized weights, identity surrogate only), exact;
        None: "moments" where it exists, otherwise "density".
    tolerance : wanted error of d Var relative to its largest value over `times` (density only).

    Raises
    ------
    SpecificationError
        If an argument makes no sense, or a learning-rate schedule is not positive and finite up to `t_end`.
    UnsupportedError
        If the method does not exist for this model; the message says which does.
    ConvergenceError
        If the tolerance cannot be reached, or the limit cannot be integrated.
    """
    check_model(model)
    require(model, "fluctuations")
    t_end, tolerance = check_positive("t_end", t_end), check_positive("tolerance", tolerance)
    times = checked_times("times", np.linspace(0, t_end, 21) if times is None else times, t_end)
    names = _checked_names(observable, model)
    closed = missing(model, "fluctuations, moments") is None and derive(model).exact_moments is not None
    if method is None:
        method = "moments" if closed and "level_fraction" not in names else "density"
    if method not in METHODS:
        raise SpecificationError("method", '"density", "moments" or None', method, "None chooses.")
    if method == "moments":
        require(model, "fluctuations, moments")
    bridge.check_schedules(model, t_end)
    with jax.enable_x64(True):
        solve_with = _from_moments if method == "moments" else _from_density
        parts = solve_with(model, times, names, tolerance)
    return Fluctuations(model, method, tolerance, times, *parts)


def _checked_names(observable, model: LinearModel) -> tuple[str, ...]:
    known = SCALARS + (("level_fraction",) if isinstance(model.weight_quantizer, StepFunction) else ())
    names = (observable,) if isinstance(observable, str) else tuple(observable)
    for name in names or (observable,):
        if name not in known:
            remedy = "std_w is not computed."
            raise SpecificationError("observable", "names among " + ", ".join(known), name, remedy)
    return tuple(dict.fromkeys(names))


def _from_density(model, times, names, tolerance):
    start = nominal_start(model)
    solution = solve_noise(lambda rows: make_problem(model, rows), start, times, names, tolerance)
    noise = jax.device_get(solution.noise)
    value = {name: np.array(noise.observables[name]) for name in names}
    parts = [np.array(getattr(noise, part)) for part in PARTS]
    problem = make_problem(model, start.rows(np.zeros(0), 2))
    columns = columns_of(names, problem)
    if times[0] == 0:
        # at time 0 neither mesh nor linearization is needed; weights that start on a threshold are on its upper side
        spectrum = None if model.spectrum.is_isotropic else model.spectrum.values
        first = start_noise(problem, model.teacher, model.init, names, spectrum)
        for part, exact in zip(parts, (first.teacher, first.initial, 0.0), strict=True):
            part[0] = exact
        solution.error[0] = 0
        for name, column in columns.items():
            value[name][0] = first.value[column] if name == "level_fraction" else first.value[column][0]

    def by_name(array):
        return {
            name: array[:, column] if name == "level_fraction" else array[:, column.start]
            for name, column in columns.items()
        }

    return value, *(by_name(part) for part in parts), by_name(solution.error)


def _from_moments(model, times, names, tolerance):
    problem = make_problem(model, NominalStart(model.teacher, model.init).rows(np.zeros(0), 48))
    mean, causes = _initial_averages(model)
    solution = _moments(problem, jnp.asarray(mean), jnp.asarray(causes), jnp.asarray(times))
    values, variances = jax.device_get(solution.ys)
    if solution.result != diffrax.RESULTS.successful or not all(
        np.all(np.isfinite(array)) for array in values.values()
    ):
        raise ConvergenceError(
            f"fluctuations: the integration failed ({solution.result}); the error may grow without bound."
        )
    parts = ({name: variances[name][:, cause] for name in names} for cause in range(len(PARTS)))
    return {name: values[name] for name in names}, *parts, {name: np.zeros(times.size) for name in names}


@eqx.filter_jit
def _moments(problem, mean, causes, times):
    return moment_noise(problem, mean, causes, times, INTEGRATOR_TOLERANCE, MAX_STEPS)


def _initial_averages(model: LinearModel) -> tuple[np.ndarray, np.ndarray]:
    """E and, by cause, covariance of (w*^2, w*, w* w, w^2, w) in one coordinate at time 0, w* and w_0 independent."""
    teacher, initial = _raw_moments(model.teacher), _raw_moments(model.init)
    powers = np.array([(2, 0), (1, 0), (1, 1), (0, 2), (0, 1)])  # of w* and w
    mean = teacher[powers[:, 0]] * initial[powers[:, 1]]
    summed = powers[:, None, :] + powers[None, :, :]
    second = teacher[summed[..., 0]]
    given_teacher = np.outer(initial[powers[:, 1]], initial[powers[:, 1]])
    by_teacher = second * given_teacher - np.outer(mean, mean)
    by_initial = second * (initial[summed[..., 1]] - given_teacher)
    return mean, np.stack([by_teacher, by_initial])


def _raw_moments(law: Law) -> np.ndarray:
    """E[w^k] for k = 0, ..., 4."""
    if isinstance(law, ContinuousLaw):
        return np.array([1.0, *(float(law.distribution.moment(power)) for power in range(1, 5))])
    values, weights = law.quadrature(np.zeros(0), np.iinfo(int).max)
    return weights @ values[:, None] ** np.arange(5)
