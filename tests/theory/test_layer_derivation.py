"""The derivation of a layer: its statements computed, and held against numbers that come another way."""

import re
import warnings

import jax
import numpy as np
import pytest
import sympy

from steode import SpecificationError, Uniform, derive, fixed_points, layer
from steode.symbolic import symbols as sym
from steode.symbolic.prose import with_mathematics
from steode.systems.layer.clipping import box_least_squares
from steode.systems.layer.derivation import Letters, derive_for
from steode.systems.layer.product_law import mean_square, shells

CASES = [(False, 2), (False, 3), (True, 2), (True, 3)]
MOMENT = np.array([[1.0, 0.6, 0.2], [0.6, 1.5, -0.4], [0.2, -0.4, 0.8]])
WEIGHTS = np.array([[0.5, -1.1, 0.3]])


def model(quantizer=None, **changes):
    options = {"bits": 2, "kind": "mid-rise", "range": 2.0, "learning_rate": 0.1, "noise": 0.3} | changes
    options |= {} if quantizer is None else {"input_quantizer": quantizer}
    return layer.LayerModel(WEIGHTS, second_moment=MOMENT, **options)


def numbers(own, letters):
    """Values of the symbols of size three."""
    inputs = own.inputs
    values = {sym.d: 3, sym.eta: own.learning_rate, sym.sigma: own.noise, sym.batch: own.batch_size}
    matrices = ((letters.image, inputs.image), (letters.cross, inputs.cross), (letters.plain, inputs.plain))
    for matrix, given in matrices:
        values |= {matrix[i, j]: given[i, j] for i in range(3) for j in range(3)}
    return values | dict(zip(letters.teacher, own.weights[0], strict=True))


@pytest.mark.parametrize(("quantized", "size"), CASES)
def test_flux_of_the_product_law_vanishes(quantized, size):
    found = derive_for(quantized, size)
    assert found.flux == sympy.zeros(size, 1)


def test_no_other_temperature_and_no_other_target_has_a_vanishing_flux():
    found, letters = derive_for(False, 2), Letters(2, False)
    slopes = {
        q: sympy.diff(u, w) + a for q, u, w, a in zip(letters.Q, found.potential, letters.w, letters.a, strict=True)
    }
    for law, drift in (
        (found.law**2, found.drift),
        (found.law, found.drift.subs(letters.a[0], letters.a[0] + 1)),
    ):
        gradient = sympy.Matrix([sympy.diff(law, w) for w in letters.w])
        flux = drift.subs(slopes) * law - found.diffusion * gradient / 2
        assert any(sympy.simplify(entry) != 0 for entry in flux)


@pytest.mark.parametrize(("quantized", "size"), CASES)
def test_targets_turn_the_mean_step_into_the_drift(quantized, size):
    found, letters = derive_for(quantized, size), Letters(size, quantized)
    mean = -sym.eta * (letters.image * letters.Q - letters.cross * letters.teacher)
    drift = found.drift.subs(dict(zip(letters.a, found.target, strict=True)))
    assert (drift - mean).applyfunc(sympy.simplify) == sympy.zeros(size, 1)


@pytest.mark.parametrize("quantizer", [None, Uniform(2, 1.5)])
def test_mean_step_and_residual_variance_are_those_of_samples(quantizer):
    own, letters = model(quantizer), Letters(3, quantizer is not None)
    found, count = derive_for(quantizer is not None, 3), 400_000
    q = np.array([0.7, -0.7, 2.0])
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal(np.zeros(3), MOMENT, size=count)
    z = own.input_quantizer(x)
    residual = (z @ q - x @ WEIGHTS[0]) / np.sqrt(3) - own.noise * rng.normal(size=count)
    steps = -(own.learning_rate / np.sqrt(3)) * residual[:, None] * z
    values = numbers(own, letters) | dict(zip(letters.Q, q, strict=True))
    values |= {a: target.subs(values) for a, target in zip(letters.a, found.target, strict=True)}
    drift = np.array(found.drift.subs(values), dtype=float).ravel() / 3
    assert np.abs((steps.mean(axis=0) - drift) / (steps.std(axis=0) / np.sqrt(count))).max() < 4
    square = residual**2
    assert abs(square.mean() - float(found.V.subs(values))) < 4 * square.std() / np.sqrt(count)


def test_fixed_points_solve_the_derived_equation():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", layer.LayerWarning)
        own = model(Uniform(2, 1.5))
        V = fixed_points(own).V[0]
    letters, found = Letters(3, True), derive_for(True, 3)
    values = numbers(own, letters)
    values |= {a: target.subs(values) for a, target in zip(letters.a, found.target, strict=True)}
    step = own.grid.step[0, 0]
    with jax.enable_x64(True):
        for s, a in zip(letters.spread, letters.a, strict=True):
            u, t = float(values[a]) / step + own.grid.origin[0, 0], own.learning_rate * V / step**2
            values[s] = step**2 * float(mean_square(np.array(u), np.array(t), 4, shells(t, 4)))
    assert float(found.fixed_point.subs(values)) == pytest.approx(V, rel=1e-9)


def test_clipped_coordinates_are_those_of_the_constrained_problem():
    found, letters = derive_for(False, 2), Letters(2, False)
    moment, a, end = MOMENT[:2, :2], np.array([2.5, -0.3]), 2.0
    best = box_least_squares(a[None], moment, np.full((1, 2), -end), np.full((1, 2), end))[0]
    values = dict(zip(letters.a, a, strict=True)) | {sym.omega: end, sym.eta: 1}
    values |= {letters.image[i, j]: moment[i, j] for i in range(2) for j in range(2)}
    assert best[0] == end
    assert best[1] == pytest.approx(float(found.compensated[0].subs(values)), rel=1e-12)
    push = -(moment @ (best - a))[0]
    assert push == pytest.approx(float(found.pushed.subs(values)), rel=1e-12)
    assert push > 0


def test_masses_of_the_cells_are_those_of_the_sum():
    step = derive_for(False, 2).step("masses of the cells")
    inner, outer = (equation.rhs for equation in step.equation[1:])
    u, t = 0.7, 0.35
    delta, temperature = sympy.Symbol("delta", positive=True), sympy.Symbol("t", positive=True)
    masses = [
        float((outer if level in (0, 3) else inner).subs({delta: abs(level - u), temperature: t})) for level in range(4)
    ]
    expected = sum(mass * (level - u) ** 2 for level, mass in enumerate(masses)) / sum(masses)
    with jax.enable_x64(True):
        found = float(mean_square(np.array(u), np.array(t), 4, shells(t, 4)))
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_verb_serves_the_layer():
    assert derive(model()).size == 2
    assert layer.derive(model(), 3).size == 3


def test_no_reason_has_a_formula_left_in_plain_text():
    for step in derive_for(True, 2).derivation:
        between = " ".join(with_mathematics(step.reason).split("$")[::2])
        assert not re.search(r"[A-Za-z]_|[*^=~|<>]|\b(?:alpha|eta|theta|tau|sigma|rho|kappa)\b", between), between


@pytest.mark.parametrize("size", [1, 4, 2.5])
def test_other_sizes_are_refused(size):
    with pytest.raises(SpecificationError, match="size: expected an integer between 2 and 3"):
        derive(model(), size)
