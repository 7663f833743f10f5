"""The exact risk of quantized regression in numbers: check value, stability, stationary state, averages, bounds."""

import jax
import numpy as np
import pytest
import scipy.optimize

from steode import SpecificationError, UnsupportedError, regression
from steode.parts.quantizers import Identity
from steode.parts.spectrum import PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise
from steode.systems.regression.threshold import largest_step_size, spectral_radius, stationary

NOISES = {"data": 0.01, "parameter": 0.02, "activation": 0.2, "gradient": 0.1, "label": 0.05}


@pytest.fixture(scope="module")
def checked():
    """The model of the published check value."""
    quantizers = {f"{role}_quantizer": AdditiveNoise(value) for role, value in NOISES.items()}
    return regression.RegressionModel(spectrum=PowerLaw(2.0, 40), step_size=0.15, batch_size=4, **quantizers)


@pytest.fixture(scope="module")
def mixed():
    return regression.RegressionModel(
        spectrum=PowerLaw(1.5, 12),
        teacher=np.linspace(1, -2, 12),
        init=0.3,
        step_size=0.2,
        batch_size=2,
        data_quantizer=MultiplicativeNoise(0.1),
        parameter_quantizer=AdditiveNoise(0.05),
        activation_quantizer=CommonFactor(0.2),
    )


def test_check_value(checked):
    """Twice the risk: 0.06635 and 0.025421 on quantized inputs, 0.10471 on raw ones."""
    found = regression.risk(checked, 600, record=[600])
    assert 2 * found["excess_last"][0] == pytest.approx(0.06635, abs=5e-6)
    assert 2 * found["excess_average"][0] == pytest.approx(0.025421, abs=5e-7)
    assert 2 * found["raw_average"][0] == pytest.approx(0.10471, abs=5e-6)


def test_quantized_risk_is_excess_and_approximation(checked):
    found = regression.risk(checked, 50)
    for iterate in ("last", "average"):
        gap = found[f"quantized_{iterate}"] - found[f"excess_{iterate}"]
        np.testing.assert_allclose(gap, found.approximation, rtol=1e-12)
    lam = checked.eigenvalues
    # without weights, and with the best ones: sum lambda - lambda^2/(lambda + epsilon)
    assert found.approximation == pytest.approx((lam - lam**2 / (lam + 0.01)).sum() / 2, rel=1e-12)


def test_start_is_the_start(mixed):
    found = regression.risk(mixed, 10, record=[0])
    start = mixed.initial_weights - mixed.teacher_weights
    assert found["raw_last"][0] == pytest.approx((mixed.eigenvalues * start**2).sum() / 2, rel=1e-13)
    assert found["raw_average"][0] == found["raw_last"][0]


def test_recording_changes_nothing(mixed):
    every = regression.risk(mixed, 40, record=np.arange(41))
    some = regression.risk(mixed, 40, record=[7, 40])
    for name in every.values:
        np.testing.assert_allclose(every[name][[7, 40]], some[name], rtol=1e-13)


def test_average_of_one_iterate_is_the_one_before_the_last(mixed):
    tail = mixed.replace(average_fraction=1e-6)
    found = regression.risk(tail, 30, record=[29, 30])
    assert found.averaged_from == 29
    assert found["raw_average"][1] == pytest.approx(found["raw_last"][0], rel=1e-12)


def test_tail_average_forgets_the_start(mixed):
    """A start far away costs the full average 1/N^2 of its square and the tail exponentially little."""
    far, near = (mixed.replace(spectrum=np.linspace(0.5, 1, 12), init=value) for value in (1e4, 0.0))
    gaps = []
    for fraction in (1.0, 0.5):
        pair = [
            regression.risk(model.replace(average_fraction=fraction), 400, record=[400])["raw_average"][0]
            for model in (far, near)
        ]
        gaps.append(pair[0] - pair[1])
    assert gaps[1] < 1e-3 * gaps[0]


