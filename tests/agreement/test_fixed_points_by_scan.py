"""Fixed points against a dense scan of their equation, written here from the stationary density in NumPy alone.

Given w* the density of a latent weight is exp(-2 U(w)/theta), U' = L_j - a + kappa w/alpha_2 in the cell of level L_j:
an exponential in each cell, or a Gaussian. Nothing but the specification is taken from the package.
"""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from steode import Constant, Discrete, Identity, Levels, LinearModel, Sign, fixed_points

SCAN_POINTS = 3000
COUNT = 200
REPRESENTATIVE = (1, 3, 4)


def input_moments(model):
    """alpha_1 = E[x Q(x)] and alpha_2 = E[Q(x)^2] of exact inputs or of the sign."""
    if isinstance(model.input_quantizer, Identity):
        return 1.0, 1.0
    omega = model.input_quantizer.range
    return omega * np.sqrt(2 / np.pi), omega**2


def log_difference(high, low):
    """log(exp(high) - exp(low))."""
    return high + np.log1p(-np.exp(low - high))


def log_masses(levels, thresholds, a, theta, stiffness):
    """Logarithms of the masses of the cells, up to a common constant."""
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    if stiffness == 0:
        slopes = 2 * (a - levels) / theta
        heights = np.concatenate([[0.0], np.cumsum(slopes[1:-1] * np.diff(thresholds))])  # at the thresholds
        logs = [heights[0] - np.log(slopes[0])]
        for j in range(1, levels.size - 1):
            fall, top = abs(slopes[j]) * (thresholds[j] - thresholds[j - 1]), max(heights[j - 1], heights[j])
            width = thresholds[j] - thresholds[j - 1]
            logs.append(top + np.log(-np.expm1(-fall) / abs(slopes[j]) if fall > 0 else width))
        return np.array([*logs, heights[-1] - np.log(-slopes[-1])])
    centers, std = (a - levels) / stiffness, np.sqrt(theta / (2 * stiffness))
    below = scipy.special.log_ndtr((edges[:, None] - centers[None, :]) / std)
    above = scipy.special.log_ndtr(-(edges[:, None] - centers[None, :]) / std)
    logs, constant = [], 0.0
    for j in range(levels.size):
        if j:
            # the density is continuous at the threshold
            own, last = ((thresholds[j - 1] - centers[i]) / std for i in (j, j - 1))
            constant += (own**2 - last**2) / 2
        right = thresholds[j - 1] > centers[j] if j else False
        low, high = (above[j + 1, j], above[j, j]) if right else (below[j, j], below[j + 1, j])
        logs.append(constant + log_difference(high, low))
    return np.array(logs)


def spread(model, a, theta):
    """E (Q - a)^2 under the stationary law; at the last level for targets beyond it."""
    levels, thresholds = model.weight_quantizer.levels, model.weight_quantizer.thresholds
    alpha_2 = input_moments(model)[1]
    if not model.weight_decay and not levels[0] < a < levels[-1]:
        return (a - np.clip(a, levels[0], levels[-1])) ** 2
    logs = log_masses(levels, thresholds, a, theta, model.weight_decay / alpha_2)
    masses = np.exp(logs - logs.max())
    return masses @ (levels - a) ** 2 / masses.sum()


def implied(model, variance):
    """V of the stationary law at V."""
    alpha_1, alpha_2 = input_moments(model)
    teacher, chances = model.teacher.atoms
    theta = model.learning_rate * variance / model.batch_size
    spreads = np.array([spread(model, alpha_1 * w / alpha_2, theta) for w in teacher])
    rho = chances @ teacher**2
    return rho * (1 - alpha_1**2 / alpha_2) + model.noise**2 + alpha_2 * chances @ spreads


def scanned_roots(model):
    """Every root V > 0 that a change of sign on a dense grid shows."""
    alpha_1, alpha_2 = input_moments(model)
    teacher, levels = model.teacher.atoms[0], model.weight_quantizer.levels
    highest = alpha_2 * (np.abs(levels).max() + np.abs(alpha_1 * teacher / alpha_2).max()) ** 2
    highest += (teacher**2).max() + model.noise**2
    low = model.noise**2 / 2 if model.noise else 1e-8 * highest
    grid = np.geomspace(low, highest, SCAN_POINTS)
    gaps = np.array([implied(model, variance) - variance for variance in grid])
    changes = np.flatnonzero(np.sign(gaps[1:]) != np.sign(gaps[:-1]))
    gap = lambda variance: implied(model, variance) - variance  # noqa: E731
    return [scipy.optimize.brentq(gap, grid[i], grid[i + 1], xtol=1e-300, rtol=1e-13) for i in changes]


