"""The length of one step of a weight: its mean, on which flips depend, beside its mean square, the diffusion."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from steode.errors import UnsupportedError
from steode.parts.quantizers import Identity, StepFunction
from steode.parts.range_rules import FixedRange
from steode.parts.stochastic import StochasticMap
from steode.parts.surrogates import DerivativeOf
from steode.parts.update_rules import STE, KineticMomentum, Momentum, SignSGD
from steode.solvers.entrywise import Map, StepMap
from steode.solvers.equations import Problem
from steode.solvers.sign_moments import sign_moments
from steode.systems.linear.obstacles import residual_not_normal
from steode.systems.linear.problem import make_problem, nominal_start
from steode.systems.linear.spec import LinearModel


def mean_steps(model: LinearModel, V: float, eigenvalues: np.ndarray | None) -> np.ndarray:
    """sqrt(d) E|delta|, the mean length of a weight's step at residual variance V; (K,), or () without eigenvalues."""
    problem = make_problem(model, nominal_start(model).rows(np.zeros(0), 2))
    rate, batch = float(problem.eta), float(model.batch_size)
    values = np.ones(1) if eigenvalues is None else np.unique(eigenvalues)
    lengths = np.array([_length(model, problem.input_map, batch, V, float(value)) for value in values])
    steps = rate * (lengths if eigenvalues is None else lengths[np.searchsorted(values, eigenvalues)])
    return steps[0] if eigenvalues is None else steps


def _length(model: LinearModel, input_map: Map, batch: float, V: float, eigenvalue: float) -> float:
    """The mean length of a step at the learning rate 1."""
    root = np.sqrt(eigenvalue)
    if isinstance(input_map, StepMap):
        # Q(x) as a function of x/sqrt(lambda)
        input_map, root = StepMap(levels=input_map.levels, thresholds=input_map.thresholds / root), 1.0
    moments = sign_moments(input_map, batch)
    if isinstance(model.update_rule, SignSGD):
        return float(moments.moving)
    return float(root * np.sqrt(2 * V / np.pi) * moments.student) / batch


def step_ratio(problem: Problem, model: LinearModel, eigenvalues: np.ndarray | None) -> np.ndarray:
    """The mean length of a step over its root mean square, which no rate and no residual variance is in: as above."""
    steps = mean_steps(model, 1.0, eigenvalues)
    own = dataclasses.replace(problem, eigenvalues=None if eigenvalues is None else jnp.asarray(eigenvalues))
    return steps / np.sqrt(np.asarray(own.diffusion(1.0)))


def check_steps(model: LinearModel, what: str) -> None:
    """Raise `UnsupportedError`, in the name of what needs it, unless the law of one step is known."""
    reason, rule = "", model.update_rule
    lost = residual_not_normal(model)
    if not isinstance(model.weight_quantizer, StepFunction):
        reason = f"{model.weight_quantizer} has no levels that stay while a weight rests"
    elif isinstance(rule, Momentum):
        reason = "a step of momentum is a sum over gradients, whose mean length has no closed form"
    elif isinstance(rule, KineticMomentum):
        return  # a velocity, and no law of one step
    elif not isinstance(rule, STE | SignSGD):
        reason = f"the law of a step of {rule} is not derived"
    elif isinstance(model.surrogate, DerivativeOf):
        reason = "every weight has steps of its own length"
    elif not isinstance(model.range_rule, FixedRange):
        reason = "the thresholds move with the range"
    elif model.groups:
        reason = "every group of coordinates has thresholds of its own"
    elif lost is not None:
        reason = lost[1]
    elif isinstance(model.input_quantizer, StochasticMap):
        reason = f"the inputs are random given x, {model.input_quantizer}"
    elif not model.spectrum.is_isotropic and not isinstance(model.input_quantizer, Identity | StepFunction):
        reason = f"under a spectrum {model.input_quantizer} has a law of steps of its own at every eigenvalue"
    if reason:
        raise UnsupportedError(f"{what}: {reason}; count them in a run, simulate(model, dim, t_end, flips=True).")
