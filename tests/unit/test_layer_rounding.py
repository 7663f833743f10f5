"""Rounding a layer once: the definition of each method, and the error that pivots predict."""

import sys

import numpy as np
import pytest
import scipy.linalg

from steode import SpecificationError, Uniform, layer
from steode.systems.layer.rounding import compensated

RNG = np.random.default_rng(2)


def case(dim=9, rows=4, **changes):
    weights = RNG.normal(size=(rows, dim))
    moment = scipy.linalg.toeplitz(0.7 ** np.arange(dim)) * np.outer(s := RNG.uniform(0.5, 2, dim), s)
    options = {"bits": 3, "range": 2.5, "learning_rate": 0.1, "noise": 0.2} | changes
    return layer.LayerModel(weights, second_moment=moment, **options)


@pytest.mark.parametrize("granularity", ["row", 3])
@pytest.mark.parametrize("by_diagonal", [False, True])
def test_each_step_is_the_constrained_optimum(granularity, by_diagonal):
    model = case(range="largest", granularity=granularity)
    matrix, grid = model.second_moment, model.grid
    order = np.argsort(-np.diag(matrix), kind="stable") if by_diagonal else np.arange(model.dim)
    found = layer.rounding(model).weights["gptq by diagonal" if by_diagonal else "gptq"]
    for row in range(model.rows):
        current, done = model.weights[row].copy(), []
        for column in order:
            every = np.broadcast_to(current, model.weights.shape)
            done.append(column)
            rest = [k for k in order if k not in done]
            current[column] = grid(every)[row, column]
            # all weights that are not rounded yet move to the optimum given those that are
            forced = matrix[np.ix_(rest, done)] @ (current[done] - model.weights[row, done])
            current[rest] = model.weights[row, rest] - np.linalg.solve(matrix[np.ix_(rest, rest)], forced)
        np.testing.assert_allclose(found[row], current, atol=1e-10)


def test_blocks_change_nothing(monkeypatch):
    model = case(dim=300, rows=2)
    whole = layer.rounding(model).weights["gptq"]
    order = np.arange(300)
    monkeypatch.setattr(sys.modules[compensated.__module__], "BLOCK", 7)
    parts = compensated(model.weights, model.second_moment, model.grid, order)
    np.testing.assert_allclose(parts, whole, atol=1e-10)


def test_pivots_predict_the_error_of_compensation():
    """(step^2/12) tr D/d over many rows, nothing clipped; the LDL pivots themselves from SciPy."""
    model = case(dim=60, rows=400, range=8.0, bits=7, noise=0.0)
    found = layer.rounding(model)
    _, pivots, order = scipy.linalg.ldl(model.second_moment[::-1, ::-1])
    assert np.array_equal(order, np.arange(60))
    step = 8.0 / 63
    assert found.pivot_estimate == pytest.approx(step**2 / 12 * np.trace(pivots) / 60)
    errors = found.V["gptq"]
    assert abs(errors.mean() - found.pivot_estimate[0]) < 4 * errors.std() / 20


def test_variances_are_those_of_the_rounded_weights():
    model = case()
    found = layer.rounding(model)
    for name in ("nearest", "gptq", "gptq by diagonal"):
        offset = found.weights[name] - model.weights
        expected = 0.2**2 + np.einsum("ri,ij,rj->r", offset, model.second_moment, offset) / model.dim
        np.testing.assert_allclose(found.V[name], expected, rtol=1e-12)
    np.testing.assert_allclose(found.weights["nearest"], Uniform(3, 2.5, "mid-tread")(model.weights), rtol=1e-15)
    assert found.total["gptq"] < found.total["nearest"] < found.total["stochastic"]


def test_stochastic_rounding_is_the_average_over_draws():
    model = case(rows=1, range=1.5)
    grid, draws = model.grid, 40_000
    position = np.clip(grid.position(model.weights), 0, grid.count - 1)
    codes = np.floor(position + RNG.uniform(size=(draws, model.dim)))
    offset = grid.low + grid.step * codes - model.weights
    values = 0.04 + np.einsum("ri,ij,rj->r", offset, model.second_moment, offset) / model.dim
    assert abs(values.mean() - layer.rounding(model).V["stochastic"][0]) < 4 * values.std() / np.sqrt(draws)


def test_compensation_with_quantized_inputs_aims_at_what_they_leave():
    model = case(input_quantizer=Uniform(2, 1.5), bits=8, range=6.0)
    found = layer.rounding(model)
    inputs = model.inputs
    best = np.linalg.solve(inputs.image, inputs.cross @ model.weights.T).T
    assert np.abs(found.weights["gptq"] - best).max() < 1.0
    assert found.total["gptq"] < found.total["nearest"]


def test_refuses_what_makes_no_sense():
    with pytest.raises(SpecificationError, match="damping"):
        layer.rounding(case(), damping=-1)
    with pytest.raises(SpecificationError, match="LayerModel"):
        layer.rounding(3)


def test_prints_all_methods():
    text = repr(layer.rounding(case()))
    assert all(name in text for name in ("nearest", "stochastic", "gptq by diagonal"))
