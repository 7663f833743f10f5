"""The gap between runs of FOGZO and its limit, predicted by the fluctuations of the flips (the step "next order")."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steode import FOGZO, LinearModel, Normal, Uniform, simulate, solve
from steode.solvers import adaptive
from steode.solvers.density import DensityOperator

C, EPS = 2.0, 0.3
MODEL = LinearModel(
    teacher=Normal(std=1.0),
    weight_quantizer=Uniform(bits=3, range=2.0),
    learning_rate=0.3,
    noise=0.1,
    update_rule=FOGZO(c=C, eps=EPS),
)
TIMES = np.arange(5.0)


def solve_at(dim, monkeypatch):
    """The limit with delta V of the step "next order" added to V."""
    generator = np.random.default_rng(0)
    z, u = generator.standard_normal(1_000_000), generator.uniform(-np.sqrt(3), np.sqrt(3), 1_000_000)
    moment = float(np.mean(z**2 * np.abs(z + np.sqrt(C) * u)))

    def force(operator, masses):
        m, q, _ = operator.overlaps(masses)
        variance, slope = operator.problem.loss(m, q), operator.mean_slope(masses)
        density = operator.problem.teacher_weights @ masses / operator.volumes
        squares = jnp.diff(operator.image) ** 2 @ density[1:-1]
        added = moment * squares / (2 * np.sqrt(dim)) * (EPS + variance / (EPS * slope**2))
        return jnp.stack([slope, -slope, (1 + C) * (variance + added)])

    with monkeypatch.context() as patch:
        patch.setattr(DensityOperator, "force", force)
        # the compiled program of the limit itself must not be found again
        patch.setattr(adaptive, "_evolve", eqx.filter_jit(adaptive._evolve.__wrapped__))
        jax.clear_caches()
        found = solve(MODEL, 4.0, times=TIMES, tolerance=1e-3)
    jax.clear_caches()
    return found


def test_the_gap_is_the_noise_of_the_flips(monkeypatch):
    limit = solve(MODEL, 4.0, times=TIMES, tolerance=1e-3)
    for dim, seeds in ((400, 256), (1600, 64)):
        runs = simulate(MODEL, dim=dim, t_end=4.0, times=TIMES, seeds=seeds, key=5)["eps_g"]
        gap, error = runs.mean(axis=0) - limit["eps_g"], runs.std(axis=0, ddof=1) / np.sqrt(seeds)
        predicted = solve_at(dim, monkeypatch)["eps_g"] - limit["eps_g"]
        print(f"d = {dim}: predicted {predicted.round(4)}, runs {gap.round(4)} +- {error.round(4)}")
        assert np.abs((gap - predicted) / np.hypot(error, 1e-3 * limit["eps_g"])).max() < 4
        # and it is not nothing: late, runs are far from the limit itself
        assert gap[-1] > 5 * error[-1]
