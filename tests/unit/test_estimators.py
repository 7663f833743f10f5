"""Gradient estimators: the laws of their perturbations, what they average to, and how they compose."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from steode.errors import SpecificationError
from steode.estimators import SMOOTHINGS, Quantized, Smoothing, fogzo, linear_beta, spsa, ste

# small programs, which take longer to compile than to run
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SURROGATES = {
    "identity": lambda x: x,
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "tanh": np.tanh,
    "approxsign": lambda x: np.sign(x) * np.where(np.abs(x) < 1, 2 * np.abs(x) - x**2, 1.0),
}
"""Written down by themselves: in the package they exist only as laws of a perturbation."""

QUANTIZERS = {"round": np.round, "sign": np.sign}

PARAMS = {"a": jnp.array([[0.3, -0.2, 0.7], [-0.4, 0.1, 0.5]]), "b": jnp.array([0.6, -0.9])}
WIDTHS = {"a": Quantized("identity", scale=0.3), "b": Quantized("tanh", scale=0.05)}
SLOPE = {"a": jnp.array([[1.0, -2.0, 0.5], [0.3, 1.5, -0.7]]), "b": jnp.array([2.0, 1.0])}
Z_LIMIT = 4.0


def dot(first, second):
    return sum(jnp.sum(x * y) for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def linear(params):
    return dot(SLOPE, params)


def quadratic(params):
    return linear(params) + 0.5 * dot(params, params) + 1.5 * params["a"][0, 1] * params["b"][0]


@jax.custom_jvp
def biased(params):
    """`quadratic`, whose derivative is declared to be another: what a straight-through estimator does."""
    return quadratic(params)


@biased.defjvp
def _(primals, tangents):
    return quadratic(*primals), dot(jax.tree.map(lambda leaf: leaf**2 + 0.5, *primals), *tangents)


def rounded(params):
    """Rounds in the forward pass, and not in the backward pass."""
    quantized = jax.tree.map(lambda w: w + jax.lax.stop_gradient(jnp.round(w / 0.3) * 0.3 - w), params)
    return quadratic(quantized)


def assert_unbiased(cases, draws=4000):
    """The mean of every (estimator, loss, expected gradient) over `draws` keys, by z-score."""
    keys = jax.random.split(jax.random.key(7), draws)
    samples = jit(jax.vmap(lambda key: [make(loss, PARAMS, key).gradient for make, loss, _ in cases]))(keys)
    expected = [gradient for _, _, gradient in cases]
    for part, exact in zip(jax.tree.leaves(samples), jax.tree.leaves(expected), strict=True):
        values = np.asarray(part)
        z = (values.mean(axis=0) - exact) / (values.std(axis=0, ddof=1) / np.sqrt(draws))
        assert np.abs(z).max() < Z_LIMIT


def assert_equal(first, second):
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def assert_close(first, second, tolerance=2e-5):
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


def integral(function, kinks=()):
    points = np.unique([-60.0, -8.0, 8.0, 60.0, *kinks])
    return sum(scipy.integrate.quad(function, a, b, epsabs=1e-12)[0] for a, b in itertools.pairwise(points))


@pytest.mark.parametrize("name", SMOOTHINGS)
def test_smoothing_law_averages_the_quantizer_to_the_surrogate(name):
    law, quantizer = SMOOTHINGS[name], QUANTIZERS[SMOOTHINGS[name].quantizer]
    with jax.enable_x64(True):
        density = jit(law.density)
        edges = [-np.sqrt(6), -np.sqrt(3), 0.0, np.sqrt(3), np.sqrt(6)]
        assert integral(density, edges) == pytest.approx(1, abs=1e-9)
        assert integral(lambda u: u**2 * density(u), edges) == pytest.approx(1, abs=1e-9)
        for x in (-1.3, -0.4, 0.2, 0.95):
            jumps = (np.array([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5]) - x) / law.eps_bar
            average = integral(lambda u, x=x: float(quantizer(x + law.eps_bar * u)) * density(u), [*edges, *jumps])
            assert average == pytest.approx(SURROGATES[name](x), abs=1e-9)


@pytest.mark.parametrize("name", SMOOTHINGS)
def test_draws_follow_their_law(name):
    law, count = SMOOTHINGS[name], 20_000
    draws = np.sort(np.asarray(law.sample(jax.random.key(3), (count,), jnp.float32)))
    grid = np.linspace(-12, 12, 24_001)
    cdf = np.cumsum(np.asarray(law.density(grid))) * (grid[1] - grid[0])
    distance = np.abs(np.interp(draws, grid, cdf) - (np.arange(count) + 0.5) / count).max()
    assert distance * np.sqrt(count) < 1.95  # Kolmogorov, one in a thousand


def test_spsa_is_unbiased_for_linear_and_quadratic_losses():
    assert_unbiased([(spsa(2, WIDTHS), loss, jax.grad(loss)(PARAMS)) for loss in (linear, quadratic)])


def test_fogzo_averages_to_its_first_order_identity():
    """beta g_hat g_hat' grad + (1 - beta) grad, the tensors' eps a factor two apart; for "tensor" leaf by leaf."""
    beta, truth, guide = 0.7, jax.grad(quadratic)(PARAMS), jax.grad(biased)(PARAMS)

    def expected(whole_guide, whole_truth, part):
        share = dot(whole_guide, whole_truth) / dot(whole_guide, whole_guide)
        return beta * share * guide[part] + (1 - beta) * truth[part]

    by_normalization = {
        "global": {part: expected(guide, truth, part) for part in PARAMS},
        "tensor": {part: expected(guide[part], truth[part], part) for part in PARAMS},
    }
    assert_unbiased([(fogzo(2, beta, WIDTHS, name), biased, mean) for name, mean in by_normalization.items()])


def test_spsa_smooths_by_the_zero_bias_law():
    """Of rounding: uniform draws, but the mean slope is a parabola between levels, with the surrogate's mean, one."""

    def loss(params):
        return linear(jax.tree.map(lambda w: jnp.round(w / 0.3) * 0.3, params))

    position = jax.tree.map(lambda w: jnp.abs(w / 0.3 - jnp.round(w / 0.3)), PARAMS)
    slope = jax.tree.map(lambda t: 6 * t * (1 - t), position)
    assert_unbiased([(spsa(1, Quantized(scale=0.3)), loss, jax.tree.map(jnp.multiply, SLOPE, slope))])