@pytest.mark.parametrize("quantizer", [AdditiveNoise(0.05), MultiplicativeNoise(0.3), CommonFactor(0.3)])
def test_threshold_separates_decay_from_growth(mixed, quantizer):
    model = mixed.replace(
        data_quantizer=quantizer, parameter_quantizer=quantizer, activation_quantizer=Identity(), step_size=0.1
    )
    largest = regression.stability(model).largest_step_size
    for factor, stable in ((0.99, True), (1.01, False)):
        found = regression.stability(model.replace(step_size=factor * largest))
        assert found.stable is stable
        assert (found.spectral_radius < 1) is stable
    at = regression.stability(model.replace(step_size=largest))
    assert at.spectral_radius == pytest.approx(1, abs=1e-12)
    assert not at.stable


def test_growth_is_reported_not_refused(mixed):
    largest = regression.stability(mixed).largest_step_size
    found = regression.risk(mixed.replace(step_size=1.1 * largest), 100, record=[50, 75, 100])
    assert not found.stable
    assert "UNSTABLE" in repr(found)
    assert np.all(np.diff(found["raw_last"]) > found["raw_last"][0])
    assert regression.stability(mixed.replace(step_size=2 * largest)).excess == np.inf
    assert np.isinf(regression.risk(mixed.replace(step_size=1e3), 200, record=[200])["quantized_average"][0])


def test_spectral_radius_is_the_largest_eigenvalue():
    random = np.random.default_rng(0)
    for size in (1, 2, 7):
        square, coupling, summed = random.random((3, size))
        square[-1] = square[0]
        matrix = np.diag(square) + np.outer(coupling, summed)
        expected = np.abs(np.linalg.eigvals(matrix)).max()
        assert spectral_radius(square, coupling, summed) == pytest.approx(expected, rel=1e-12)


def test_stationary_state_solves_its_equation():
    random = np.random.default_rng(1)
    square, coupling, summed, constant = random.random((4, 6)) * np.array([[0.5], [0.2], [0.2], [1.0]])
    matrix = np.diag(square) + np.outer(coupling, summed)
    expected = np.linalg.solve(np.eye(6) - matrix, constant)
    np.testing.assert_allclose(stationary(square, coupling, summed, constant), expected, rtol=1e-12)


def test_threshold_of_a_known_function():
    assert largest_step_size(lambda gamma: gamma / (2 - gamma), 2.0) == pytest.approx(1.0, rel=1e-12)


def test_one_dimension_without_quantizers_is_the_textbook():
    """E[x^4] = 3 lambda^2: stable for gamma < 2/(3 lambda), late excess gamma sigma^2/(2 (2 - 3 gamma lambda))."""
    model = regression.RegressionModel(spectrum=[2.0], step_size=0.1, noise=0.7)
    found = regression.stability(model)
    assert found.largest_step_size == pytest.approx(1 / 3, rel=1e-12)
    m = 0.1**2 * 2 * 0.49 / (2 * 0.1 * 2 - 3 * (0.1 * 2) ** 2)
    assert found.raw == pytest.approx(m, rel=1e-12)
    assert regression.risk(model, 2000, record=[2000])["raw_last"][0] == pytest.approx(m, rel=1e-10)


def test_late_risk_is_the_stationary_one(mixed):
    found = regression.stability(mixed)
    late = regression.risk(mixed, 20_000, record=[20_000])
    for name in ("raw", "quantized", "excess"):
        assert late[f"{name}_last"][0] == pytest.approx(getattr(found, name), rel=1e-10)


@pytest.mark.parametrize("scheme", ["additive", "multiplicative", "common"])
def test_bounds_hold(scheme):
    plain = regression.RegressionModel(spectrum=PowerLaw(2.0, 60), step_size=0.05)
    for epsilon, batch in ((0.0, 1), (1e-2, 1), (1e-1, 4)):
        model = regression.quantize(plain.replace(batch_size=batch), scheme, epsilon, ("data", "activation"))
        exact = regression.risk(model, 3000, record=[30, 300, 3000])
        for number, steps in enumerate(exact.steps):
            bound = regression.bounds(model, int(steps))
            assert np.isfinite(bound.excess)
            assert exact["excess_average"][number] < bound.excess
            assert exact["raw_average"][number] < bound.raw
            assert exact["quantized_average"][number] < bound.quantized


