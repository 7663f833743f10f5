"""The stationary law against identities and quadrature, and what the proofs of completeness say of it.

The equations of one model serve every quantizer: the solvers take levels and thresholds as numbers.
"""

import dataclasses
import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

from steode import (
    Constant,
    Elementwise,
    Levels,
    LinearModel,
    Uniform,
    fixed_points,
)
from steode.solvers import self_consistency, stationary
from steode.solvers.entrywise import StepMap
from tests.models import STEP_QUANTIZERS, problem_at

pytestmark = pytest.mark.representative

BASE = LinearModel(
    teacher=Constant(0.4),
    weight_quantizer=Uniform(2, 1.5),
    input_quantizer=Uniform(2, 2.0),
    learning_rate=0.5,
    noise=0.1,
)
DECAYING = BASE.replace(weight_decay=0.3, batch_size=4)
TARGETS = 5


@functools.cache
def _base(decays: bool):
    return problem_at(DECAYING if decays else BASE, np.zeros(TARGETS))


def problem_with(levels, thresholds, targets, decay=None):
    """The base model's equations with another quantizer, other targets a and another weight decay."""
    base = _base(decay is not None)
    with jax.enable_x64(True):
        changes = {} if decay is None else {"decay": jnp.asarray(float(decay))}
        teacher = jnp.asarray(targets) * base.alpha_2 / base.alpha_1
        return dataclasses.replace(
            base, weight_map=StepMap(jnp.asarray(levels), jnp.asarray(thresholds)), teacher=teacher, **changes
        )


_probabilities = eqx.filter_jit(stationary.cell_probabilities)


def probabilities(problem, variance) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_probabilities(problem, jnp.asarray(variance)))


@eqx.filter_jit
def _curve(problem, variances):
    return jax.lax.map(lambda variance: self_consistency.implied_force(problem, variance), variances, batch_size=32)


def curve(problem, variances) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_curve(problem, jnp.asarray(variances)))


@pytest.mark.parametrize("quantizer", STEP_QUANTIZERS, ids=repr)
def test_mean_quantized_weight_is_the_target_at_every_temperature(quantizer):
    levels = quantizer.levels
    targets = levels[0] + (levels[-1] - levels[0]) * np.array([0.02, 0.3, 0.5, 0.77, 0.98])
    problem = problem_with(levels, quantizer.thresholds, targets)
    for variance in (1e-4, 1e-2, 1.0, 100.0):
        p = probabilities(problem, variance)
        assert np.abs(p.sum(axis=1) - 1).max() < 1e-14
        assert np.abs(p @ levels - targets).max() < 1e-10


def test_targets_on_or_beyond_the_last_level_saturate():
    quantizer = Levels((-1.0, 0.1, 3.0))
    problem = problem_with(quantizer.levels, quantizer.thresholds, [-2.0, -1.0, 0.1, 3.0, 3.5])
    p = probabilities(problem, 0.3)
    np.testing.assert_array_equal(p[[0, 1, 3, 4]], [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]])
    assert p[2].min() > 0


def well_conditioned_masses(levels, thresholds, a, theta, k):
    """Cell probabilities of exp(-2U/theta), U' = Q - a + k w, by adaptive quadrature in every cell.

    Measured from the point of the cell where U is smallest; from the cell with the smallest U outwards all differences
    of U are positive and none cancel.
    """
    n = len(levels)
    ends = np.concatenate([[-np.inf], thresholds, [np.inf]])
    slopes = np.asarray(levels) - a
    with np.errstate(divide="ignore", invalid="ignore"):
        rests = np.where(slopes == 0, 0.0 if k else np.nan, -slopes / k if k else -np.sign(slopes) * np.inf)
    lowest = [float(min(max(rest, low), high)) for rest, low, high in zip(rests, ends[:-1], ends[1:], strict=True)]
    if np.isnan(lowest).any():  # a flat cell: any of its points will do
        lowest = [low if np.isnan(point) else point for low, point in zip(ends[:-1], lowest, strict=True)]

    def drop(j, start, end):
        """U(end) - U(start) within cell j."""
        u = end - start
        return (slopes[j] + k * start) * u + k * u**2 / 2

    def mass(j):
        total = 0.0
        for sign, end in ((-1.0, ends[j]), (1.0, ends[j + 1])):
            slope, curvature = max(sign * (slopes[j] + k * lowest[j]) * 2 / theta, 0.0), 2 * k / theta
            # the root of slope u + curvature u^2/2 = 50, where what is left out is negligible
            reach = 100 / (slope + math.sqrt(slope**2 + 100 * curvature)) if slope + curvature else np.inf
            length = min(sign * (end - lowest[j]), reach)
            total += scipy.integrate.quad(
                lambda u, s=slope, c=curvature: math.exp(-s * u - c * u**2 / 2), 0, length, epsabs=0, epsrel=1e-13
            )[0]
        return total

    # the cell of the smallest U: its lowest point is a minimum of U and not only of its cell
    middle = next(
        j
        for j in range(n)
        if (j == n - 1 or lowest[j] < ends[j + 1] or slopes[j + 1] + k * ends[j + 1] >= 0)
        and (j == 0 or lowest[j] > ends[j] or slopes[j - 1] + k * ends[j] <= 0)
    )
    heights = np.zeros(n)
    for j in range(middle, n - 1):
        heights[j + 1] = heights[j] + drop(j, lowest[j], ends[j + 1]) + drop(j + 1, ends[j + 1], lowest[j + 1])
    for j in range(middle, 0, -1):
        heights[j - 1] = heights[j] + drop(j, lowest[j], ends[j]) + drop(j - 1, ends[j], lowest[j - 1])
    masses = np.exp(-2 * heights / theta) * [mass(j) for j in range(n)]
    return masses / masses.sum()


