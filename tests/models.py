"""Models that several tests share, and the published values of the reference case."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steode import (
    Constant,
    Elementwise,
    Identity,
    Levels,
    LinearModel,
    Normal,
    Sign,
    SignedInteger,
    Ternary,
    TwoPoint,
    Uniform,
)
from steode.solvers.equations import Problem
from steode.systems.linear.problem import NO_ROWS, make_problem

REFERENCE = LinearModel(
    weight_quantizer=Uniform(bits=2, range=2.0),
    input_quantizer=Uniform(bits=2, range=2.0),
    teacher=Constant(1.0),
    init=Normal(std=1.0),
    learning_rate=0.1,
)
"""Case R: two bits, range 2, for weights and inputs."""

REFERENCE_TIMES = np.array([1.0, 5.0, 10.0, 25.0, 50.0, 100.0])
REFERENCE_EPS_G = np.array([0.91294, 0.45544, 0.18450, 0.12758, 0.17121, 0.20352])
"""eps_g of case R, computed independently of steode, accurate to about 3e-5."""

STEP_QUANTIZERS = [
    Uniform(bits=1, range=0.7),
    Uniform(bits=2, range=2.0),
    Uniform(bits=4, range=3.0),
    Uniform(bits=3, range=2.0, kind="mid-tread"),
    SignedInteger(bits=2, range=2.0),
    Sign(),
    Ternary(range=1.5),
    Levels((-1.0, 0.1, 3.0)),
    Levels((-2.0, 0.0, 2.0), (-0.3, 0.4)),
]
ODD_SMOOTH_MAPS = [Identity(), Elementwise("tanh(x)"), Elementwise("x**3/3"), Elementwise("erf(x)")]

SMALL = LinearModel(
    teacher=TwoPoint(1.0),
    weight_quantizer=Uniform(bits=2, range=2.0),
    input_quantizer=Uniform(bits=2, range=2.0),
    learning_rate=0.4,
    noise=0.2,
    init=Normal(mean=0.0, std=0.8),
)
"""A model for simulations of dimension SMALL_DIM, where every effect is large."""

SMALL_DIM = 60


def problem_at(model: LinearModel, teacher: np.ndarray) -> Problem:
    """The equations of a model for these teacher values, shape (K,), equally probable."""
    with jax.enable_x64(True):
        rows = {"teacher": jnp.asarray(teacher), "teacher_weights": jnp.full(teacher.shape, 1 / teacher.size)}
        return dataclasses.replace(make_problem(model, NO_ROWS), **rows)
