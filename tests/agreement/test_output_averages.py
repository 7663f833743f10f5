"""The Gaussian averages of an output are those of its residual, sampled from the definition."""

import jax
import numpy as np
import pytest
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
    derive,
)
from steode.solvers import output
from steode.systems.linear.problem import numeric_output

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
