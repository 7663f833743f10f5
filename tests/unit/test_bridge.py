"""The bridge: known functions compile under jit and grad, unknown ones are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from steode import UnsupportedError, bridge

X = sympy.Symbol("x", real=True)


@pytest.mark.parametrize(
    "function", [f for f, image in bridge.TABLE.items() if image is not None and f.nargs == {1}], ids=str
)
def test_every_function_of_one_variable_agrees_with_sympy_under_jit(function):
    point = 0.37
    with jax.enable_x64(True):
        value = jax.jit(bridge.compile_expression(function(X), (X,)))(jnp.asarray(point))
    assert abs(float(value) - float(function(X).subs(X, point).evalf())) < 1e-13


def test_erf_differentiates_under_jit():
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(bridge.compile_expression(sympy.erf(X), (X,))))(jnp.asarray(0.5))
    assert abs(float(slope) - 2 / np.sqrt(np.pi) * np.exp(-0.25)) < 1e-14


def test_max_min_and_piecewise_compile():
    clipped = sympy.Max(-1, sympy.Min(1, X)) + sympy.Piecewise((1, X > 2), (0, True))
    values = bridge.compile_expression(clipped, (X,))(jnp.array([-3.0, 0.5, 3.0]))
    assert np.array_equal(values, [-1.0, 0.5, 2.0])


def test_unknown_functions_and_symbols_are_named():
    with pytest.raises(UnsupportedError, match="zeta"):
        bridge.compile_expression(sympy.zeta(X), (X,))
    with pytest.raises(UnsupportedError, match="no value for y"):
        bridge.compile_expression(X + sympy.Symbol("y"), (X,))


def test_the_same_expression_gives_the_same_function():
    assert bridge.compile_expression(X**2 + 1, (X,)) is bridge.compile_expression(X**2 + 1, (X,))
