"""Fixed points of a layer: against the linear system, against quadrature, against a library's bounded least squares."""

import itertools
import warnings

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize

from steode import Empirical, LinearModel, Uniform, fixed_points, layer
from steode.systems.layer.clipping import box_least_squares
from steode.systems.layer.product_law import UNROLLED, mean_square, shells

pytestmark = pytest.mark.representative

RNG = np.random.default_rng(5)
DIM = 60
WEIGHTS = RNG.normal(size=(3, DIM)).clip(-1.8, 1.8)


@pytest.fixture(autouse=True)
def _small_layers_are_noisy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", layer.LayerWarning)
        yield


def correlated(dim=DIM, rho=0.8):
    return scipy.linalg.toeplitz(rho ** np.arange(dim))


def model(moment=None, weights=WEIGHTS, **changes):
    options = {"bits": 2, "kind": "mid-rise", "range": 2.0, "learning_rate": 0.1, "noise": 0.3} | changes
    moment = np.eye(weights.shape[1]) if moment is None else moment
    return layer.LayerModel(weights, second_moment=moment, **options)


def at(position, temperature, count):
    reach = shells(float(np.max(temperature)), count)
    with jax.enable_x64(True):
        return np.asarray(COMPILED(position, temperature, count, reach))


COMPILED = jax.jit(mean_square, static_argnames=("count", "reach"))


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("temperature", [0.02, 0.3, 4.0])
def test_mean_square_is_that_of_the_density(count, temperature):
    edges = np.arange(count - 1) + 0.5

    def density(w, u, least):
        return np.exp(-2 * (-u * w + np.sum(np.maximum(w - edges, 0)) - least) / temperature)

    for u in (0.02, 0.31, count / 2 - 0.5, count - 1.4):
        # forty times the length in which the density falls in a tail
        tails = edges[0] - 20 * temperature / u, edges[-1] + 20 * temperature / (count - 1 - u)
        least = min(-u * edge + np.sum(np.maximum(edge - edges, 0)) for edge in edges)
        moments = np.zeros(2)
        for level, ends in enumerate(itertools.pairwise([tails[0], *edges, tails[1]])):
            mass = scipy.integrate.quad(density, *ends, args=(u, least), limit=400, epsabs=1e-14)[0]
            moments += mass * np.array([1, (level - u) ** 2])
        assert at(u, temperature, count) == pytest.approx(moments[1] / moments[0], rel=1e-9)


def test_many_levels_are_summed_in_a_loop():
    """The mean square of a fine grid is t/2 of the latent weight itself, less what rounding takes."""
    assert shells(40.0, 1000) > UNROLLED
    assert at(400.3, 40.0, 1000) == pytest.approx(float(at(400.3, 40.0, 63 * 16)), rel=1e-12)
    assert at(400.3, 40.0, 1000) == pytest.approx(20.0, rel=0.01)


def test_mean_square_grows_with_temperature_below_its_bound():
    for u in RNG.uniform(0.01, 5.99, 20):
        temperatures = np.geomspace(1e-3, 30, 40)
        values = at(np.full(40, u), temperatures, 7)
        bound = (0.25 + np.sqrt(1 / 16 + temperatures / 2)) ** 2
        assert np.all(np.diff(values) >= -1e-12)
        assert np.all(values <= bound * (1 + 1e-12))


CASES = {
    "two bits": {},
    "three bits": {"bits": 3, "learning_rate": 0.3, "noise": 0.1},
    "clipped": {"range": 1.1},
    "zero level, fine": {"bits": 5, "kind": "mid-tread"},
    "large rate": {"bits": 4, "learning_rate": 1.6, "kind": "mid-tread", "noise": 0.1},
    "batches": {"bits": 4, "learning_rate": 1.6, "batch_size": 4},
}


@pytest.mark.parametrize("name", CASES)
def test_white_inputs_give_the_linear_system(name):
    own = model(**CASES[name])
    found = fixed_points(own)
    for row in range(own.rows):
        linear = LinearModel(
            teacher=Empirical(own.weights[row]),
            weight_quantizer=Uniform(own.bits, own.range, own.kind),
            learning_rate=own.learning_rate,
            batch_size=own.batch_size,
            noise=own.noise,
        )
        points = [point.V for point in fixed_points(linear)]
        assert found.V[row] == pytest.approx(points[-1], rel=1e-9)
        assert found.smallest[row] == pytest.approx(points[0], rel=1e-9)
        assert found.unique[row] == (len(points) == 1)


def test_quantized_white_inputs_give_the_linear_system():
    own = model(input_quantizer=Uniform(2, 1.5))
    linear = LinearModel(
        teacher=Empirical(own.weights[0]),
        weight_quantizer=Uniform(2, 2.0),
        input_quantizer=Uniform(2, 1.5),
        learning_rate=0.1,
        noise=0.3,
    )
    (point,) = fixed_points(linear)
    found = fixed_points(own)
    assert found.V[0] == pytest.approx(point.V, rel=1e-9)
    assert found.input_term[0] / 2 == pytest.approx(point.input_term, rel=1e-9)