def test_beta_zero_is_spsa_with_the_same_key():
    @jit
    def estimates(key):
        plain = spsa(2, WIDTHS)(rounded, PARAMS, key).gradient
        return plain, [fogzo(2, 0.0, WIDTHS, how)(rounded, PARAMS, key).gradient for how in ("global", "tensor")]

    plain, guided = estimates(jax.random.key(0))
    # the same draws and the same two losses; compilers may sum them in another order
    for gradient in guided:
        assert_close(gradient, plain, tolerance=1e-6)


def test_beta_one_where_its_schedule_begins_is_the_slope_along_the_straight_through_direction():
    schedule = linear_beta(0.8, 10)
    assert [float(schedule(step)) for step in (0, 5, 10, 30)] == pytest.approx([1, 0.9, 0.8, 0.8])
    guide = jax.grad(biased)(PARAMS)
    expected = jax.tree.map(lambda part: dot(guide, jax.grad(quadratic)(PARAMS)) / dot(guide, guide) * part, guide)
    estimator = jit(lambda key, step: fogzo(1, schedule, WIDTHS)(biased, PARAMS, key, step=step).gradient)
    assert_close(estimator(jax.random.key(0), 0), expected)


def test_zero_straight_through_gradient_leaves_spsa():
    def flat(params):
        return jax.lax.stop_gradient(quadratic(params))

    @jit
    def estimates(key):
        plain = spsa(3, WIDTHS)(flat, PARAMS, key).gradient
        return plain, [fogzo(3, 0.75, WIDTHS, how)(flat, PARAMS, key).gradient for how in ("global", "tensor")]

    plain, guided = estimates(jax.random.key(1))
    for gradient in guided:
        assert_close(gradient, jax.tree.map(lambda part: 0.25 * part, plain))


def test_straight_through_gradient_and_counts_of_passes():
    value = rounded(PARAMS)
    estimate = ste(rounded, PARAMS)
    assert (estimate.forward, estimate.backward) == (1, 1)
    assert_equal((estimate.loss, estimate.gradient), (value, jax.grad(rounded)(PARAMS)))
    assert_equal(jit(lambda key: fogzo(1, 0.9, WIDTHS)(rounded, PARAMS, key).loss)(jax.random.key(2)), value)
    some = {"a": Quantized(scale=0.3), "b": None}
    key = jax.random.key(2)
    for estimator, passes in (
        (spsa(3, WIDTHS), (6, 0)),
        (spsa(3, some), (7, 1)),
        (fogzo(3, 0.9, WIDTHS), (7, 1)),
        (fogzo(3, 0.9, some), (7, 1)),
    ):
        calls = []

        def counted(params, calls=calls):
            # once a traced pass: forward twice for all pairs, and once for the gradient
            calls.append(1)
            return rounded(params)

        found = jax.eval_shape(lambda key, f=estimator, loss=counted: f(loss, PARAMS, key), key)
        assert (found.forward, found.backward) == passes
        assert len(calls) == 2 + passes[1]