def test_constants_of_the_bounds(checked):
    """alpha = 1 + 2/B, and the noise of the docstring."""
    found = regression.bounds(checked, 600)
    lam, batch = checked.eigenvalues, 4
    seen = lam + 0.01
    left = 1 + 0.05 + lam.sum() - (lam**2 / seen).sum()
    noise = (left + 0.2 + 0.1) / batch + 0.02 * ((1 + 1 / batch) * seen[0] + seen.sum() / batch)
    assert found.fourth_moment == pytest.approx(1.5, rel=1e-12)
    assert found.noise_variance == pytest.approx(noise, rel=1e-12)
    assert found.effective_dimension == np.sum(seen >= 1 / (600 * 0.15))
    assert found.approximation == pytest.approx((lam * (lam / seen - 1) ** 2).sum(), rel=1e-12)


def test_bounds_say_nothing_beyond_their_condition(checked):
    assert regression.bounds(checked.replace(step_size=0.5), 100).raw == np.inf
    with pytest.raises(UnsupportedError, match="all iterates"):
        regression.bounds(checked.replace(average_fraction=0.5), 100)


def test_crossover_has_equal_risks():
    model = regression.RegressionModel(spectrum=PowerLaw(2.0, 30), step_size=0.05)
    found = regression.crossover(model, 4, 300, roles=("data",))
    floating = regression.quantize(model, "multiplicative", 2.0 ** (-2 * found.mantissa_bits), ("data",))
    integer = regression.quantize(model, "additive", 2.0**-8, ("data",))
    risks = [regression.risk(one, 300, record=[300])["raw_average"][0] for one in (floating, integer)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-3)
    assert found.risk == risks[1] > found.unquantized
    assert found.rule == pytest.approx(4 - np.log2(30))


def test_crossover_rule_is_where_noise_on_the_smallest_eigenvalue_is_equal():
    found = regression.crossover(
        regression.RegressionModel(spectrum=[1.0, 0.25], step_size=0.05), 5, 10, roles=("data",)
    )
    assert 2.0 ** (-2 * found.rule) * 0.25 == pytest.approx(2.0**-10)


@pytest.mark.parametrize(("quantity", "power"), [("raw", 1), ("quantized", 0)])
@pytest.mark.parametrize("dim", [8, 16])
def test_converged_crossover_falls_with_the_approximation(quantity, power, dim):
    """b - m is log2(sum lambda^-1/sum lambda)/4 or log2(d/sum lambda)/2: (a + 1)/4 or 1/2 bits for a doubling of d."""
    # without label noise and with a tiny step the stationary risk is the approximation
    model = regression.RegressionModel(spectrum=PowerLaw(2.0, dim), step_size=1e-12, noise=0.0)

    def late(scheme, bits):
        noisy = regression.quantize(model, scheme, 2.0 ** (-2 * bits), ("data",))
        return getattr(regression.stability(noisy), quantity)

    integers = late("additive", 12)
    found = scipy.optimize.brentq(lambda m: np.log(late("multiplicative", m) / integers), 4, 14, xtol=1e-6)
    share = (model.eigenvalues**-power).sum() / model.eigenvalues.sum()
    assert found == pytest.approx(12 - np.log2(share) / (2 + 2 * power), abs=1e-3)


def test_global_precision_is_left_alone(checked):
    regression.risk(checked, 3)
    assert not jax.config.read("jax_enable_x64")


def test_bad_requests(checked):
    for call in (
        lambda: regression.risk(checked, 0),
        lambda: regression.risk(checked, 10, record=[11]),
        lambda: regression.risk(checked, 10, record=[3, 3]),
        lambda: regression.risk(checked, 10, record=[0.5]),
        lambda: regression.risk("model", 10),
        lambda: regression.risk(checked, 10)["risk"],
        lambda: regression.quantize(checked, "integer", 0.1),
        lambda: regression.quantize(checked, "additive", 0.1, roles=("weights",)),
        lambda: regression.crossover(checked, 4, 10, scheme="additive"),
        lambda: regression.crossover(checked, 4, 10, quantity="risk"),
    ):
        with pytest.raises(SpecificationError):
            call()