@pytest.mark.parametrize("decay", [None, 1e-9, 1e-4, 0.3, 100.0])
@pytest.mark.parametrize("theta", [1e-6, 1e-3, 0.1, 10.0, 1e3])
def test_cell_masses_in_extreme_regimes(theta, decay):
    """Targets on a level, between levels, next to the last one and, with weight decay, outside the range."""
    quantizer = Levels((-2.0, -0.5, 0.0, 1.5), (-1.2, -0.3, 0.8))
    targets = [-0.5, 0.0, 0.7, 1.4999, 0.3] if decay is None else [-0.5, 0.0, 0.7, 1.5, 4.0]
    problem = problem_with(quantizer.levels, quantizer.thresholds, targets, decay)
    with jax.enable_x64(True):
        variance = theta * problem.batch / problem.eta
        k = 0.0 if decay is None else decay / float(problem.alpha_2)
        targets = np.asarray(stationary.targets(problem))
    p = probabilities(problem, variance)
    for row, a in zip(p, targets, strict=True):
        expected = well_conditioned_masses(quantizer.levels, quantizer.thresholds, a, theta, k)
        assert np.abs(row - expected).max() < 1e-12


def _integration_nodes(edges, panels=4000):
    """Composite Gauss-Legendre rule with `panels` panels in every interval."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    cuts = np.concatenate(
        [np.linspace(a, b, panels, endpoint=False) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    )
    cuts = np.append(cuts, edges[-1])
    half = np.diff(cuts) / 2
    return ((cuts[:-1] + half)[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()


@pytest.mark.parametrize("variance", [None, 0.02, 3.0], ids=["at the fixed point", "cold", "hot"])
def test_with_decay_the_mean_drift_vanishes_in_the_density(variance):
    """alpha_2 E[Q | w*] + kappa E[w | w*] = alpha_1 w*, with E[w] by integration of the density."""
    (point,) = fixed_points(DECAYING)
    point = point if variance is None else dataclasses.replace(point, V=variance)
    alpha_1, alpha_2 = 0.9692832396712265, 1.0930575624950605  # of two bits, range 2
    quantizer, kappa = DECAYING.weight_quantizer, DECAYING.weight_decay
    for wstar in (0.4, -1.1, 2.5):
        # U' = Q - a + kappa w/alpha_2 vanishes between these, and the Gaussian tails have this width
        reach = (1.5 + abs(wstar)) * alpha_2 / kappa + 9 * np.sqrt(0.5 * point.V / 4 * alpha_2 / (2 * kappa))
        w, weights = _integration_nodes(np.concatenate([[-reach], quantizer.thresholds, [reach]]))
        density = point.density(w, wstar)
        assert abs(weights @ density - 1) < 1e-10
        p = point.level_probabilities(wstar)
        for low, high, share in zip([-np.inf, *quantizer.thresholds], [*quantizer.thresholds, np.inf], p, strict=True):
            inside = (w > low) & (w < high)
            assert abs(weights[inside] @ density[inside] - share) < 1e-10
        drift = alpha_2 * (p @ quantizer.levels) + kappa * (weights @ (w * density)) - alpha_1 * wstar
        assert abs(drift) < 1e-8


def _random_quantizers(seed, count):
    """Four levels and thresholds anywhere, with gaps from 1e-3 to 10."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        levels, thresholds = (
            np.cumsum(10 ** generator.uniform(-3, 1, size)) - 10 ** generator.uniform(-1, 1) for size in (4, 3)
        )
        inside = generator.uniform(levels[0], levels[-1], TARGETS)
        yield levels, thresholds, inside, generator


def test_implied_variance_is_nondecreasing_for_step_functions():
    largest_rise = 0.0
    variances = np.geomspace(1e-5, 1e5, 800)
    for levels, thresholds, targets, _ in _random_quantizers(1, 60):
        problem = problem_with(levels, thresholds, targets)
        values = curve(problem, variances)
        assert np.all(np.diff(values) >= -1e-13 * values[1:])
        with jax.enable_x64(True):
            constant = float(self_consistency.unreachable_gap(problem) + problem.sigma**2)
        largest_rise = max(largest_rise, (values[-1] - constant) / (values[0] - constant))
    assert largest_rise > 4