def test_only_the_diagonal_counts_where_nothing_is_clipped():
    """The law is a product whatever K is; a scale of a column counts as its eigenvalue does in the linear system."""
    scales = RNG.uniform(0.5, 2, DIM)
    moment = correlated() * np.outer(scales, scales)
    correlated_V, diagonal_V = (fixed_points(model(part)).V for part in (moment, np.diag(np.diag(moment))))
    np.testing.assert_allclose(correlated_V, diagonal_V, rtol=1e-10)


@pytest.mark.parametrize("scale", [0.3, 0.8, 1.2])
def test_box_constrained_weights_are_those_of_a_library(scale):
    mixing = RNG.normal(size=(DIM, 2 * DIM)) * np.arange(1, DIM + 1)[:, None] ** -0.5
    moment = mixing @ mixing.T / DIM
    low, high = -scale * np.ones_like(WEIGHTS), scale * np.ones_like(WEIGHTS)
    found = box_least_squares(WEIGHTS, moment, low, high)
    root = scipy.linalg.cholesky(moment)
    for row in range(3):
        expected = scipy.optimize.lsq_linear(root, root @ WEIGHTS[row], (-scale, scale), method="bvls", tol=1e-14)
        np.testing.assert_allclose(found[row], expected.x, atol=1e-7)
        gradient = moment @ (found[row] - WEIGHTS[row])
        inside = np.abs(found[row]) < scale * (1 - 1e-9)
        assert np.abs(gradient[inside]).max(initial=0) < 1e-9 * np.abs(gradient).max()
        assert np.all(gradient[~inside] * np.sign(found[row][~inside]) <= 0)


def test_clipping_is_shared_by_the_free_weights():
    found = fixed_points(model(correlated(), range=1.2))
    alone = model(correlated(), range=1.2)
    offset = alone.grid.clip(WEIGHTS) - WEIGHTS
    by_itself = np.einsum("ri,ij,rj->r", offset, correlated(), offset) / DIM
    assert np.all(found.clipping < 0.6 * by_itself)
    np.testing.assert_allclose(found.V, found.dithering + found.clipping + found.input_term + 0.09, rtol=1e-12)


@pytest.mark.parametrize("kind", ["mid-tread", "asymmetric"])
def test_groups_are_those_of_a_loop(kind):
    own = model(correlated(), range="largest", granularity=20, kind=kind, bits=4)
    found = fixed_points(own)
    for row in range(own.rows):
        low, high = (np.repeat(end[row], 20) for end in (own.grid.low, own.grid.high))
        step = np.repeat(own.grid.step[row], 20)

        u = (found.best[row] - low) / step
        free = (u > 1e-9) & (u < (high - low) / step - 1e-9)

        def implied(V, row=row, step=step[free], u=u[free]):
            return 0.3**2 + found.clipping[row] + np.sum(step**2 * at(u, 0.1 * V / step**2, own.grid.count)) / DIM

        assert implied(found.V[row]) == pytest.approx(found.V[row], rel=1e-9)


def test_representable_weights_are_recovered_below_the_threshold():
    """The threshold eta tr K/(d B) = 1, and the error above it: multiplied by eta near V = 0."""
    weights = np.tile([-1.0, 0.0, 1.0, 2.0, -2.0, 1.0], (1, 10))
    options = {"kind": "mid-tread", "bits": 3, "range": 3.0, "noise": 0.0}
    below = fixed_points(model(correlated(), weights, learning_rate=0.9, **options))
    assert below.V[0] == 0
    assert below.unique[0]
    above = fixed_points(model(correlated(), weights, learning_rate=1.2, **options))
    assert above.V[0] / 2 == pytest.approx(0.08336, abs=2e-3)


def test_what_is_left_out_is_said():
    few = layer.LayerModel(WEIGHTS, activations=RNG.normal(size=(20, DIM)), bits=3, learning_rate=0.1)
    with pytest.warns(layer.LayerWarning, match="span of these samples"):
        fixed_points(few)
    steep = np.eye(DIM) + 40 * np.ones((DIM, DIM)) / DIM
    with pytest.warns(layer.LayerWarning, match="effective dimension"):
        assert "NOTE: effective dimension" in repr(fixed_points(model(steep)))
    with pytest.warns(layer.LayerWarning, match="steps are too large"):
        fixed_points(model(steep, learning_rate=0.5))


def test_eigenvalue_ends_of_large_matrices():
    from steode.systems.layer.fixed_points import DENSE, eigenvalue_ends

    size = DENSE + 50
    values = np.linspace(0.1, 3, size)
    basis = np.linalg.qr(RNG.normal(size=(size, size)))[0]
    low, high = eigenvalue_ends((basis * values) @ basis.T)
    assert low == pytest.approx(0.1, rel=0.02)
    assert high == pytest.approx(3, rel=0.02)
