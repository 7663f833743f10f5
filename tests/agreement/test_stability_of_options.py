"""Stability with the options: couplings of low rank against the Jacobian of the density operator itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from steode import FOGZO, Discrete, Elementwise, LinearModel, Uniform
from steode.parts.spectrum import Eigenvalues
from steode.parts.stochastic import CommonFactor, StochasticRounding
from steode.solvers import linearized
from steode.solvers.density import DensityOperator
from steode.systems.linear.problem import make_problem, nominal_start

PLAIN = LinearModel(
    teacher=Discrete((-1.1, 0.7)), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(3, 2.0),
    learning_rate=0.8, noise=0.3,
)  # fmt: skip
OPTIONS = {
    "spectrum, stochastic rounding": {
        "spectrum": Eigenvalues((0.5, 2.0)),
        "weight_quantizer": StochasticRounding(Uniform(2, 2.0)),
        "input_quantizer": CommonFactor(0.1),
    },
    "activation": {"activation": Elementwise("tanh(x)"), "teacher_activation": Elementwise("tanh(x)")},
    "FOGZO": {"update_rule": FOGZO(c=2.0, eps=0.3), "learning_rate": 0.3},
}


@pytest.mark.parametrize(("name", "rank"), [(name, 2 - (index == 0)) for index, name in enumerate(OPTIONS)])
@jax.enable_x64(True)
def test_couplings_of_low_rank_are_those_of_the_density_operators_own_jacobian(name, rank):
    model = PLAIN.replace(**OPTIONS[name])
    problem = make_problem(model, nominal_start(model).rows(np.zeros(0), 32))
    nodes, count = np.linspace(-4, 4, 25), problem.teacher.size
    operator = DensityOperator(problem, jnp.asarray(nodes))
    force_of = eqx.filter_jit(lambda masses: operator.force(masses))

    def at(force):
        return linearized.linearize(problem, np.reshape(force, start.shape), np.tile(nodes, (count, 1)))

    start = np.asarray(force_of(jnp.full((count, 25), 1 / 25)))
    solution = scipy.optimize.root(
        lambda force: np.ravel(force_of(jnp.asarray(at(force).masses))) - force, start.ravel(), tol=1e-14
    )
    state = at(solution.x)
    masses, force = jnp.asarray(state.masses), jnp.asarray(solution.x.reshape(start.shape))
    assert state.u.shape[2] == rank

    @eqx.filter_jit
    def rate_and_jacobians(p):
        def rate(p):
            return operator.apply(operator.rates(operator.force(p)), p)

        def under_constant_force(q):
            return operator.apply(operator.rates(force), q)

        return rate(p), jax.jacfwd(rate)(p), jax.jacfwd(under_constant_force)(p)

    rate, *jacobians = rate_and_jacobians(masses)
    size = 25 * count
    full, alone = (np.asarray(jacobian).reshape(size, size) for jacobian in jacobians)
    assert np.abs(rate).max() < 1e-11
    expected = np.sort_complex(np.linalg.eigvals(full))[::-1]
    # the total of every row is conserved
    assert np.abs(expected[:count]).max() < 1e-9
    found = linearized.nearest_eigenvalues(state, 12)
    assert np.abs(found.real - expected[count : count + 12].real).max() < 1e-7
    assert np.abs(found[:, None] - expected).min(axis=1).max() < 1e-7
    point = 0.3 + 0.7j
    determinants = [np.linalg.det((point * np.eye(size) - matrix) / point) for matrix in (full, alone)]
    assert abs(linearized.secular(state, point) / (determinants[0] / determinants[1]) - 1) < 1e-7
    assert linearized.count_right_of(state) == np.sum(expected[count:].real > 0)
    # how the implied force answers to small changes of the force
    step = 1e-5 * np.abs(solution.x[-1])
    if rank == 1:
        above, below = (np.ravel(force_of(jnp.asarray(at(solution.x + sign * step).masses))) for sign in (1, -1))
        assert abs(state.response[0, 0] / float((above - below)[0]) * 2 * step - 1) < 1e-6
