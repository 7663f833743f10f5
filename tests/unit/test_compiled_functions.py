"""Functions of the bridge in programs compiled as those of the simulation, beside NumPy and SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sympy

from steode import Elementwise, LinearModel, TwoPoint, simulate
from steode.bridge import TABLE
from steode.engine.placement import CPU_OPTIONS

REFERENCES = {
    sympy.erf: scipy.special.erf,
    sympy.erfc: scipy.special.erfc,
    sympy.erfinv: scipy.special.erfinv,
    sympy.exp: np.exp,
    sympy.log: np.log,
    sympy.sin: np.sin,
    sympy.cos: np.cos,
    sympy.tan: np.tan,
    sympy.atan: np.arctan,
    sympy.sinh: np.sinh,
    sympy.cosh: np.cosh,
    sympy.tanh: np.tanh,
    sympy.asinh: np.arcsinh,
    sympy.Abs: np.abs,
    sympy.sign: np.sign,
}
POINTS = {sympy.log: (0.01, 9.0), sympy.erfinv: (-0.99, 0.99), sympy.tan: (-1.5, 1.5)}


@functools.cache
def compiled(function):
    return jax.jit(TABLE[function], compiler_options=CPU_OPTIONS)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="options of the CPU compiler")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", REFERENCES, ids=str)
@pytest.mark.parametrize("size", [1, 1001])
def test_wide_vectors_change_no_function(function, dtype, size):
    points = np.linspace(*POINTS.get(function, (-4.1, 4.0)), size).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(compiled(function)(jnp.asarray(points)))
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(found, REFERENCES[function](points.astype(float)), **tolerance)


def test_the_inverse_tangent_has_its_slope_everywhere():
    points = np.array([-1e6, -3.0, -1.0, -0.2, 0.0, 0.2, 1.0, 3.0, 1e6])
    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(TABLE[sympy.atan]))(jnp.asarray(points))
    np.testing.assert_allclose(slope, 1 / (1 + points**2), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_measures_the_image_of_its_map(dtype):
    model = LinearModel(teacher=TwoPoint(1.0), weight_quantizer=Elementwise("atan(2*x)"), init=TwoPoint(0.6))
    q = simulate(model, 200, 0.01, times=[0.0], dtype=dtype)["q"]
    assert q == pytest.approx(np.arctan(1.2) ** 2, rel=1e-5)
