"""A model's numbers as its equations want them; to be made under 64-bit precision."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.bridge import entrywise_function, numeric_map
from steode.parts.schedule import Schedule
from steode.parts.surrogates import ClippedSurrogate
from steode.solvers.entrywise import Map
from steode.systems.committee import rows
from steode.systems.committee.averages import Averages, averages_of
from steode.systems.committee.force import Force, Setting, covariance, force
from steode.systems.committee.spec import CommitteeModel


class Rate(eqx.Module):
    """A rate at a time: a number, which may change without recompiling, times a function."""

    number: Float[Array, ""]
    function: Callable | None = eqx.field(static=True, default=None)

    def __call__(self, time):
        return self.number if self.function is None else self.number * self.function(time)


class Problem(eqx.Module):
    """Input moments, the teacher's overlaps, maps and rates of one model."""

    averages: Averages
    teacher_readout: Float[Array, " M"]
    teacher: Float[Array, "M M"]  # T = E[w* w*^T]
    sigma: Float[Array, ""]
    batch: Float[Array, ""]
    alpha_1: Float[Array, ""]  # E[x z]
    alpha_2: Float[Array, ""]  # E[z^2]
    decay: Float[Array, ""]
    band: Float[Array, " 2"] | None
    weight_map: Map
    learning_rate: Rate
    output_rate: Rate | None

    def force(self, own, cross, readout) -> Force:
        """The force at E[Q(w) Q(w)^T] (K, K), E[Q(w) w*^T] (K, M) and v."""
        setting = Setting(self.averages, self.teacher_readout, self.sigma, self.batch)
        return force(setting, covariance(self.alpha_2 * own, self.alpha_1 * cross, self.teacher), readout)

    def readout_rate(self, time, now: Force):
        """dv/dtau."""
        return 0 * now.output if self.output_rate is None else -self.output_rate(time) * now.output

    def observables(self, own, cross, readout) -> dict[str, Array]:
        """What a trajectory holds, from the same."""
        now = self.force(own, cross, readout)
        own, cross = self.alpha_2 * own, self.alpha_1 * cross
        return {
            "eps_g": now.error,
            "V": 2 * now.error + self.sigma**2,
            "specialization": specialization(own, cross, self.teacher),
            "student_overlap": own,
            "teacher_overlap": cross,
            "output_weights": readout,
        }


def make_problem(model: CommitteeModel, draw: int = 0) -> Problem:
    """Put a model's numbers into arrays; `draw` is that of `averages_of`."""
    input_map = numeric_map(model.input_quantizer)
    surrogate = model.surrogate
    return Problem(
        averages=averages_of(model, draw),
        teacher_readout=jnp.asarray(model.teacher_readout),
        teacher=jnp.asarray(rows.teacher_overlap(model)),
        sigma=jnp.asarray(model.noise),
        batch=jnp.asarray(float(model.batch_size)),
        # E[x Q(x)] = E[Q'(x)] by Stein
        alpha_1=jnp.asarray(input_map.gaussian_slope(np.zeros(()), np.ones(()))),
        alpha_2=jnp.asarray(input_map.gaussian_square(np.zeros(()), np.ones(()))),
        decay=jnp.asarray(model.weight_decay),
        band=jnp.asarray(surrogate.band) if isinstance(surrogate, ClippedSurrogate) else None,
        weight_map=numeric_map(model.weight_quantizer),
        learning_rate=_rate(model.learning_rate),
        output_rate=None if model.output_learning_rate is None else _rate(model.output_learning_rate),
    )


def _rate(rate: float | Schedule) -> Rate:
    if isinstance(rate, Schedule):
        return Rate(jnp.asarray(1.0), entrywise_function(rate))
    return Rate(jnp.asarray(rate))


def specialization(own, cross, teacher):
    """How far each student unit prefers one teacher unit: mean over units of largest |cosine| minus the mean of others.

    1 if every unit is one of the teacher's (and these are orthogonal), 0 if none prefers any; of a teacher of one unit
    the mean |cosine|.
    """
    lengths = jnp.sqrt(jnp.maximum(jnp.diag(own)[:, None] * jnp.diag(teacher)[None, :], 1e-300))
    size = jnp.sort(jnp.abs(cross) / lengths, axis=1)
    others = jnp.mean(size[:, :-1], axis=1) if size.shape[1] > 1 else 0.0
    return jnp.mean(size[:, -1] - others)
