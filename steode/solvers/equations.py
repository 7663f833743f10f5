"""What the solvers are given: compiled equations and the numbers to put into them."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from steode.solvers.entrywise import Map


@dataclasses.dataclass(frozen=True)
class Equations:
    """The limit's expressions, compiled by `steode.bridge`; all broadcast over arrays.

    `training` stands for the three arguments eta, kappa and B.

    Attributes
    ----------
    drift : (training, alpha_1, alpha_2, w*, Q, w) -> mean rate of change of w where the surrogate is 1.
    diffusion : (training, alpha_2, V) -> variance rate of w where the surrogate is 1.
    teacher_overlap, self_overlap : (alpha_1, w*, Q) and (alpha_2, Q) -> integrands of m and q.
    residual_variance : (m, q, rho, sigma) -> V.
    observables : name -> (V, m, q, sigma) -> value.
    mean_slope, mean_square : input map -> alpha_1 and alpha_2.
    log_slope : (training, alpha_2, V, a, Q, w) -> slope of the log of the stationary density.
    closure : (training, alpha_1, alpha_2, w*, V, map, M, S) -> rates of M and S; None where there is none.
    moments : (training, alpha_1, alpha_2, rho, sigma, A, C) -> rates of A and C; None unless the maps are affine.
    """

    drift: Callable
    diffusion: Callable
    teacher_overlap: Callable
    self_overlap: Callable
    residual_variance: Callable
    observables: tuple[tuple[str, Callable], ...]
    mean_slope: Callable
    mean_square: Callable
    log_slope: Callable
    closure: Callable | None
    moments: Callable | None


class Problem(eqx.Module):
    """One instance of the limit: numbers (traced) and equations (static).

    With a schedule, the learning rate eta is that of one moment: `at(time)` gives the problem of another.
    """

    equations: Equations = eqx.field(static=True)
    eta: Float[Array, ""]
    decay: Float[Array, ""] | None  # kappa; None: the equations do not contain it
    batch: Float[Array, ""]
    sigma: Float[Array, ""]
    bound: Float[Array, ""] | None  # half-width of the band where the surrogate is 1; None: everywhere
    weight_map: Map
    input_map: Map
    teacher: Float[Array, " K"]
    teacher_weights: Float[Array, " K"]
    rho: Float[Array, ""]
    schedule: Callable | None = eqx.field(static=True, default=None)  # time -> eta; None: eta is constant

    def at(self, time) -> "Problem":
        """The equations at this time; the problem itself if the learning rate is constant."""
        if self.schedule is None:
            return self
        return dataclasses.replace(self, eta=jnp.asarray(self.schedule(time), self.eta.dtype))

    @property
    def alpha_1(self) -> Float[Array, ""]:
        """E[x Q_x(x)]."""
        return self.equations.mean_slope(self.input_map)

    @property
    def alpha_2(self) -> Float[Array, ""]:
        """E[Q_x(x)^2]."""
        return self.equations.mean_square(self.input_map)

    @property
    def training(self) -> tuple:
        """eta, kappa and B, the first three arguments of the equations."""
        return self.eta, 0.0 if self.decay is None else self.decay, self.batch

    def drift(self, teacher, image, w):
        """Mean rate of change of a weight w with quantized value `image`, where the surrogate is 1."""
        return self.equations.drift(*self.training, self.alpha_1, self.alpha_2, teacher, image, w)

    def diffusion(self, residual_variance):
        """Variance rate of a weight, where the surrogate is 1."""
        return self.equations.diffusion(*self.training, self.alpha_2, residual_variance)

    def overlaps(self, mean_image: Float[Array, " K"], mean_square: Float[Array, " K"]) -> tuple:
        """m, q and V from E[Q | w*] and E[Q^2 | w*] at each teacher value.

        The integrands of m and q are linear in Q and in Q^2, so they may be evaluated at the means.
        """
        m = self.teacher_weights @ self.equations.teacher_overlap(self.alpha_1, self.teacher, mean_image)
        q = self.teacher_weights @ self.equations.self_overlap(self.alpha_2, mean_square)
        return m, q, self.equations.residual_variance(m, q, self.rho, self.sigma)

    def observables(self, m, q, residual_variance) -> dict[str, Array]:
        """Named observables of the order parameters."""
        return {name: function(residual_variance, m, q, self.sigma) for name, function in self.equations.observables}
