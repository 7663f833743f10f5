"""Verbs that follow the limit take every option: their numbers beside those of `solve`, or beside a formula."""

import jax
import numpy as np
import pytest

from steode import (
    FOGZO,
    SPSA,
    AdditiveNoise,
    Eigenvalues,
    Identity,
    Normal,
    Sign,
    StochasticRounding,
    TwoPoint,
    Uniform,
    UnsupportedError,
    limit_function,
    plateau_estimate,
    solve,
    sweep,
)
from tests.models import REFERENCE

GRID = Uniform(bits=2, range=2.0)
OPTIONS = {
    "spectrum": {"spectrum": Eigenvalues([0.5, 1.5])},
    "stochastic rounding": {"weight_quantizer": StochasticRounding(GRID)},
    "activation": {"activation": GRID, "teacher": Normal(std=1.0)},
    "FOGZO": {"update_rule": FOGZO(c=2.0, eps=0.3)},
    "label noise of a format": {"label_quantizer": AdditiveNoise(0.2)},
}
CELLS = REFERENCE.replace(
    weight_quantizer=Uniform(bits=2, range=2.0, kind="mid-tread"),
    input_quantizer=Identity(),
    teacher=TwoPoint(1.0),
    init=Normal(std=0.1),
)
"""Weights start at the level zero, a distance 1 from the next thresholds."""


def traced(function):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(lambda parameters: function(parameters)["eps_g"])(function.parameters))


@pytest.mark.parametrize("name", OPTIONS)
def test_the_traced_closure_is_the_one_of_solve(name):
    model = REFERENCE.replace(**OPTIONS[name])
    expected = solve(model, 5.0, times=[1.0, 5.0], method="gaussian")["eps_g"]
    assert traced(limit_function(model, [1.0, 5.0], method="gaussian")) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["spectrum", "stochastic rounding", "activation", "FOGZO"])
def test_the_traced_density_is_the_one_of_solve(name):
    model = REFERENCE.replace(**OPTIONS[name])
    exact = solve(model, 5.0, times=[1.0, 5.0], method="density")
    function = limit_function(model, [1.0, 5.0], intervals=1024, teacher_values=16)
    # a fixed mesh has no error estimate: half as fine, its error of second order is four times as large
    coarse = traced(limit_function(model, [1.0, 5.0], intervals=512, teacher_values=16))
    fine = traced(function)
    allowed = np.abs(coarse - fine) + 2 * exact.error["eps_g"] + 1e-4 * exact["eps_g"]
    assert np.all(np.abs(fine - exact["eps_g"]) < allowed)


@pytest.mark.representative
def test_sweeps_by_the_closure_take_a_spectrum():
    model = CELLS.replace(spectrum=Eigenvalues([0.8, 1.2]))
    table = sweep(model, {"learning_rate": [0.1, 0.2]}, "time_to_error", t_end=20, error=0.3, method="gaussian")
    curves = [solve(model.replace(learning_rate=rate), 20, method="gaussian") for rate in (0.1, 0.2)]
    reached = [curve["eps_g"] <= 0.3 for curve in curves]
    first = [
        curve.times[below.argmax()] if below.any() else np.inf for curve, below in zip(curves, reached, strict=True)
    ]
    assert table["time_to_error"].values == pytest.approx(first, abs=0.2)


@pytest.mark.representative
def test_plateau_of_a_spectrum_and_of_an_output():
    """A weight needs the time 1/(eta |c_*| alpha_1 |w*|) to its threshold while all overlaps of the student vanish."""
    assert plateau_estimate(CELLS).length == pytest.approx(10)
    assert plateau_estimate(CELLS.replace(spectrum=Eigenvalues([0.5, 0.5]))).length == pytest.approx(20)
    # E[e h*] = -E|h*| with the label sign(h*), h* ~ N(0, 1)
    signs = CELLS.replace(teacher_activation=Sign(1.0))
    assert plateau_estimate(signs).length == pytest.approx(10 * np.sqrt(np.pi / 2), rel=1e-6)
    both = signs.replace(activation=Sign(1.0))
    assert plateau_estimate(both).length == pytest.approx(10 * np.sqrt(np.pi / 2), rel=1e-6)


def test_what_zeroth_order_updates_lack_is_named():
    with pytest.raises(UnsupportedError, match=r"limit_function, gaussian: needs a diffusion .*SPSA"):
        limit_function(REFERENCE.replace(update_rule=SPSA(ratio=0.1, eps=0.3)), [1.0], method="gaussian")
    with pytest.raises(UnsupportedError, match="plateau_estimate: needs the rate of a weight in its cell"):
        plateau_estimate(CELLS.replace(update_rule=FOGZO(c=2.0, eps=0.3)))