@pytest.mark.parametrize("expression", ["tanh(x)", "x + tanh(5*x)", "x**3/3"])
def test_implied_variance_is_nondecreasing_for_smooth_maps(expression):
    problem = problem_at(BASE.replace(weight_quantizer=Elementwise(expression)), np.array([-0.7, 0.0, 0.1, 0.5, 0.9]))
    values = curve(problem, np.geomspace(1e-5, 10, 300))
    assert np.all(np.diff(values) > -1e-11 * values[1:])


def test_with_decay_the_slope_of_the_implied_variance_is_bounded():
    """|dF/d log V| <= C, and the square root of F less its smallest value has a slope of at most sqrt(C/2)."""
    variances = np.geomspace(1e-4, 1e5, 1500)
    step = np.log(variances[1] / variances[0])
    largest, decreasing = np.zeros(2), 0
    for levels, thresholds, targets, generator in _random_quantizers(2, 60):
        targets = targets + (generator.random(TARGETS) < 0.3) * generator.uniform(-5, 5, TARGETS)
        problem = problem_with(levels, thresholds, targets, 10 ** generator.uniform(-4, 2))
        values = curve(problem, variances)
        decreasing += np.any(np.diff(values) < -1e-9 * values[1:])
        with jax.enable_x64(True):
            a, alpha_2 = np.asarray(stationary.targets(problem)), float(problem.alpha_2)
            unreachable = float(self_consistency.unreachable_gap(problem) + problem.sigma**2)
        distances = (a[:, None] - levels) ** 2
        bound = alpha_2 * (distances.max(axis=1) - distances.min(axis=1)).mean() / 2
        floor = unreachable + alpha_2 * distances.min(axis=1).mean()
        roots = np.sqrt(np.maximum(values - floor, 0))
        slopes = np.abs(np.diff(values)).max() / bound, np.abs(np.diff(roots)).max() / np.sqrt(bound / 2)
        largest = np.maximum(largest, np.array(slopes) / step)
    assert np.all(largest < 1)
    assert np.all(largest > 0.2)  # the bounds are not idle
    assert decreasing > 5  # with decay the implied variance need not be monotone
    print(largest, decreasing)


def test_cubic_weights_have_gamma_function_moments():
    """U = w^4/12 for a target of zero: E Q^2 = E w^6/9 = (6 theta)^(3/2) Gamma(7/4)/(9 Gamma(1/4))."""
    problem = problem_at(BASE.replace(weight_quantizer=Elementwise("x**3/3")), np.array([0.0]))
    for variance in (1e-6, 1e-2, 1.0, 1e3):
        theta = 0.5 * variance
        with jax.enable_x64(True):
            spread = float(stationary.image_moments(problem, jnp.asarray(variance)).spread[0])
        expected = (6 * theta) ** 1.5 * math.gamma(1.75) / (9 * math.gamma(0.25))
        assert abs(spread - expected) < 1e-12 * expected


TEMPERATURES = (1e-3, 0.1, 0.6)


def tanh_moments(a, theta, k):
    """E(Q - a) and E(Q - a)^2 for Q = tanh by quadrature on panels fine near zero and near the minimum of U."""

    def potential(w):
        return np.logaddexp(w, -w) - a * w + k * w**2 / 2

    center = scipy.optimize.brentq(lambda w: np.tanh(w) - a + k * w, -60, 60, xtol=1e-14)
    fine = np.geomspace(1e-6, 60, 200)
    w, weights = _integration_nodes(np.unique(np.concatenate([-fine, fine, center - fine, center + fine])), panels=1)
    weights = weights * np.exp(-2 * (potential(w) - potential(center)) / theta)
    distance = np.tanh(w) - a
    return weights @ distance / weights.sum(), weights @ distance**2 / weights.sum()


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_law_under_tanh_against_quadrature(decay):
    model = BASE.replace(
        weight_quantizer=Elementwise("tanh(x)"), weight_decay=decay, input_quantizer=DECAYING.input_quantizer
    )
    problem = problem_at(model, np.array([-0.9, 0.0, 0.4, 0.85]))
    with jax.enable_x64(True):
        targets, k = np.asarray(stationary.targets(problem)), decay / float(problem.alpha_2)
        moments = [
            jax.device_get(stationary.image_moments(problem, jnp.asarray(theta / 0.5))) for theta in TEMPERATURES
        ]
    for theta, law in zip(TEMPERATURES, moments, strict=True):
        for index, a in enumerate(targets):
            expected = tanh_moments(a, theta, k)
            assert abs(law.offset[index] - expected[0]) < 1e-8
            assert abs((law.offset[index] ** 2 + law.variance[index]) - expected[1]) < 1e-8