def recoverable(model):
    """True if weights without noise may rest on their targets."""
    teacher, levels = model.teacher.atoms[0], model.weight_quantizer.levels
    exact = isinstance(model.input_quantizer, Identity) and not model.noise and not model.weight_decay
    return exact and all(np.abs(levels - w).min() < 1e-14 for w in teacher)


def random_specification(seed: int) -> LinearModel:
    """Uneven levels; every third model has a close pair between far levels, which gives it several fixed points."""
    generator = np.random.default_rng(seed)
    count, atoms = int(generator.integers(3, 6)), int(generator.integers(1, 4))
    if seed % 3 == 0:
        near, far = generator.uniform(0.1, 0.3), generator.uniform(3.0, 7.0)
        levels = np.array([-far, -near, near, far * generator.uniform(0.9, 1.1)])
        teacher = generator.uniform(-0.5, 0.5, atoms) * near
        eta, noise = generator.uniform(1.0, 2.5), generator.uniform(0.05, 0.15)
    else:
        levels = np.cumsum(generator.uniform(0.2, 1.5, count)) - 0.4 * count
        teacher = generator.uniform(levels[0] - 0.2, levels[-1] + 0.2, atoms)
        eta, noise = np.exp(generator.uniform(np.log(0.05), np.log(3.0))), generator.uniform(0.05, 0.5)
    shares = generator.uniform(0.25, 0.75, levels.size - 1)
    thresholds = levels[:-1] + shares * np.diff(levels)
    if seed % 10 == 1:
        teacher, noise = generator.choice(levels[1:-1], atoms), 0.0
    return LinearModel(
        teacher=Constant(teacher[0]) if atoms == 1 else Discrete(teacher, np.full(atoms, 1 / atoms)),
        weight_quantizer=Levels(levels, thresholds if seed % 2 else None),
        input_quantizer=Sign(generator.uniform(0.7, 1.3)) if seed % 7 == 2 else Identity(),
        learning_rate=eta,
        noise=noise,
        batch_size=int(generator.integers(1, 3)),
        weight_decay=float(generator.uniform(0.02, 0.5)) if seed % 4 == 0 else 0.0,
    )


def check_against_scan(seed: int) -> int:
    """Assert that the fixed points are the roots of the scan, V = 0 included; returns how many there are."""
    model = random_specification(seed)
    found, expected = fixed_points(model), [0.0] * recoverable(model) + scanned_roots(model)
    assert found.complete, (model, found)
    values = [point.V for point in found]
    assert len(values) == len(expected), (model, values, expected)
    np.testing.assert_allclose(values, expected, rtol=1e-8, err_msg=repr(model))
    return len(values)


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[pytest.mark.representative] * (seed in REPRESENTATIVE)) for seed in range(COUNT)],
)
def test_fixed_points_are_the_roots_of_the_scan(seed):
    check_against_scan(seed)


@pytest.mark.representative
def test_some_of_the_models_have_several_fixed_points_and_some_recover():
    """Otherwise the test above would compare less than it says; from the scan alone."""
    assert len(scanned_roots(random_specification(REPRESENTATIVE[1]))) > 1
    assert sum(recoverable(random_specification(seed)) for seed in range(COUNT)) >= 10


def test_the_masses_are_those_of_the_density_by_quadrature():
    """The plain formulas of this file, against integrals of the density itself."""
    levels, thresholds = np.array([-1.2, -0.3, 0.5, 1.9]), np.array([-0.8, 0.2, 1.0])
    for a, theta, stiffness in ((0.3, 0.2, 0.0), (-1.0, 0.5, 0.0), (0.3, 0.2, 0.3), (2.5, 0.4, 0.1)):
        w = np.linspace(-60, 60, 4_800_001)[:-1] + 1.25e-5
        slope = levels[np.searchsorted(thresholds, w)] - a + stiffness * w
        potential = np.cumsum(slope) * (w[1] - w[0]) - slope * (w[1] - w[0]) / 2
        density = np.exp(-2 * (potential - potential.min()) / theta)
        masses = np.bincount(np.searchsorted(thresholds, w), density)
        logs = log_masses(levels, thresholds, a, theta, stiffness)
        np.testing.assert_allclose(np.exp(logs - scipy.special.logsumexp(logs)), masses / masses.sum(), rtol=1e-3)
