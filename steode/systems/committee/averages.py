"""Gaussian averages of hidden units in numbers: compiled closed forms, or quadrature for any activation.

`Averages` answers for pairs of units, elementwise over arrays of variances and covariances, and for the noise, which is
an average over four units.
"""

import abc
import functools
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Array, Float

from steode import bridge
from steode.parts.elementwise import X
from steode.systems.committee import activations
from steode.systems.committee import gaussian_integrals as forms
from steode.systems.committee.spec import CommitteeModel

REACH, NODES, PANEL = 8.0, 81, 32
"""Along each axis of a pair, in standard deviations: nodes of the trapezoidal rule, exact to rounding for analytic
functions that change over one of them; and Gauss points in each panel between jumps of f' and of what stands for it."""
POINTS = 2**13
"""Sobol points of an average over all units; each is used with both signs."""
TENSOR = {1: 161, 2: 81, 3: 41}
"""Units in all -> nodes along each, where so few that a product of rules is better than points."""
TINY, JITTER = 1e-30, 1e-12


class Averages(eqx.Module):
    """Averages over units with mean zero; f' stands for the surrogate where it acts on a student's own error."""

    @abc.abstractmethod
    def product(self, a, b, c):
        """E[f(u) f(w)]."""

    @abc.abstractmethod
    def slopes(self, a, b, c):
        """E[s(u) f'(w)], s what stands for f'."""

    @abc.abstractmethod
    def curvature(self, a, b, c):
        """The coefficient of u in E[s(u) f(w) .] by Stein, E[s'(u) f(w)]."""

    @abc.abstractmethod
    def surrogates(self, a, b, c):
        """E[s(u) s(w)]."""

    @abc.abstractmethod
    def residual_square(self, C: Float[Array, "P P"], signed: Float[Array, " P"], hidden: int) -> Float[Array, "K K"]:
        """E[s(h_k) s(h_l) (sum_p signed_p f(h_p))^2] of the first `hidden` units."""


class ErrorFunction(Averages):
    """Closed forms of erf units."""

    pair: tuple[Callable, ...] = eqx.field(static=True)
    four: Callable = eqx.field(static=True)

    def product(self, a, b, c):
        return self.pair[0](a, b, c)

    def slopes(self, a, b, c):
        return self.pair[1](a, b, c)

    def curvature(self, a, b, c):
        return self.pair[2](a, b, c)

    def surrogates(self, a, b, c):
        return self.slopes(a, b, c)

    def residual_square(self, C, signed, hidden):
        n = C.shape[0]
        sizes = (hidden, hidden, n, n)
        places = [jnp.arange(size).reshape(np.where(np.arange(4) == axis, size, 1)) for axis, size in enumerate(sizes)]
        entries = [C[places[row], places[column]] for row in range(4) for column in range(row, 4)]
        return jnp.einsum("klij,i,j->kl", self.four(*entries), signed, signed)


class Numerical(Averages):
    """Quadrature for any f and s: products of trapezoidal rules for pairs, points in all units for the noise."""

    function: Callable = eqx.field(static=True)
    derivative: Callable = eqx.field(static=True)
    surrogate: Callable = eqx.field(static=True)
    breaks: Float[Array, " J"]
    points: Float[Array, "n P"]
    weights: Float[Array, " n"]

    def _rule(self, mean, std):
        """Points and weights of N(mean, std^2), along an axis more."""
        if not self.breaks.size:
            nodes, weights = trapezoid()
            return mean[..., None] + jnp.multiply.outer(std, nodes), jnp.broadcast_to(weights, (*std.shape, NODES))
        # panels between the jumps, wherever these lie
        gap = jnp.reshape(self.breaks, (1,) * mean.ndim + (-1,)) - mean[..., None]
        inner = jnp.clip(gap / jnp.maximum(std, TINY)[..., None], -REACH, REACH)
        ends = jnp.full((*mean.shape, 1), REACH)
        edges = jnp.concatenate([-ends, inner, ends], axis=-1)
        nodes, weights = np.polynomial.legendre.leggauss(PANEL)
        half, middle = jnp.diff(edges) / 2, (edges[..., 1:] + edges[..., :-1]) / 2
        points = middle[..., None] + jnp.multiply.outer(half, nodes)
        shares = jnp.multiply.outer(half, weights) * jnp.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
        points, shares = (jnp.reshape(part, (*mean.shape, -1)) for part in (points, shares))
        return mean[..., None] + std[..., None] * points, shares

    def _pair(self, a, b, c, left: Callable, right: Callable, power: int = 0):
        """E[u^power left(u) right(w)] of broadcast arrays."""
        a, b, c = jnp.broadcast_arrays(jnp.asarray(a, float), jnp.asarray(b, float), jnp.asarray(c, float))
        a = jnp.maximum(a, TINY)
        u, outer = self._rule(jnp.zeros_like(a), jnp.sqrt(a))
        rest = jnp.sqrt(jnp.maximum(b - c**2 / a, 0.0))
        w, weights = self._rule((c / a)[..., None] * u, jnp.broadcast_to(rest[..., None], u.shape))
        return jnp.sum(left(u) * u**power * jnp.sum(right(w) * weights, axis=-1) * outer, axis=-1)

    def product(self, a, b, c):
        return self._pair(a, b, c, self.function, self.function)

    def slopes(self, a, b, c):
        return self._pair(a, b, c, self.surrogate, self.derivative)

    def curvature(self, a, b, c):
        first = self._pair(a, b, c, self.surrogate, self.function, 1)
        return (first - c * self.slopes(a, b, c)) / jnp.maximum(a, TINY)

    def surrogates(self, a, b, c):
        return self._pair(a, b, c, self.surrogate, self.surrogate)

    def residual_square(self, C, signed, hidden):
        # a triangular root, which is smooth in C; units may be parallel
        level = JITTER * jnp.trace(C) / C.shape[0]
        h = self.points @ jnp.linalg.cholesky(C + level * jnp.eye(C.shape[0])).T
        felt = self.surrogate(h[:, :hidden]) * (self.function(h) @ signed)[:, None]
        return jnp.einsum("nk,nl,n->kl", felt, felt, self.weights)


