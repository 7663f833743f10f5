"""Plain SPSA with directions in proportion to the dimension: averages over a direction, one step, and runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from steode import (
    SPSA,
    ConvergenceError,
    Identity,
    LinearModel,
    Normal,
    Uniform,
    UnsupportedError,
    compare,
    derive,
    fixed_points,
    simulate,
    solve,
)
from steode.bridge import entrywise_function, numeric_map
from steode.parts.update_rules import DIRECTIONS
from steode.symbolic import symbols as sym
from steode.systems.linear.literal.system import linear_system
from steode.systems.linear.problem import smoothed_descent

MODEL = LinearModel(
    teacher=Normal(std=1.0),
    weight_quantizer=Uniform(bits=2, range=1.5),
    input_quantizer=Uniform(bits=3, range=2.5),
    learning_rate=0.4,
    noise=0.3,
    batch_size=2,
    weight_decay=0.05,
    update_rule=SPSA(ratio=0.5, eps=0.4, directions="triangular"),
)
QUANTILES = {
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).ppf,
    "triangular": stats.triang(0.5, -np.sqrt(6), 2 * np.sqrt(6)).ppf,
    "logistic": stats.logistic(0, np.sqrt(3) / np.pi).ppf,
    "normal": stats.norm.ppf,
}


@pytest.mark.representative
@pytest.mark.parametrize("law", DIRECTIONS)
def test_averages_over_a_direction_by_its_quantiles(law):
    quantizer, eps, w = MODEL.weight_quantizer, 0.4, np.linspace(-2, 2, 9)
    u = QUANTILES[law]((np.arange(200_000) + 0.5) / 200_000)
    up, down = quantizer(w[:, None] + eps * u), quantizer(w[:, None] - eps * u)
    with jax.enable_x64(True):
        descent = smoothed_descent(MODEL.replace(update_rule=SPSA(ratio=0.5, eps=eps, directions=law)))
        found = descent.averages(numeric_map(quantizer), jnp.asarray(w))
    mean, difference = (up + down) / 2, (up - down) / (2 * eps)
    assert np.asarray(found.image) == pytest.approx(up.mean(axis=1), abs=1e-5)
    assert np.asarray(found.slope) == pytest.approx((u * difference).mean(axis=1), abs=1e-4)
    assert np.asarray(found.square_slope) == pytest.approx((u * difference * mean).mean(axis=1), abs=1e-4)
    assert np.asarray(found.mean_square) == pytest.approx((mean**2).mean(axis=1), abs=1e-5)
    assert np.asarray(found.difference_square) == pytest.approx((difference**2).mean(axis=1), abs=1e-4)


@pytest.mark.representative
def test_the_step_is_the_algorithm_as_written():
    dim, generator = 20, np.random.default_rng(0)
    model, quantizer = MODEL.replace(batch_size=1, weight_decay=0.0), MODEL.weight_quantizer
    teacher, weights = generator.standard_normal((2, dim))
    with jax.enable_x64(True):
        system = linear_system(model, dim, "float64", entrywise_function)
        numbers = generator.standard_normal((1, system.normals))
        sample = jax.tree.map(lambda array: array[0], system.sample(jnp.asarray(teacher), jnp.asarray(numbers)))
        found = np.asarray(system.step(jnp.asarray(teacher), jnp.asarray(weights), sample, 0)[0])
    inputs = model.input_quantizer(numbers[0, :dim])
    label = numbers[0, :dim] @ teacher / np.sqrt(dim) + 0.3 * numbers[0, dim]

    def loss(w):
        return (inputs @ quantizer(w) / np.sqrt(dim) - label) ** 2 / 2

    directions = QUANTILES["triangular"](stats.norm.cdf(numbers[0, dim + 1 :].reshape(10, dim + 1)[:, 1:]))
    slopes = [(loss(weights + 0.4 * u) - loss(weights - 0.4 * u)) / 0.8 for u in directions]
    expected = weights - 0.4 * np.mean([slope * u for slope, u in zip(slopes, directions, strict=True)], axis=0)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.representative
def test_many_directions_leave_descent_on_the_smoothed_loss():
    limit = derive(MODEL)
    assert limit.diffusion.subs(sym.D_2, 0) == sym.eta**2 * sym.alpha_2 * sym.S_1**2 * sym.V_s / sym.batch
    # unquantized weights: slopes 1 and w, the drift of the STE, and V (1 + 1/nu) for its noise
    plain = {sym.S_1: 1, sym.S_2: sym.w, sym.D_2: 1, sym.V_s: sym.V, sym.V_u: sym.V}
    assert (limit.drift.subs(plain) + sym.eta * (sym.alpha_2 * sym.w - sym.alpha_1 * sym.wstar)).expand() == (
        -sym.eta * sym.kappa * sym.w
    )
    noise = limit.diffusion.subs(plain) / (sym.eta**2 * sym.alpha_2 * sym.V / sym.batch)
    assert noise.simplify().equals(1 + 1 / sym.nu)


@pytest.mark.representative
@pytest.mark.parametrize("call", [fixed_points, lambda model: solve(model, 1.0, method="density")])
def test_what_is_not_derived_is_refused(call):
    with pytest.raises(UnsupportedError, match="SPSA"):
        call(MODEL)


def test_runs_agree_with_the_limit_at_two_dimensions():
    times = np.arange(4.0)
    limit = solve(MODEL, 3.0, times=times)
    for dim, seeds in ((100, 96), (300, 48)):
        runs = simulate(MODEL, dim=dim, t_end=3.0, times=times, seeds=seeds, key=1)
        for observable in ("eps_g", "m", "q", "std_w", "mean_w"):
            assert np.abs(compare(limit, runs, observable=observable).z).max() < 4, (dim, observable)


def test_runs_of_unquantized_weights_agree_with_the_limit():
    model = MODEL.replace(weight_quantizer=Identity(), update_rule=SPSA(ratio=1.0, eps=0.4, directions="normal"))
    limit = solve(model, 3.0, times=np.arange(4.0))
    runs = simulate(model, dim=200, t_end=3.0, times=np.arange(4.0), seeds=48, key=2)
    assert np.abs(compare(limit, runs).z).max() < 4


def test_small_perturbations_that_reach_no_threshold_move_nothing_wrongly():
    # nearly all particles are out of reach of every threshold: rounding must not make their diffusion negative
    model = MODEL.replace(weight_decay=0.0, batch_size=1, learning_rate=0.3, update_rule=SPSA(ratio=2.0, eps=0.1))
    limit = solve(model, 1.0, times=[0.5, 1.0])
    runs = simulate(model, dim=150, t_end=1.0, times=[0.5, 1.0], seeds=24, key=3)
    assert np.all(np.isfinite(limit["std_w"]))
    assert np.abs(compare(limit, runs).z).max() < 4


def test_weights_that_grow_without_bound_are_no_result():
    model = MODEL.replace(weight_quantizer=Identity(), weight_decay=0.0, update_rule=SPSA(ratio=0.02, eps=0.4))
    with pytest.raises(ConvergenceError, match="without bound"):
        solve(model.replace(learning_rate=1.5), 30.0, times=[30.0])