def test_leaves_that_are_not_quantized_have_their_exact_gradient():
    some = {"a": Quantized(scale=0.3), "b": None}

    @jit
    def estimates(key):
        return [make(quadratic, PARAMS, key).gradient["b"] for make in (spsa(2, some), fogzo(2, 0.5, some))]

    for gradient in estimates(jax.random.key(3)):
        assert_close(gradient, jax.grad(quadratic)(PARAMS)["b"])


@pytest.mark.parametrize("estimator", [ste, fogzo(3, 0.9, WIDTHS)], ids=["ste", "fogzo"])
def test_vmap_agrees_with_single_calls_under_jit(estimator):
    keys = jax.random.split(jax.random.key(4), 2)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), PARAMS)

    @jit
    def estimates(many, keys):
        together = jax.vmap(lambda params, key: estimator(rounded, params, key))(many, keys)
        return together, estimator(rounded, PARAMS, keys[0])

    together, single = estimates(many, keys)
    assert (together.forward, together.backward) == (single.forward, single.backward)
    assert_close(jax.tree.map(lambda leaf: leaf[0], together.gradient), single.gradient, 1e-4)


def test_directions_at_once_do_not_change_the_estimate():
    @jit
    def estimates(key):
        return [spsa(5, WIDTHS, parallel=size)(rounded, PARAMS, key).gradient for size in (2, 64)]

    assert_close(*estimates(jax.random.key(5)), 1e-4)


def test_scales_may_depend_on_the_tensor_and_eps_may_be_given():
    tensor = jnp.array([1.0, -3.0])
    assert Quantized("hardtanh", scale=lambda w: jnp.abs(w).max()).width(tensor) == pytest.approx(3**0.5)
    assert Quantized("hardtanh", eps=0.2).width(tensor) == 0.2
    own = Smoothing("mine", "sign", 2.0, SMOOTHINGS["tanh"].sample, SMOOTHINGS["tanh"].density)
    assert Quantized(own, scale=0.5).width(tensor) == 1.0


def test_optax_takes_the_estimates():
    optax = pytest.importorskip("optax")
    optimizer, estimator = optax.adam(0.05), fogzo(4, 0.9, Quantized(scale=0.3))

    def step(carry, key):
        params, state = carry
        estimate = estimator(rounded, params, key)
        updates, state = optimizer.update(estimate.gradient, state, params)
        return (optax.apply_updates(params, updates), state), estimate.loss

    @jit
    def train(keys):
        return jax.lax.scan(step, (PARAMS, optimizer.init(PARAMS)), keys)[1]

    losses = train(jax.random.split(jax.random.key(8), 60))
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("n", lambda: spsa(0, WIDTHS)),
        ("n", lambda: fogzo(1.5, 0.9, WIDTHS)),
        ("beta", lambda: fogzo(1, 1.1, WIDTHS)),
        ("beta", lambda: fogzo(1, -0.1, WIDTHS)),
        ("beta", lambda: fogzo(1, float("nan"), WIDTHS)),
        ("beta_min", lambda: linear_beta(1.5, 10)),
        ("steps", lambda: linear_beta(0.5, 0)),
        ("step", lambda: fogzo(1, linear_beta(0.5, 9), WIDTHS)(rounded, PARAMS, jax.random.key(0))),
        ("normalization", lambda: fogzo(1, 0.9, WIDTHS, "layer")),
        ("parallel", lambda: spsa(1, WIDTHS, parallel=0)),
        ("surrogate", lambda: Quantized("relu")),
        ("scale", lambda: Quantized(scale=0.0)),
        ("eps", lambda: Quantized(eps=-0.1)),
        ("eps_bar", lambda: Smoothing("mine", "sign", 0.0, None, None)),
        ("quantized", lambda: spsa(1, None)(rounded, PARAMS, jax.random.key(0))),
        ("quantized", lambda: spsa(1, {"a": None, "b": None})(rounded, PARAMS, jax.random.key(0))),
        ("quantized", lambda: spsa(1, {"a": Quantized()})(rounded, PARAMS, jax.random.key(0))),
        ("quantized", lambda: spsa(1, 0.3)(rounded, PARAMS, jax.random.key(0))),
        ("params", lambda: spsa(1, Quantized())(lambda x: x.sum(), jnp.arange(3), jax.random.key(0))),
    ],
)
def test_bad_input_is_named(argument, call):
    with pytest.raises(SpecificationError) as raised:
        call()
    assert raised.value.argument == argument
