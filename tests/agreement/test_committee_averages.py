"""Gaussian averages of hidden units: SymPy's closed forms and our quadrature beside quadratures that share nothing."""

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from steode import ClippedSurrogate, DerivativeOf, Elementwise, IdentitySurrogate, UnsupportedError, committee
from steode.systems.committee import gaussian_integrals as forms
from steode.systems.committee.averages import averages_of
from steode.systems.committee.force import Setting, force

pytestmark = pytest.mark.representative

PAIRS = [(1.0, 1.0, 0.3), (0.25, 2.0, -0.5), (1.5, 0.8, 1.0), (1.0, 1.0, 0.0)]
EXACT = 1e-9


def gauss(count):
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def plane(integrand, a, b, c):
    """E of a function of (u, w) by adaptive quadrature over each quadrant, on which rectified units are smooth."""
    precision = np.linalg.inv([[a, c], [c, b]])
    mass = np.sqrt(np.linalg.det(precision)) / (2 * np.pi)

    def density(w, u):
        form = precision[0, 0] * u * u + 2 * precision[0, 1] * u * w + precision[1, 1] * w * w
        return integrand(u, w) * mass * np.exp(-form / 2)

    reach_u, reach_w = 9 * np.sqrt(a), 9 * np.sqrt(b)
    edges = [(-reach_u, 0, -reach_w, 0), (-reach_u, 0, 0, reach_w), (0, reach_u, -reach_w, 0), (0, reach_u, 0, reach_w)]
    return sum(scipy.integrate.dblquad(density, *edge, epsabs=1e-10)[0] for edge in edges)


def units(name):
    """f, f' and u f'(u), of which the curvature is made by Stein."""
    if name == "erf":
        return lambda x: scipy.special.erf(x / np.sqrt(2)), lambda x: np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)
    return lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)


@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize("pair", PAIRS[:2])
def test_closed_pair_averages_are_the_integrals(name, pair):
    f, slope = units(name)
    found = forms.pair_averages(name)
    values = dict(zip((forms.a, forms.b, forms.c), pair, strict=True))
    a, _, c = pair
    first = plane(lambda u, w: u * slope(u) * f(w), *pair)
    slopes = plane(lambda u, w: slope(u) * slope(w), *pair)
    assert float(found.product.subs(values)) == pytest.approx(plane(lambda u, w: f(u) * f(w), *pair), abs=1e-8)
    assert float(found.slopes.subs(values)) == pytest.approx(slopes, abs=1e-8)
    assert float(found.curvature.subs(values)) == pytest.approx((first - c * slopes) / a, abs=1e-8)


def test_a_unit_beside_itself_is_one_integral():
    nodes, weights = gauss(120)
    f, _ = units("erf")
    product = forms.pair_averages("erf").product.subs({forms.a: 0.7, forms.b: 0.7, forms.c: 0.7})
    assert float(product) == pytest.approx(weights @ f(np.sqrt(0.7) * nodes) ** 2, abs=EXACT)


def test_no_closed_form_is_made_up():
    with pytest.raises(UnsupportedError, match="tanh"):
        forms.pair_averages("tanh(x)")


C3 = np.array([[0.8, 0.2, 0.3], [0.2, 0.6, -0.1], [0.3, -0.1, 1.0]])


def by_tensor(C, readout, teacher, f, slope, sigma, count=60):
    """Everything the force holds from a product of Gauss-Hermite rules over all units; C^-1 in place of Stein."""
    nodes, weights = gauss(count)
    grids = np.stack([grid.ravel() for grid in np.meshgrid(*[nodes] * C.shape[0], indexing="ij")])
    share = np.prod([part.ravel() for part in np.meshgrid(*[weights] * C.shape[0], indexing="ij")], axis=0)
    h = np.linalg.cholesky(C) @ grids
    hidden = readout.size
    residual = readout @ f(h[:hidden]) - teacher @ f(h[hidden:])
    error = residual * readout[:, None] * slope(h[:hidden])
    noise = (error * share) @ error.T
    own = readout[:, None] * slope(h[:hidden])
    noise = noise + sigma**2 * (own * share) @ own.T
    response = np.linalg.solve(C, (h * share) @ error.T).T
    return response, noise, (f(h[:hidden]) * share) @ residual, share @ residual**2 / 2


