"""NumPy for arrays of numbers, JAX for arrays that are traced, in one text.

Outside of a compiled function every JAX operation is compiled as a program of its own, some 20 ms for each new shape:
what prepares meshes and equations from plain numbers takes NumPy, and the same text serves `jit`, `vmap` and `grad`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import scipy.special


def library(*values):
    """`jax.numpy` if any of the values is an array of JAX's, `numpy` otherwise."""
    return jnp if any(isinstance(value, jax.Array) for value in values) else np


class _Numeric:
    """The functions of NumPy and of JAX's NumPy: the latter where an argument, or an entry of one, is JAX's array."""

    def __getattr__(self, name: str) -> Callable:
        of_numpy, of_jax = getattr(np, name), getattr(jnp, name)

        @functools.wraps(of_numpy)
        def function(*arguments, **options):
            return (of_numpy if library(*jax.tree.leaves(arguments)) is np else of_jax)(*arguments, **options)

        setattr(self, name, function)
        return function


numeric = _Numeric()


def as_array(value):
    """A number or sequence as an array of NumPy's; an array of JAX's, which may be traced, as it is."""
    return value if isinstance(value, jax.Array) else np.asarray(value)


def erfc(values):
    """The complementary error function, of either library."""
    return either(values, scipy.special.erfc, jax.scipy.special.erfc)(values)


def either(values, of_numpy: Callable, of_jax: Callable) -> Callable:
    """The one of two functions that takes these values."""
    return of_jax if isinstance(values, jax.Array) else of_numpy


def sums_at(places, values, size: int):
    """Array of `size` sums of the values at each place, both of shape (n,)."""
    if isinstance(values, jax.Array):
        return jnp.zeros(size).at[places].add(values)
    return np.bincount(places, values, size)
