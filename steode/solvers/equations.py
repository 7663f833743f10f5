"""What the solvers are given: compiled equations and the numbers to put into them."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.solvers.entrywise import Map
from steode.solvers.sign_moments import sign_moments

FIRST_MEMORY = 1e-6
"""Time up to which a companion of the law, whose memory begins with the run, is taken to remember as much as then."""


@dataclasses.dataclass(frozen=True)
class Equations:
    """The limit's expressions, compiled by `steode.bridge`; all broadcast over arrays.

    `training` stands for the arguments eta, kappa, zeta, B, c_h and c_*; `overlaps` for the output, m, q, rho, sigma.
    Where `force` is given, c_2 stands for V in all but `residual_variance` and `observables`.

    Attributes
    ----------
    drift : (training, alpha_1, alpha_2, w*, Q, w) -> mean rate of change of w where the surrogate is 1.
    diffusion : (training, alpha_2, V) -> variance rate of w where the surrogate is 1.
    teacher_overlap, self_overlap : (alpha_1, w*, Q) and (alpha_2, Q) -> integrands of m and q.
    residual_variance : overlaps -> V.
    force : (overlaps, p, constants) -> c_h, c_* and c_2; None: the output is linear and deterministic, 1, -1 and V.
    force_of_loss : (V, constants) -> the same, where V says all; else None.
    constants : names of what the force is given beside the overlaps.
    companion_rate : (tau, c_v, c_h, c_*, c_2, constants) -> rate of the last of the constants, which moves beside the
        law; None: all of them stand still.
    companion_start : constants -> its value at time 0 over the c_2 that it would have at the value 1; or None.
    needs_slope : True if the force contains the mean slope p of the map of the weights, as in zeroth-order updates.
    strength_of_gap : (G, q, rho, sigma) -> c_2, or V where there is `force_of_loss`; G = q - 2m + rho. None unless one
        number says all.
    observables : name -> (V, overlaps) -> value.
    correlation, mean_square : (input map, lambda) -> alpha_1 and alpha_2.
    log_slope : (training, alpha_2, V, a, Q, w) -> slope of the log of the stationary density.
    closure : (training, alpha_1, alpha_2, w*, V, map, M, S) -> rates of M and S; None where there is none.
    moments : (training, alpha_1, alpha_2, E[w*^2], sigma, V, A, C) -> rates of A and C; None unless maps are affine.
    """

    drift: Callable
    diffusion: Callable
    teacher_overlap: Callable
    self_overlap: Callable
    residual_variance: Callable
    force: Callable | None
    force_of_loss: Callable | None
    constants: tuple[str, ...]
    companion_rate: Callable | None
    companion_start: Callable | None
    needs_slope: bool
    strength_of_gap: Callable | None
    observables: tuple[tuple[str, Callable], ...]
    correlation: Callable
    mean_square: Callable
    log_slope: Callable
    closure: Callable | None
    moments: Callable | None


class Problem(eqx.Module):
    """One instance of the limit: numbers (traced) and equations (static).

    With momentum the learning rate eta is that of the limit. What follows a schedule is that of one moment: `at(time)`
    gives the problem of another.
    """

    equations: Equations = eqx.field(static=True)
    eta: Float[Array, ""]
    decay: Float[Array, ""] | None  # kappa; None: the equations do not contain it
    batch: Float[Array, ""]
    sigma: Float[Array, ""]
    band: Float[Array, " 2"] | None  # ends of the band where the surrogate is 1; None: everywhere
    weight_map: Map
    input_map: Map
    teacher: Float[Array, " K"]
    teacher_weights: Float[Array, " K"]
    rho: Float[Array, ""]
    schedules: tuple = eqx.field(static=True, default=())  # of the fields that change: pairs (name, time -> value)
    eigenvalues: Float[Array, " K"] | None = None  # of the teacher values' coordinates; None: all are 1
    output: eqx.Module | None = None  # what the output averages are of, where the output is not linear
    linear_response: bool = eqx.field(static=True, default=True)  # c_h = 1 and c_* = -1 at all times
    response: tuple = (1.0, -1.0)  # c_h and c_*
    input_moments: tuple | None = None  # alpha_1 and alpha_2, where they are known already
    dampening: Float[Array, ""] | None = None  # zeta; None: the equations do not contain it
    traced: dict = eqx.field(default_factory=dict)  # field -> its value in time, of schedules with traced numbers
    mobility: Callable | None = eqx.field(static=True, default=None)  # surrogate derivative of the weights; None: 1
    constants: tuple = ()  # of the force: see `Equations.constants`
    moving_range: eqx.Module | None = None  # see `steode.solvers.moving_range`; then weights are in units of the range
    friction: Float[Array, ""] | None = None  # gamma, where weights follow a mean gradient; None: they have no inertia
    memory: Float[Array, ""] | None = None  # c_v, the rate at which a companion of the law forgets; None: there is none

    def at(self, time) -> "Problem":
        """The equations at this time; the problem itself if nothing follows a schedule."""
        if not self.changes:
            return self
        followed = [*self.schedules, *self.traced.items()]
        return dataclasses.replace(self, **{name: jnp.asarray(at(time), float) for name, at in followed})

    @property
    def changes(self) -> bool:
        """True if something follows a schedule."""
        return bool(self.schedules or self.traced)

    @property
    def alpha_1(self) -> Float[Array, "..."]:
        """E[x Q_x(x)]: one number, or one for each teacher value where there is a spectrum."""
        if self.input_moments is not None:
            return self.input_moments[0]
        return self.equations.correlation(self.input_map, self._variance)

    @property
    def alpha_2(self) -> Float[Array, "..."]:
        """E[Q_x(x)^2]: one number, or one for each teacher value where there is a spectrum."""
        if self.input_moments is not None:
            return self.input_moments[1]
        return self.equations.mean_square(self.input_map, self._variance)

    @property
    def _variance(self):
        return np.asarray(1.0) if self.eigenvalues is None else self.eigenvalues

    @property
    def training(self) -> tuple:
        """eta, kappa, zeta, B, c_h and c_*, the first arguments of the equations."""
        pulls = (0.0 if strength is None else strength for strength in (self.decay, self.dampening))
        return self.eta, *pulls, self.batch, *self.response

    @property
    def is_pulled(self) -> bool:
        """True with weight decay or dampening, which confine every weight and move its mean."""
        return self.decay is not None or self.dampening is not None

    @property
    def potential(self) -> tuple:
        """k and r of the stationary potential U' = r Q - a + k w: 0 and 1 without weight decay and dampening."""
        decay, dampening = self.training[1:3]
        unit = self.response[0] * self.alpha_2
        return (decay + dampening) / unit, 1 - dampening / unit

    def without_pulls(self) -> "Problem":
        """The problem without weight decay and dampening: what the samples alone do."""
        return dataclasses.replace(self, decay=None, dampening=None)

    def drift(self, teacher, image, w):
        """Mean rate of change of a weight w with quantized value `image`, where the surrogate is 1.

        Teacher values along the first axis, if there is a spectrum.
        """
        alphas = (rows(alpha, jnp.ndim(teacher)) for alpha in (self.alpha_1, self.alpha_2))
        return self.equations.drift(*self.training, *alphas, teacher, image, w)

    def diffusion(self, strength):
        """Variance rate of a weight, where the surrogate is 1; `strength` is V, or c_2 in general."""
        return self.equations.diffusion(*self.training, self.alpha_2, strength)

    def overlaps(self, mean_image: Float[Array, " K"], mean_square: Float[Array, " K"]) -> tuple:
        """m, q and V from E[Q | w*] and E[Q^2 | w*] at each teacher value.

        The integrands of m and q are linear in Q and in Q^2, so they may be evaluated at the means.
        """
        m = self.teacher_weights @ self.equations.teacher_overlap(self.alpha_1, self.teacher, mean_image)
        q = self.teacher_weights @ self.equations.self_overlap(self.alpha_2, mean_square)
        return m, q, self.loss(m, q)

    def loss(self, m, q):
        """V at given overlaps."""
        return self.equations.residual_variance(self.output, m, q, self.rho, self.sigma)

    @property
    def needs_slope(self) -> bool:
        """True if the weights move by their mean slope p, as in zeroth-order updates."""
        return self.equations.needs_slope

    def force(self, m, q, slope=1.0) -> Float[Array, "..."]:
        """What drives the weights at given overlaps: c_2 alone (V for a linear output), or c_h, c_* and c_2.

        `slope` is the mean slope p of the map of the weights, where it is needed.
        """
        if self.equations.force is None:
            return self.loss(m, q)
        averages = self.equations.force(self.output, m, q, self.rho, self.sigma, slope, *self.constants)
        return averages[2] if self.linear_response else jnp.stack(averages)

    def force_of_loss(self, residual_variance) -> Float[Array, " 3"]:
        """c_h, c_* and c_2 at a value of V that says all."""
        return jnp.stack(self.equations.force_of_loss(residual_variance, *self.constants))

    def strength_of_gap(self, gap, q):
        """c_2 of a linear response from G = q - 2m + rho, which keeps its digits where the overlaps almost cancel."""
        if self.equations.strength_of_gap is None:
            variance = gap + self.sigma**2
            return variance * self._noise_factor if self.needs_slope else variance
        return self.equations.strength_of_gap(gap, q, self.rho, self.sigma)

    @property
    def _noise_factor(self):
        """c_2 of a zeroth-order update at V = 1."""
        return self.equations.force(self.output, 0.0, 0.0, 0.0, 1.0, 1.0, *self.constants)[2]

    def gaussian_force(self, mean: Float[Array, " K"], variance: Float[Array, " K"]) -> Float[Array, "..."]:
        """The force if w | w* ~ N(mean, variance)."""
        image = self.weight_map
        m, q, _ = self.overlaps(image.gaussian_mean(mean, variance), image.gaussian_square(mean, variance))
        slope = self.teacher_weights @ image.gaussian_slope(mean, variance) if self.needs_slope else 1.0
        return self.force(m, q, slope)

    def with_input_averages(self) -> "Problem":
        """The problem with the averages of its own inputs among the constants; the others stay as they are."""
        names = self.equations.constants
        known = {"alpha_1": self.alpha_1, "alpha_2": self.alpha_2, "B": self.batch}
        if "beta_1" in names:
            signs = sign_moments(self.input_map, self.batch)
            known |= {"beta_1": signs.teacher, "beta_2": signs.student, "p_0": signs.moving}
        constants = tuple(known.get(name, value) for name, value in zip(names, self.constants, strict=True))
        changes = {"constants": constants}
        if self.equations.force_of_loss is not None:
            # c_h and c_* depend on V, their ratio does not
            changes["response"] = self.equations.force_of_loss(1.0, *constants)[:2]
        return dataclasses.replace(self, **changes)

    def beside(self, companion: Float[Array, ""]) -> "Problem":
        """The problem at a value of the number that moves beside the law."""
        return dataclasses.replace(self, constants=(*self.constants[:-1], companion))

    def companion_rate(self, time, force, companion: Float[Array, ""]) -> Float[Array, ""]:
        """Its time derivative, where it has this value and the force is the one there."""
        # its first memory is as short as the time that has passed; there the two sides are equal
        time = jnp.maximum(time, FIRST_MEMORY)
        return self.equations.companion_rate(time, self.memory, *force, *self.beside(companion).constants)

    def companion_start(self, m, q, slope=1.0) -> Float[Array, ""]:
        """Its value at time 0, the one at which it would rest."""
        return self.equations.companion_start(*self.constants) * self.beside(1.0).force(m, q, slope)[2]

    def under(self, force: Float[Array, "..."]) -> tuple["Problem", Float[Array, ""]]:
        """The problem with the response that a force has, and its strength V or c_2."""
        if self.linear_response:
            return self, force
        return dataclasses.replace(self, response=(force[0], force[1])), force[2]

    def observables(self, m, q, residual_variance) -> dict[str, Array]:
        """Named observables of the order parameters."""
        arguments = (residual_variance, self.output, m, q, self.rho, self.sigma)
        return {name: function(*arguments) for name, function in self.equations.observables}


def rows(values, ndim: int):
    """Values of the teacher's rows (K,) with as many axes as the arrays they meet; a single number as it is."""
    return values.reshape(values.shape + (1,) * (ndim - 1)) if np.ndim(values) else values