CASES = {
    "erf": ({"activation": "erf"}, *units("erf"), 1e-6),
    "linear": ({"activation": "linear"}, lambda x: x, lambda x: 1.0 + 0 * x, 1e-12),
    "tanh": ({"activation": "tanh(x)"}, np.tanh, lambda x: 1 / np.cosh(x) ** 2, 1e-5),
    "erf with slope one": (
        {"activation": "erf", "activation_surrogate": IdentitySurrogate()},
        units("erf")[0],
        lambda x: 1.0 + 0 * x,
        1e-5,
    ),
    "erf with the slope of tanh": (
        {"activation": "erf", "activation_surrogate": DerivativeOf(Elementwise("tanh(x)"))},
        units("erf")[0],
        lambda x: 1 / np.cosh(x) ** 2,
        1e-5,
    ),
    # kinks and jumps: the product of rules over all units is off by itself
    "relu": ({"activation": "relu"}, *units("relu"), 0.03),
    "clipped slope": (
        {"activation": "tanh(x)", "activation_surrogate": ClippedSurrogate(1.0)},
        np.tanh,
        lambda x: 1.0 * (np.abs(x) < 1),
        0.08,
    ),
}


@pytest.mark.parametrize(("changes", "f", "slope", "tolerance"), CASES.values(), ids=CASES)
def test_the_force_is_what_a_rule_over_all_units_gives(changes, f, slope, tolerance):
    model = committee.CommitteeModel(teacher_hidden=1, output_weights=(1.0, 0.5), noise=0.3, batch_size=2, **changes)
    with jax.enable_x64(True):
        setting = Setting(averages_of(model), jax.numpy.array([0.8]), jax.numpy.array(0.3), jax.numpy.array(2.0))
        found = jax.device_get(eqx.filter_jit(force)(setting, jax.numpy.asarray(C3), jax.numpy.asarray(model.readout)))
    response, noise, output, error = by_tensor(C3, model.readout, np.array([0.8]), f, slope, 0.3)
    np.testing.assert_allclose(np.hstack([found.student, found.teacher]), response, atol=tolerance)
    np.testing.assert_allclose(found.noise, noise / 2, atol=tolerance)
    np.testing.assert_allclose(found.output, output, atol=tolerance)
    assert found.error == pytest.approx(error, abs=tolerance)


def test_points_and_products_of_rules_agree():
    """Of four units the noise is averaged over points: another draw of them shows how good they are."""
    model = committee.CommitteeModel(activation="relu", noise=0.1)
    root = np.random.default_rng(5).normal(size=(4, 4))
    C = root @ root.T / 4
    with jax.enable_x64(True):
        squares = [
            np.asarray(averages_of(model, draw).residual_square(jax.numpy.asarray(C), jax.numpy.ones(4), 2))
            for draw in (0, 1)
        ]
    np.testing.assert_allclose(*squares, rtol=1e-2)
    assert np.abs(squares[0] - squares[1]).max() > 0


def test_kinks_are_panels_and_closed_forms_are_met_again():
    """ReLU by quadrature, cut at its kink, beside its closed forms; and a clipped slope, whose averages are known."""
    plain = committee.CommitteeModel(activation="relu")
    numerical = committee.CommitteeModel(activation="Max(x, 0)")
    clipped = plain.replace(activation_surrogate=ClippedSurrogate(1.2))
    pair = [jax.numpy.asarray(values) for values in zip(*PAIRS[:2], strict=True)]
    with jax.enable_x64(True):
        exact, found, cut = (averages_of(model) for model in (plain, numerical, clipped))
        for name in ("product", "slopes", "curvature", "surrogates"):
            np.testing.assert_allclose(getattr(found, name)(*pair), getattr(exact, name)(*pair), atol=1e-8)
        slopes = np.asarray(cut.slopes(*pair))
    for value, numbers in zip(slopes, PAIRS, strict=False):
        expected = plane(lambda u, w: (abs(u) < 1.2) * (w > 0), *numbers)
        assert value == pytest.approx(expected, abs=1e-4)
