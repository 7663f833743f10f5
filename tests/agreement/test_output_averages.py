"""The Gaussian averages of an output are those of its residual, sampled from the definition."""

import jax
import numpy as np
import pytest
import scipy.stats
import sympy

from steode import (
    ClippedSurrogate,
    DerivativeOf,
    Elementwise,
    LinearModel,
    Normal,
    Sign,
    StochasticRounding,
    TwoPoint,
    Uniform,
    UnsupportedError,
    derive,
    solve,
)
from steode.solvers import output
from steode.systems.linear.numeric_output import numeric_output

TANH = Elementwise(sympy.tanh(sympy.Symbol("x")))
BASE = LinearModel(teacher=TwoPoint(1.0), init=Normal(std=0.5), learning_rate=0.3, noise=0.2)
OUTPUTS = {
    "clipped": {"activation_surrogate": ClippedSurrogate(1.0)},
    "steps, clipped": {"activation": Uniform(3, 2.0), "activation_surrogate": ClippedSurrogate(1.9)},
    "tanh and its teacher": {
        "activation": TANH,
        "activation_surrogate": DerivativeOf(TANH),
        "teacher_activation": TANH,
    },
    "signs": {"activation": Sign(), "activation_surrogate": ClippedSurrogate(1.0), "teacher_activation": Sign()},
    "quantized residual": {"residual_quantizer": Uniform(2, 1.5)},
    "quantized labels": {"label_quantizer": Uniform(2, 1.5)},
    "rounded labels and residual": {
        "label_quantizer": StochasticRounding(Uniform(2, 1.5)),
        "residual_quantizer": StochasticRounding(Uniform(3, 3.0)),
        "activation": Uniform(3, 2.0),
    },
    "labels and residual in steps": {"label_quantizer": Uniform(2, 1.5), "residual_quantizer": Uniform(2, 1.0)},
    "tanh teacher, quantized residual": {"teacher_activation": TANH, "residual_quantizer": Uniform(3, 1.5)},
}
"""Options whose output averages are integrals."""
OVERLAPS = (0.6, 0.8, 1.1)
"""m, q and rho."""


def sampled_averages(model: LinearModel, m, q, rho, draws: int = 400_000, batches: int = 20):
    """c_h, c_*, c_2, V and 2 eps_g with standard errors, from the definition of the residual."""
    generator = np.random.default_rng(1)

    def image(entry, u):
        return entry.sample(u, generator) if hasattr(entry, "sample") else entry(u)

    def estimate():
        h = np.sqrt(q) * generator.standard_normal(draws)
        h_star = m / q * h + np.sqrt(rho - m**2 / q) * generator.standard_normal(draws)
        noisy = model.teacher_activation(h_star) + model.noise * generator.standard_normal(draws)
        label = image(model.label_quantizer, noisy)
        output, surrogate = image(model.activation, h), model.activation_surrogate
        slope = np.ones(draws)
        if isinstance(surrogate, ClippedSurrogate):
            slope = (np.abs(h) < surrogate.bound) * 1.0
        elif isinstance(surrogate, DerivativeOf):
            slope = 1 - np.tanh(h) ** 2
        e = image(model.residual_quantizer, output - label) * slope
        response = np.linalg.solve([[q, m], [m, rho]], [np.mean(e * h), np.mean(e * h_star)])
        error = np.mean((output - model.teacher_activation(h_star)) ** 2)
        return *response, np.mean(e**2), np.mean((output - label) ** 2), error

    estimates = np.array([estimate() for _ in range(batches)])
    return estimates.mean(axis=0), estimates.std(axis=0, ddof=1) / np.sqrt(batches)


@pytest.mark.representative
@pytest.mark.parametrize("name", OUTPUTS)
def test_output_averages_are_those_of_the_residual(name):
    model = BASE.replace(**OUTPUTS[name])
    with jax.enable_x64(True):
        averages = numeric_output(model, derive(model).output).averages(*OVERLAPS, model.noise)
    values, errors = sampled_averages(model, *OVERLAPS)
    assert np.all(np.abs(np.array(averages) - values) < 4 * errors + 1e-12)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_finer_rule_changes_nothing(name, monkeypatch):
    model = BASE.replace(**OUTPUTS[name])

    def averages():
        with jax.enable_x64(True):
            return np.array(numeric_output(model, derive(model).output).averages(*OVERLAPS, model.noise))

    coarse = averages()
    monkeypatch.setattr(output, "PANELS", np.linspace(-output.REACH, output.REACH, 73))
    nodes = np.linspace(-8, 8, 1601)
    monkeypatch.setattr(output, "INNER_NODES", nodes)
    monkeypatch.setattr(output, "INNER_WEIGHTS", np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum())
    np.testing.assert_allclose(averages(), coarse, rtol=1e-12)


@pytest.mark.representative
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e3, 3e4])
@pytest.mark.parametrize(("proxy", "center"), [("erf(x)", 0.0), ("erf(8*(x - 1/2))", 0.5)])
def test_a_surrogate_far_narrower_than_the_output_is_seen(scale, proxy, center):
    model = BASE.replace(teacher=TwoPoint(scale), init=Normal(std=scale / 2), activation_surrogate=DerivativeOf(proxy))
    m, q, rho = (overlap * scale**2 for overlap in OVERLAPS)
    with jax.enable_x64(True):
        averages = numeric_output(model, derive(model).output).averages(m, q, rho, model.noise)
    slope, label = m / q, rho - m**2 / q + model.noise**2

    def integral(power, of):
        """E[f'(h)^power of(h)], h ~ N(0, q), where f' is not zero."""
        density = scipy.stats.norm(scale=np.sqrt(q)).pdf
        reach = min(8.0, 9 * np.sqrt(q) + abs(center))
        h = np.linspace(center - reach, center + reach, 20001)  # spectrally accurate: all vanishes at the ends
        return np.sum(model.activation_surrogate(h) ** power * of(h) * density(h)) * (h[1] - h[0])

    teacher_response = -integral(1, lambda h: 1.0)
    student_response = integral(1, lambda h: (1 - slope) * h**2) - m * teacher_response
    square = integral(2, lambda h: ((1 - slope) * h) ** 2 + label)
    assert averages.teacher_response == pytest.approx(teacher_response, rel=1e-8)
    assert averages.student_response == pytest.approx(student_response / q, rel=1e-6)
    assert averages.residual_square == pytest.approx(square, rel=1e-8)


@pytest.mark.parametrize("steepness", [30, 1000])
def test_a_teacher_too_steep_for_the_averages_is_refused(steepness):
    model = BASE.replace(teacher_activation=Elementwise(f"tanh({steepness}*x)"), teacher=TwoPoint(20.0))
    with pytest.raises(UnsupportedError, match=r"teacher_activation: .* small part of 20, the standard deviation"):
        solve(model, 1.0, method="gaussian")
