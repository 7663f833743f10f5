"""What may be deployed: averages and roundings of the stationary law against identities, limits and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure

from steode import plot
from steode.errors import SpecificationError, UnsupportedError
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant, Discrete, Empirical, Normal
from steode.parts.quantizers import Identity, Levels, Sign, SignedInteger, Uniform
from steode.solvers import latent, stationary
from steode.systems.linear.deployments import deployments
from steode.systems.linear.literal.input_moments import coordinate_moments
from steode.systems.linear.spec import ClippedSurrogate, LinearModel
from tests.models import REFERENCE, STEP_QUANTIZERS, problem_at

pytestmark = pytest.mark.representative

cell_probabilities = eqx.filter_jit(stationary.cell_probabilities)
mean_weight = eqx.filter_jit(latent.mean_weight)
density_of = eqx.filter_jit(stationary.density)

QUADRATURE = 1e-10
C = float(coordinate_moments(REFERENCE.input_quantizer, np.ones(1)).shrinkage[0])
"""alpha_1/alpha_2 of the reference case, from the input quantizer itself."""


def targets_of(model, a):
    """The equations of a model with the inputs of the reference case, at given targets."""
    return problem_at(model, np.asarray(a) / C)


@pytest.mark.parametrize("quantizer", STEP_QUANTIZERS, ids=str)
def test_mean_quantized_weight_is_the_target(quantizer):
    """Zero mean drift: at every residual variance, whatever the levels, thresholds and learning rate."""
    a = np.quantile(quantizer.levels, [0.02, 0.3, 0.5, 0.71, 0.98])
    with jax.enable_x64(True):
        problem = targets_of(REFERENCE.replace(weight_quantizer=quantizer, learning_rate=0.4), a)
        for variance in (0.02, 0.3, 4.0):
            probabilities = np.asarray(cell_probabilities(problem, jnp.asarray(variance)))
            np.testing.assert_allclose(probabilities @ quantizer.levels, a, rtol=0, atol=1e-10)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_mean_latent_weight_is_that_of_the_density(decay):
    quantizer = Levels((-2.0, 0.0, 2.0), (-0.3, 0.4))
    model = REFERENCE.replace(weight_quantizer=quantizer, learning_rate=0.4, weight_decay=decay)
    a, step = np.array([-1.3, 0.1, 0.8]), 1e-5
    edges = np.concatenate([np.linspace(-40, 40, 41), quantizer.thresholds])
    edges.sort()
    nodes, weights = np.polynomial.legendre.leggauss(40)
    halves = np.diff(edges)[:, None] / 2
    w, weights = (edges[:-1, None] + halves * (1 + nodes)).ravel(), (halves * weights).ravel()
    with jax.enable_x64(True):
        variance = jnp.asarray(0.7)
        problem = targets_of(model, a)
        density = np.asarray(density_of(problem, variance, jnp.asarray(w)))
        mean, up, down = (np.asarray(mean_weight(targets_of(model, a + shift), variance)) for shift in (0, step, -step))
    np.testing.assert_allclose(mean, density @ (weights * w), atol=1e-9)
    # the law is an exponential family in a: its mean grows at the rate 2 Var(w)/theta
    slope = 2 * (density @ (weights * w**2) - mean**2) / (model.learning_rate * 0.7)
    np.testing.assert_allclose((up - down) / (2 * step), slope, rtol=1e-6)


def test_mean_latent_weight_of_unreachable_targets_is_infinite():
    with jax.enable_x64(True):
        # the last level is -2; the ratio of the input moments is rounded, so that the target is put just beyond it
        mean = mean_weight(targets_of(REFERENCE, [-2.0 - 1e-12, 2.5]), jnp.asarray(0.5))
    assert mean.tolist() == [-np.inf, np.inf]


@pytest.mark.parametrize(
    "quantizer", [SignedInteger(3, 2.0), Levels((-1.0, 0.1, 3.0)), Levels((-2.0, 0.0, 2.0), (-0.3, 0.4))], ids=str
)
def test_averaged_latent_weights_are_rounded_to_the_nearest_level_at_small_learning_rate(quantizer):
    """Also where the thresholds of the quantizer do not lie midway."""
    middles = (quantizer.levels[1:] + quantizer.levels[:-1]) / 2
    gaps = []
    with jax.enable_x64(True):
        for eta in (1.0, 0.1, 0.01):
            problem = problem_at(REFERENCE.replace(weight_quantizer=quantizer, learning_rate=eta), np.ones(1))
            crossings = latent.crossings(problem, 0.3)
            assert np.all(np.diff(crossings) > 0)
            gaps.append(np.abs(crossings - middles).max())
    assert gaps[0] > 1e-4
    assert gaps[1] < 0.02 * gaps[0]
    assert gaps[2] < 1e-12


def test_crossings_are_where_the_mean_meets_the_threshold():
    model = REFERENCE.replace(weight_quantizer=Levels((-2.0, 0.0, 2.0), (-0.3, 0.4)), weight_decay=0.3)
    with jax.enable_x64(True):
        crossings = latent.crossings(problem_at(model, np.ones(1)), 1.5)
        mean = mean_weight(targets_of(model, crossings), jnp.asarray(1.5))
    np.testing.assert_allclose(mean, model.weight_quantizer.thresholds, atol=1e-9)


ATOMS = 2100
RANKS = (np.arange(ATOMS) + 0.5) / ATOMS


def over_floor(bits, eta, values, largest):
    """What the last iterate and rounding once add to the floor; atoms compile faster than a continuous law."""
    model = LinearModel(teacher=Empirical(values), weight_quantizer=Uniform(bits, largest), learning_rate=eta)
    found = deployments(model)
    return found.last_iterate - found.floor, found.rounded_target - found.floor


def test_last_iterate_is_twice_as_bad_as_rounding_once():
    """On a flat teacher law to order eta^2, by pi^2 eta^2/18 for targets near each of the n - 2 inner levels."""
    bits, largest = 3, 1.5
    levels, step = 2**bits, 2 * largest / (2**bits - 1)
    slopes = []
    for eta in (0.2, 0.1):
        last, once = over_floor(bits, eta, largest * (2 * RANKS - 1), largest)
        assert abs(once / (step**2 / 24) - 1) < 2 * (levels / ATOMS) ** 2
        slopes.append((last / once - 2) / (np.pi**2 / 18 * eta**2) * (levels - 1) / (levels - 2))
    gaps = 1 - np.array(slopes)
    assert 0.4 < gaps[1] / gaps[0] < 0.7  # the next order is smaller by a factor eta
    assert abs(2 * gaps[1] - gaps[0]) < 0.02


def test_the_ratio_tends_to_two_as_bits_grow():
    """A smooth teacher law is flat on the scale of a fine grid."""
    ratios = np.divide(*np.transpose([over_floor(bits, 0.1, scipy.stats.norm.ppf(RANKS), 4.0) for bits in (1, 3)]))
    assert abs(ratios[0] - 2) > 0.5
    assert abs(ratios[1] - 2) < np.pi**2 / 18 * 0.1**2


def test_rounding_a_gaussian_teacher_to_its_sign_has_a_closed_form():
    found = deployments(LinearModel(teacher=Normal(), weight_quantizer=Sign(0.7), noise=0.2, learning_rate=0.3))
    exact = (1 - 2 * 0.7 * np.sqrt(2 / np.pi) + 0.49) / 2
    for name in ("rounded_teacher", "rounded_target", "rounded_average"):
        assert abs(found.errors[name] - exact) < QUADRATURE
    assert found.averaged_iterates == found.floor
    assert found.unquantized == pytest.approx(0.3 * 0.04 / (2 * 1.7), rel=1e-12)


def test_nothing_beats_the_nearest_level_on_the_grid_nor_the_floor_in_the_range():
    model = REFERENCE.replace(
        teacher=Discrete((-1.1, 0.2, 3.0), (0.5, 0.3, 0.2)),
        weight_quantizer=SignedInteger(2, 1.5),
        learning_rate=0.8,
        noise=0.3,
        batch_size=4,
    )
    found = deployments(model)
    assert found.last_iterate == found.point.eps_g
    on_the_grid = [found.last_iterate, found.rounded_average, found.rounded_teacher]
    assert all(error >= found.rounded_target for error in on_the_grid)
    assert found.floor == found.averaged_iterates < found.rounded_target
    # the cost of averaging counts the targets inside the range
    assert found.averaging_excess == pytest.approx(0.8 * found.point.V / 8, rel=1e-12)
    # one line each, between a header and the averaged latent weights and the floor
    lines = repr(found).splitlines()
    assert len(lines) == 3 + len(found.errors)
    assert f"{found.rounded_average:.6f}" in lines[2]


@pytest.mark.parametrize(("eta", "last"), [(0.9, 0.0), (1.2, 0.08336)], ids=["recovered", "above the threshold"])
def test_representable_teacher(eta, last):
    """Above the threshold learning rate the last iterate dithers around levels that averaging finds exactly."""
    found = deployments(LinearModel(teacher=Constant(1.0), weight_quantizer=Levels(range(-3, 4)), learning_rate=eta))
    assert abs(found.last_iterate - last) < 6e-6
    assert found.rounded_average == found.rounded_teacher == found.averaged_iterates == 0
    assert ("of 2 fixed points" in found.note) == (eta > 1)


def test_figure_shows_every_error_where_it_is():
    found = [deployments(LinearModel(teacher=Constant(0.3), weight_quantizer=Sign(), noise=0.1))] * 2
    runs = {"last_iterate": ([0.4, 0.5], [0.01, 0.02])}
    ax = plot.deployments([1, 2], found, runs, averaged=50.0, xlabel="bits", ax=Figure().subplots())
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert list(lines["last iterate"]) == [found[0].last_iterate] * 2
    # over a time of 50 the averages keep a fiftieth of their excess
    assert list(lines["the same, over a time $T = 50$"]) == [found[0].averaged_over(50.0)] * 2
    # exact recovery by averaging has no place on a logarithmic axis
    assert np.isnan(lines["iterates averaged, full precision"]).all()
    assert any(list(line.get_ydata()) == [0.4, 0.5] for line in ax.lines)
    with pytest.raises(SpecificationError, match="one for each x"):
        plot.deployments([1], found)
    with pytest.raises(SpecificationError, match="names among last_iterate"):
        plot.deployments([1, 2], found, kinds=["average"])


def test_what_has_no_grid_or_no_fixed_point_is_refused():
    with pytest.raises(UnsupportedError, match="needs a grid to round to"):
        deployments(REFERENCE.replace(weight_quantizer=Identity()))
    with pytest.raises(UnsupportedError, match="needs a grid to round to"):
        deployments(REFERENCE.replace(weight_quantizer=Elementwise("tanh(x)")))
    with pytest.raises(UnsupportedError, match="depends on the initial law"):
        deployments(REFERENCE.replace(surrogate=ClippedSurrogate(1.0)))
    with pytest.raises(SpecificationError, match="a LinearModel"):
        deployments(3)
