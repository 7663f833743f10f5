"""Teacher weights paired with eigenvalues: limit, fixed points and runs of a task given by a covariance."""

import numpy as np
import pytest

from steode import (
    AdditiveNoise,
    ClippedSurrogate,
    Eigenvalues,
    Empirical,
    LinearModel,
    Normal,
    Paired,
    SpecificationError,
    Uniform,
    UnsupportedError,
    fixed_point_function,
    fixed_points,
    fluctuations,
    simulate,
    solve,
    stability,
)
from steode.systems.linear.configuration import from_dict, to_dict

MATRIX = np.array([[1.0, 0.6, 0.2, 0.0], [0.6, 1.0, 0.3, 0.1], [0.2, 0.3, 0.7, 0.2], [0.0, 0.1, 0.2, 1.4]])
WEIGHTS = np.array([1.1, -0.7, 0.4, 0.9])
MODEL = LinearModel(
    teacher=Paired.along_eigenvectors(MATRIX, WEIGHTS),
    spectrum=Eigenvalues.of_matrix(MATRIX),
    weight_quantizer=Uniform(bits=3, range=2.0),
    input_quantizer=Uniform(bits=3, range=3.0),
    init=Normal(std=0.7),
    learning_rate=0.3,
    noise=0.2,
)
TIMES = [0.5, 1.0, 2.0, 4.0, 8.0]


def test_the_pairs_are_those_of_the_matrix():
    # the error of no weights at all is w*^T K w*/2 over d
    still = MODEL.replace(init=Normal(std=1e-3), weight_quantizer=Uniform(2, 2.0, kind="mid-tread"))
    start = solve(still, 0.1, times=[0.0, 0.1])
    assert start["eps_g"][0] == pytest.approx(WEIGHTS @ MATRIX @ WEIGHTS / 8, rel=1e-9)


def test_one_eigenvalue_makes_it_an_empirical_law():
    paired = MODEL.replace(spectrum=Eigenvalues([1.3] * 4))
    law = paired.replace(teacher=Empirical(MODEL.teacher.values), spectrum=Eigenvalues([1.3]))
    ours, theirs = (solve(model, 4.0, times=[1.0, 4.0])["eps_g"] for model in (paired, law))
    assert ours == pytest.approx(theirs, rel=1e-6)
    (one,), (other,) = (fixed_points(model) for model in (paired, law))
    assert pytest.approx(other.V, rel=1e-9) == one.V


@pytest.mark.representative
@pytest.mark.parametrize(
    "changes", [{}, {"surrogate": ClippedSurrogate(1.9)}, {"activation": AdditiveNoise(0.1)}], ids=str
)
def test_runs_follow_the_limit(changes):
    model = MODEL.replace(**changes)
    limit = solve(model, 8.0, times=TIMES, tolerance=5e-4)["eps_g"]
    runs = simulate(model, 1200, 8.0, times=TIMES, seeds=24, key=3)["eps_g"]
    assert np.abs((runs.mean(axis=0) - limit) / (runs.std(axis=0, ddof=1) / np.sqrt(24))).max() < 4


@pytest.mark.representative
def test_the_fixed_point_is_where_the_density_ends_and_is_stable():
    (point,) = fixed_points(MODEL)
    assert solve(MODEL, 300.0, times=[300.0])["eps_g"][-1] == pytest.approx(point.eps_g, rel=5e-4)
    assert stability(point).stable
    function = fixed_point_function(MODEL)
    assert function.many({"learning_rate": np.array([0.3])})["V"][0] == pytest.approx(point.V, rel=1e-8)


def test_pairs_that_belong_to_something_else_are_refused():
    with pytest.raises(SpecificationError, match="teacher: expected one number for each of the 3 eigenvalues"):
        MODEL.replace(spectrum=Eigenvalues([1.0, 2.0, 3.0]))
    with pytest.raises(SpecificationError, match="init: expected a law of its own"):
        MODEL.replace(init=MODEL.teacher)
    with pytest.raises(SpecificationError, match="dim: expected a multiple of the 4"):
        simulate(MODEL, 101, 1.0)
    with pytest.raises(SpecificationError, match="matrix: expected a symmetric matrix"):
        Eigenvalues.of_matrix(MATRIX[:2])
    with pytest.raises(SpecificationError, match="weights: expected one number for each row"):
        Paired.along_eigenvectors(MATRIX, WEIGHTS[:3])
    with pytest.raises(
        UnsupportedError, match="fluctuations: needs a teacher law that is the same at every eigenvalue"
    ):
        fluctuations(MODEL, 1.0)


def test_configuration_keeps_the_pairs():
    assert from_dict(to_dict(MODEL)) == MODEL
    assert MODEL.teacher != Empirical(MODEL.teacher.values)
