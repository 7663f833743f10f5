"""The derivation of committee machines: the equations that are solved are the ones that are derived."""

import equinox as eqx
import jax
import numpy as np
import pytest
import sympy

from steode import Identity, Normal, SpecificationError, Uniform, committee, derive
from steode.symbolic import symbols as sym
from steode.systems.committee.letters import Letters
from steode.systems.committee.order_parameters import Closure, Overlaps
from steode.systems.committee.problem import make_problem

pytestmark = pytest.mark.representative

MODEL = committee.CommitteeModel(
    learning_rate=0.7,
    noise=0.2,
    batch_size=2,
    output_weights=(1.0, 0.5),
    teacher_output_weights=(0.8, -0.6),
    init=Normal(std=0.5),
    input_quantizer=Uniform(bits=2, range=2.0),
    teacher_overlap=((1.0, 0.3), (0.3, 0.7)),
)
LETTERS = Letters(2, 2)
CROSS, OWN = np.array([[0.4, -0.1], [0.2, 0.3]]), np.array([[0.6, 0.1], [0.1, 0.5]])


def at_once(function, *arguments):
    """A function's values by one compiled program."""
    return eqx.filter_jit(function)(*arguments)


def named(matrix, values):
    return dict(zip(matrix, np.ravel(values), strict=True))


def numbers(problem, force):
    """What the symbols of the derivation stand for."""
    found = named(LETTERS.c, force.student) | named(LETTERS.cstar, force.teacher)
    # the noise of the derivation is that of one sample
    found |= named(LETTERS.D, np.asarray(force.noise) * MODEL.batch_size)
    found |= named(LETTERS.T, problem.teacher) | {sym.eta: MODEL.learning_rate, sym.batch: MODEL.batch_size}
    return found | {sym.alpha_1: float(problem.alpha_1), sym.alpha_2: float(problem.alpha_2)}


def evaluated(matrix, values):
    return np.array(matrix.subs(values)).astype(float)


def test_the_overlaps_move_as_derived():
    limit = derive(MODEL)
    with jax.enable_x64(True):
        problem = make_problem(MODEL)
        readout = jax.numpy.asarray(MODEL.readout)
        force = jax.device_get(at_once(problem.force, jax.numpy.asarray(OWN), jax.numpy.asarray(CROSS), readout))
        state = jax.numpy.asarray(CROSS), jax.numpy.asarray(OWN), readout
        cross, own, _ = jax.device_get(at_once(Overlaps(problem).rates, 0.0, state))
    values = numbers(problem, force) | named(LETTERS.R, CROSS) | named(LETTERS.S, OWN)
    np.testing.assert_allclose(cross, evaluated(limit.overlap_rates[0], values), atol=1e-12)
    np.testing.assert_allclose(own, evaluated(limit.overlap_rates[1], values), atol=1e-12)


def test_the_closure_moves_as_derived():
    model = MODEL.replace(weight_quantizer=Uniform(bits=2, range=1.5))
    limit = derive(model)
    node, mean, spread = np.array([[0.5, -1.0]]), np.array([[0.3, -0.2]]), np.array([[[0.3, 0.1], [0.1, 0.2]]])
    with jax.enable_x64(True):
        problem = make_problem(model)
        closure = Closure(problem, jax.numpy.asarray(node), jax.numpy.ones(1))
        state = jax.numpy.asarray(mean), jax.numpy.asarray(spread), jax.numpy.asarray(model.readout)
        image, variance, own, cross = at_once(closure.averages, state)
        force = jax.device_get(at_once(problem.force, own, cross, state[2]))
        slope = problem.weight_map.gaussian_slope(state[0], variance)
        moved, spreading, _ = jax.device_get(at_once(closure.rates, 0.0, state))
    values = numbers(problem, force) | named(LETTERS.image, image) | named(LETTERS.wstar, node)
    values |= named(LETTERS.weight_slope, slope) | named(LETTERS.spread, spread)
    np.testing.assert_allclose(moved[0], evaluated(limit.closure_rates[0], values).ravel(), atol=1e-12)
    np.testing.assert_allclose(spreading[0], evaluated(limit.closure_rates[1], values), atol=1e-12)
    # and its average over two quantized weights is that of draws
    draws = np.random.default_rng(0).multivariate_normal(mean[0], spread[0], size=400_000)
    products = model.weight_quantizer(draws[:, 0]) * model.weight_quantizer(draws[:, 1])
    assert own[0, 1] == pytest.approx(products.mean(), abs=5 * products.std() / np.sqrt(products.size))


def test_responses_are_sums_over_pairs():
    limit, v, u = derive(MODEL), MODEL.readout, MODEL.teacher_readout
    with jax.enable_x64(True):
        problem = make_problem(MODEL)
        own, cross = (jax.numpy.asarray(values) for values in (OWN, CROSS))
        force = jax.device_get(at_once(problem.force, own, cross, jax.numpy.asarray(v)))
        C = np.block([[problem.alpha_2 * OWN, problem.alpha_1 * CROSS], [problem.alpha_1 * CROSS.T, problem.teacher]])
        size = np.diag(C)
        pairs = size[:2, None], size[None, :], C[:2]
        values = named(LETTERS.slope, problem.averages.slopes(*pairs))
        values |= named(LETTERS.curvature, problem.averages.curvature(*pairs))
    values |= named(LETTERS.v, v) | named(LETTERS.vstar, u)
    expected = evaluated(limit.responses, values)
    np.testing.assert_allclose(np.hstack([force.student, force.teacher]), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "quantizer"),
    [("erf", Identity()), ("relu", Uniform(bits=2, range=2.0)), ("tanh(x)", Uniform(bits=2, range=2.0))],
    ids=["erf", "relu", "tanh"],
)
def test_every_derivation_is_rendered(name, quantizer):
    model = MODEL.replace(
        activation=name, weight_quantizer=quantizer, output_learning_rate=0.1, hidden=3, output_weights=1.0
    )
    limit = derive(model)
    titles = [step.title for step in limit.derivation]
    assert ("Gaussian closure" in titles) is model.quantizes_weights
    assert ("equations of the overlaps" in titles) is not model.quantizes_weights
    assert (limit.pair is None) is (name == "tanh(x)")
    text = limit.markdown()
    assert len(text) > 2000
    for relation in (equation for step in limit.derivation for equation in step.equation):
        assert isinstance(relation, sympy.Basic)
    assert "nan" not in text


def test_only_committees_are_derived_here():
    with pytest.raises(SpecificationError, match="CommitteeModel"):
        committee.derive(Identity())