class Rectified(Numerical):
    """Closed forms of pairs of rectified units; the noise, of four, has none."""

    pair: tuple[Callable, ...] = eqx.field(static=True)

    def _closed(self, number, a, b, c):
        a, b = jnp.maximum(a, TINY), jnp.maximum(b, TINY)
        # rounding may carry a correlation beyond 1
        most = jnp.sqrt(a) * jnp.sqrt(b) * (1 - 1e-15)
        return self.pair[number](a, b, jnp.clip(c, -most, most))

    def product(self, a, b, c):
        return self._closed(0, a, b, c)

    def slopes(self, a, b, c):
        return self._closed(1, a, b, c)

    def curvature(self, a, b, c):
        return self._closed(2, a, b, c)

    def surrogates(self, a, b, c):
        return self._closed(1, a, b, c)


class LinearUnits(Averages):
    """f(h) = h."""

    def product(self, a, b, c):
        return c + 0 * (a + b)

    def slopes(self, a, b, c):
        return 1 + 0 * (a + b + c)

    def curvature(self, a, b, c):
        return 0 * (a + b + c)

    def surrogates(self, a, b, c):
        return self.slopes(a, b, c)

    def residual_square(self, C, signed, hidden):
        return jnp.full((hidden, hidden), signed @ C @ signed)


def averages_of(model: CommitteeModel, draw: int = 0) -> Averages:
    """The averages of a model's activation; to be called under 64-bit precision.

    Another `draw` takes other points, where there are points: what that changes is their error.
    """
    name = model.activation
    own = isinstance(name, str) and model.activation_surrogate is None
    if own and name == "linear":
        return LinearUnits()
    if own and name == "erf":
        symbols = forms.four_covariance()
        entries = tuple(symbols[row, column] for row in range(4) for column in range(row, 4))
        return ErrorFunction(_compiled_pair("erf"), bridge.compile_expression(forms.four_average(), entries))
    breaks = sorted({place for one in unit_expressions(model)[1:] for place in activations.jumps(one)})
    points, weights = unit_points(model.hidden + model.M, draw, smooth=not breaks)
    numbers = [jnp.asarray(part) for part in (np.array(breaks), points, weights)]
    if own:
        return Rectified(*unit_functions(model), *numbers, _compiled_pair("relu"))
    return Numerical(*unit_functions(model), *numbers)


def unit_expressions(model: CommitteeModel) -> tuple:
    """f, f' and what stands for f'."""
    name = model.activation
    return (
        activations.expression(name),
        activations.derivative(name),
        activations.surrogate_expression(name, model.activation_surrogate),
    )


def unit_functions(model: CommitteeModel) -> tuple[Callable, Callable, Callable]:
    """f, f' and what stands for f', compiled."""
    return tuple(_full(bridge.compile_expression(one, (X,))) for one in unit_expressions(model))


@functools.lru_cache(maxsize=64)
def _full(function: Callable) -> Callable:
    # a constant expression gives one number whatever the array
    return lambda x: function(x) + 0 * x


@functools.lru_cache(maxsize=8)
def _compiled_pair(name: str) -> tuple[Callable, ...]:
    pair = forms.pair_averages(name)
    symbols = (forms.a, forms.b, forms.c)
    return tuple(bridge.compile_expression(one, symbols) for one in (pair.product, pair.slopes, pair.curvature))


@functools.lru_cache(maxsize=8)
def trapezoid(count: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for a standard Gaussian: the trapezoidal rule, which knows no degree."""
    nodes = np.linspace(-REACH, REACH, count)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


@functools.lru_cache(maxsize=8)
def unit_points(count: int, draw: int = 0, smooth: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights for `count` independent standard Gaussians: (n, count) and (n,).

    Products of rules only for functions that are `smooth`.
    """
    if smooth and count in TENSOR:
        nodes, weights = trapezoid(TENSOR[count])
        grids = np.meshgrid(*[nodes] * count, indexing="ij")
        shares = np.meshgrid(*[weights] * count, indexing="ij")
        return np.stack([grid.ravel() for grid in grids], 1), np.prod([share.ravel() for share in shares], axis=0)
    uniform = scipy.stats.qmc.Sobol(count, scramble=True, rng=np.random.default_rng(draw)).random(POINTS)
    points = scipy.special.ndtri(uniform)
    return np.concatenate([points, -points]), np.full(2 * POINTS, 0.5 / POINTS)
